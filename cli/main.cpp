// sluicectl: what the controllers do, at a terminal.
#include <CLI/CLI.hpp>
#include <cstdio>

#include "build.hpp"

namespace {

// A word that is no command is worth more than that a command is missing.
int fail(const CLI::App& app, const CLI::ParseError& error) {
  const auto words = app.remaining(true);
  if (error.get_exit_code() == 0 || words.empty()) return app.exit(error);
  std::fprintf(stderr, "sluicectl: '%s' is no command or option here; see --help\n", words.front().c_str());
  return error.get_exit_code();
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{"Sluice at the command line", "sluicectl"};
  app.set_version_flag("--version", "sluicectl " SLUICE_VERSION);
  app.require_subcommand(1);
  int exit_code = 0;
  sluice::cli::add_build(app, exit_code);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return fail(app, error);
  }
  return exit_code;
}
