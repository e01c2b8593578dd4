#include "controller/flags.hpp"

#include <CLI/CLI.hpp>
#include <cstdio>
#include <utility>

namespace sluice::controller {

std::string version() { return SLUICE_VERSION; }

struct FlagSet::Impl {
  Impl(std::string program, std::string description) : app(std::move(description), std::move(program)) {
    app.option_defaults()->always_capture_default();
    app.get_formatter()->column_width(48);
    app.set_version_flag("--version", app.get_name() + " " + version(), "Print the version and exit.");
  }
  // A daemon may give a common flag, or one that is only accepted, a meaning of its own.
  void make_room(const std::string& name) {
    if (auto* earlier = app.get_option_no_throw("--" + name)) app.remove_option(earlier);
  }
  template <class T>
  CLI::Option* option(const std::string& name, T& target, const std::string& help, const char* type) {
    make_room(name);
    return app.add_option("--" + name, target, help)->type_name(type);
  }

  CLI::App app;
  bool help_asked = false;
  std::string answer;  // to --version
  bool ignored_switch = false;
  std::string ignored_value;
};

FlagSet::FlagSet(std::string program, std::string description)
    : impl_(std::make_unique<Impl>(std::move(program), std::move(description))) {}
FlagSet::~FlagSet() = default;

void FlagSet::add(const std::string& name, std::string& target, const std::string& help) {
  impl_->option(name, target, help, "string");
}
void FlagSet::add(const std::string& name, int& target, const std::string& help) {
  impl_->option(name, target, help, "int");
}
void FlagSet::add(const std::string& name, double& target, const std::string& help) {
  impl_->option(name, target, help, "float");
}
void FlagSet::add(const std::string& name, bool& target, const std::string& help) {
  impl_->make_room(name);
  // pflag prints a default only where it is not the zero value.
  impl_->app.add_flag("--" + name, target, target ? help + " (default true)" : help);
}
void FlagSet::add(const std::string& name, std::vector<std::string>& target, const std::string& help) {
  impl_->option(name, target, help, "strings")->delimiter(',')->allow_extra_args(false);
}

void FlagSet::add(const std::string& name, base::Duration& target, const std::string& help) {
  const auto take = [&target, name](const std::string& text) {
    const auto parsed = base::parse_duration(text);
    if (!parsed) throw CLI::ValidationError("--" + name, parsed.error().message);
    target = *parsed;
  };
  impl_->make_room(name);
  impl_->app.add_option_function<std::string>("--" + name, take, help)
      ->type_name("duration")
      ->default_str(base::format_duration(target));
}

void FlagSet::accept_without_effect(const std::string& name, bool is_switch, const std::string& why) {
  const std::string help = "No effect, accepted for compatibility: " + why;
  impl_->make_room(name);
  if (is_switch) {
    impl_->app.add_flag("--" + name, impl_->ignored_switch, help);
    return;
  }
  impl_->app
      .add_option_function<std::string>(
          "--" + name, [](const std::string&) {}, help)
      ->type_name("value");
}

base::Result<void> FlagSet::parse(const std::vector<std::string>& arguments) {
  std::vector<std::string> reversed(arguments.rbegin(), arguments.rend());  // as CLI11 wants them
  try {
    impl_->app.parse(reversed);
  } catch (const CLI::CallForHelp&) {
    impl_->help_asked = true;
  } catch (const CLI::CallForVersion& asked) {
    impl_->help_asked = true;
    impl_->answer = std::string(asked.what()) + '\n';
  } catch (const CLI::ParseError& error) {
    return base::unexpected(base::ErrorKind::invalid, error.what());
  }
  return {};
}

bool FlagSet::help_asked() const noexcept { return impl_->help_asked; }
std::string FlagSet::help() const { return impl_->answer.empty() ? impl_->app.help() : impl_->answer; }

std::optional<int> FlagSet::parse_or_exit_code(int argc, const char* const* argv) {
  const auto parsed = parse({argv + 1, argv + argc});
  if (!parsed) {
    std::fprintf(stderr, "%s\nRun with --help for the flags.\n", parsed.error().message.c_str());
    return 2;
  }
  if (!help_asked()) return std::nullopt;
  std::fputs(help().c_str(), stdout);
  return 0;
}

}  // namespace sluice::controller
