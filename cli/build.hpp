// `sluicectl build`: what a kustomization amounts to, with no cluster needed.
#pragma once

#include <CLI/CLI.hpp>

namespace sluice::cli {

// Adds the command; it puts the exit code of the program into `exit_code`.
void add_build(CLI::App& app, int& exit_code);

}  // namespace sluice::cli
