#include "text/regexp.hpp"

#include <fmt/format.h>
#include <re2/re2.h>

namespace sluice::text {

namespace {
constexpr std::int64_t kMaxProgramBytes = 8 << 20;

RE2::Options options() {
  RE2::Options options(RE2::Quiet);
  options.set_max_mem(kMaxProgramBytes);
  return options;
}

re2::StringPiece piece(std::string_view text) { return {text.data(), text.size()}; }
}  // namespace

struct Regexp::Program {
  explicit Program(std::string_view expression) : compiled(piece(expression), options()) {}
  RE2 compiled;
};

Regexp::Regexp(std::shared_ptr<const Program> program) : program_(std::move(program)) {}

base::Result<Regexp> Regexp::compile(std::string_view expression) {
  auto program = std::make_shared<const Program>(expression);
  if (!program->compiled.ok()) {
    const bool too_large = program->compiled.error_code() == RE2::ErrorPatternTooLarge;
    return base::unexpected(
        too_large ? base::ErrorKind::too_large : base::ErrorKind::invalid,
        fmt::format("regular expression '{}' is not valid: {}", expression.substr(0, 200),
                    program->compiled.error().substr(0, 200)));
  }
  return Regexp(std::move(program));
}

bool Regexp::matches(std::string_view text) const { return RE2::PartialMatch(piece(text), program_->compiled); }

bool Regexp::matches_all(std::string_view text) const { return RE2::FullMatch(piece(text), program_->compiled); }

const std::string& Regexp::expression() const noexcept { return program_->compiled.pattern(); }

}  // namespace sluice::text
