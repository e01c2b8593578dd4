// Command line flags, spelled as upstream's (pflag): --name=value, --name value,
// --switch, --switch=false; durations as Go prints them. Pure but for parse()
// writing help and errors.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.hpp"
#include "base/result.hpp"

namespace sluice::controller {

// The project's, as "0.1.0".
std::string version();

class FlagSet {
 public:
  FlagSet(std::string program, std::string description);
  ~FlagSet();
  FlagSet(const FlagSet&) = delete;
  FlagSet& operator=(const FlagSet&) = delete;

  // `name` without dashes; one that was added before is replaced. The target's value is the default, and must outlive parse().
  void add(const std::string& name, std::string& target, const std::string& help);
  void add(const std::string& name, bool& target, const std::string& help);
  void add(const std::string& name, int& target, const std::string& help);
  void add(const std::string& name, double& target, const std::string& help);
  void add(const std::string& name, base::Duration& target, const std::string& help);
  // May be given several times; each value may be a comma-separated list.
  void add(const std::string& name, std::vector<std::string>& target, const std::string& help);
  // Accepted so that upstream's manifests work, and says in --help that it does nothing.
  void accept_without_effect(const std::string& name, bool is_switch, const std::string& why);

  // `invalid` naming the flag and the value. --help and --version are no errors but `help_asked()`.
  base::Result<void> parse(const std::vector<std::string>& arguments);
  bool help_asked() const noexcept;
  // What was asked for: the flags, or "<program> <version>".
  std::string help() const;
  // For main(): prints help (exit 0) or the error (exit 2); nothing means go on.
  std::optional<int> parse_or_exit_code(int argc, const char* const* argv);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace sluice::controller
