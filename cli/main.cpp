// sluicectl: what the controllers do, at a terminal.
#include <CLI/CLI.hpp>

#include "build.hpp"

int main(int argc, char** argv) {
  CLI::App app{"Sluice at the command line"};
  app.require_subcommand(1);
  int exit_code = 0;
  sluice::cli::add_build(app, exit_code);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error);
  }
  return exit_code;
}
