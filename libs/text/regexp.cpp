#include "text/regexp.hpp"

#include <fmt/format.h>
#include <re2/re2.h>

#include <algorithm>
#include <initializer_list>
#include <optional>
#include <vector>

#include "text/find.hpp"

namespace sluice::text {

namespace {
constexpr std::size_t kInstruction = 16;  // bytes; re2::Prog::Inst
// Ours. What an expression takes to read is bounded by nothing in RE2: 1,000 classes of
// Unicode take 40 MB and a third of a second.
constexpr std::size_t kMaxExpression = 128U << 10U;
constexpr std::size_t kMaxClasses = 256;

RE2::Options options(std::int64_t max_bytes) {
  RE2::Options options(RE2::Quiet);
  options.set_max_mem(max_bytes);
  return options;
}

struct Property {
  std::string_view name;  // as Go compares names: in lower case, without '_', '-' and blanks
  std::string_view short_name;
};
constexpr Property kProperties[] = {{"casedletter", "LC"},
                                    {"closepunctuation", "Pe"},
                                    {"combiningmark", "M"},
                                    {"connectorpunctuation", "Pc"},
                                    {"control", "Cc"},
                                    {"currencysymbol", "Sc"},
                                    {"dashpunctuation", "Pd"},
                                    {"decimalnumber", "Nd"},
                                    {"enclosingmark", "Me"},
                                    {"finalpunctuation", "Pf"},
                                    {"format", "Cf"},
                                    {"initialpunctuation", "Pi"},
                                    {"letter", "L"},
                                    {"letternumber", "Nl"},
                                    {"lineseparator", "Zl"},
                                    {"lowercaseletter", "Ll"},
                                    {"mark", "M"},
                                    {"mathsymbol", "Sm"},
                                    {"modifierletter", "Lm"},
                                    {"modifiersymbol", "Sk"},
                                    {"nonspacingmark", "Mn"},
                                    {"number", "N"},
                                    {"openpunctuation", "Ps"},
                                    {"other", "C"},
                                    {"otherletter", "Lo"},
                                    {"othernumber", "No"},
                                    {"otherpunctuation", "Po"},
                                    {"othersymbol", "So"},
                                    {"paragraphseparator", "Zp"},
                                    {"privateuse", "Co"},
                                    {"punctuation", "P"},
                                    {"separator", "Z"},
                                    {"spaceseparator", "Zs"},
                                    {"spacingmark", "Mc"},
                                    {"surrogate", "Cs"},
                                    {"symbol", "S"},
                                    {"titlecaseletter", "Lt"},
                                    {"unassigned", "Cn"},
                                    {"uppercaseletter", "Lu"},
                                    {"cntrl", "Cc"},
                                    {"digit", "Nd"},
                                    {"punct", "P"}};

// What Go writes and RE2 does not know, in RE2's words. What neither knows is left
// as it is, for RE2 to refuse.
class Translation {
 public:
  explicit Translation(std::string_view expression) : rest_(expression) {}

  base::Result<std::string> run() {
    while (!rest_.empty()) {
      if (rest_.starts_with("\\Q") && !in_set_) {
        take(std::min(rest_.find("\\E"), rest_.size()));
      } else if (rest_.starts_with("\\p") || rest_.starts_with("\\P")) {
        if (++classes_ > kMaxClasses) {
          return base::unexpected(base::ErrorKind::too_large, "it has over 256 classes of Unicode");
        }
        property();
      } else if (rest_.starts_with("\\C")) {
        return base::unexpected(base::ErrorKind::invalid, "invalid escape sequence: \\C");
      } else if (rest_[0] == '\\') {
        take(2);
      } else if (in_set_) {
        inside_set();
      } else if (rest_[0] == '[') {
        open_set();
      } else if (rest_.starts_with("(?<") || rest_.starts_with("(?P<")) {
        if (!group()) return base::unexpected(base::ErrorKind::invalid, "invalid named capture");
      } else {
        take(1);
      }
    }
    return std::move(out_);
  }

 private:
  void take(std::size_t count) {
    count = std::min(count, rest_.size());
    out_ += rest_.substr(0, count);
    rest_.remove_prefix(count);
  }
  void put(std::string_view text, std::size_t count) {
    out_ += text;
    rest_.remove_prefix(std::min(count, rest_.size()));
  }

  void open_set() {
    in_set_ = true;
    take(rest_.starts_with("[^") ? 2 : 1);
    if (rest_.starts_with(']')) take(1);
  }
  void inside_set() {
    if (rest_.starts_with("[:")) {
      const std::size_t end = rest_.find(":]");
      return take(end == rest_.npos ? 1 : end + 2);
    }
    if (rest_[0] == ']') in_set_ = false;
    take(1);
  }

  // "(?<name>" is "(?P<name>"; false if the name is none.
  bool group() {
    const std::size_t start = rest_.find('<') + 1;
    const std::size_t end = rest_.find('>', start);
    if (end == rest_.npos || end == start) return false;
    const std::string_view name = rest_.substr(start, end - start);
    const bool fine = std::all_of(name.begin(), name.end(), [](char c) {
      return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
    });
    put(fmt::format("(?P<{}>", name), end + 1);
    return fine;
  }

  // \pL, \p{Letter}, \P{^Lu}
  void property() {
    bool negated = rest_[1] == 'P';
    std::size_t length = 3;
    std::string_view name = rest_.substr(2, 1);
    if (name == "{") {
      const std::size_t end = rest_.find('}');
      if (end == rest_.npos) return take(2);
      name = rest_.substr(3, end - 3);
      length = end + 1;
    }
    if (name.starts_with('^')) {
      negated = !negated;
      name.remove_prefix(1);
    }
    const std::string known = canonical(name);
    if (known == "Ascii") return put_set("\\x00-\\x7F", negated, length);
    if (known == "LC") return put_union({"Lu", "Ll", "Lt"}, negated, length);
    // All that is assigned; what is not is C as well, for Go.
    if (known == "Assigned") return put_union({"L", "M", "N", "P", "S", "Z", "C"}, negated, length);
    if (known == "Cn") return put_union({"L", "M", "N", "P", "S", "Z", "C"}, !negated, length);
    if (known == "C" && (negated || !in_set_)) return put_union({"L", "M", "N", "P", "S", "Z"}, !negated, length);
    put(fmt::format("\\{}{{{}}}", negated ? 'P' : 'p', known), length);
  }

  // The name as RE2 spells it: categories in short, the first letter of a script large.
  static std::string canonical(std::string_view name) {
    std::string plain;
    for (const char c : name) {
      if (c != '_' && c != '-' && c != ' ') plain += static_cast<char>(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
    }
    for (const Property& property : kProperties) {
      if (property.name == plain) return std::string(property.short_name);
    }
    if (plain == "lc") return "LC";
    if (name.find('_') != name.npos) return std::string(name);  // a script, as Old_Italic
    if (!plain.empty() && plain[0] >= 'a' && plain[0] <= 'z') plain[0] = static_cast<char>(plain[0] - 'a' + 'A');
    return plain;
  }

  void put_union(std::initializer_list<std::string_view> categories, bool negated, std::size_t length) {
    std::string set;
    for (const std::string_view category : categories) set += fmt::format("\\p{{{}}}", category);
    put_set(set, negated, length);
  }
  // A negated set within a set cannot be said in RE2; it is left as it is, and refused.
  void put_set(std::string_view set, bool negated, std::size_t length) {
    if (!in_set_) return put(fmt::format("[{}{}]", negated ? "^" : "", set), length);
    if (negated) return take(length);
    put(set, length);
  }

  std::string_view rest_;
  std::string out_;
  std::size_t classes_ = 0;
  bool in_set_ = false;
};

// The texts of an expression that is nothing but texts with ".*" between them, as most are.
// Nothing for others.
std::optional<std::vector<std::string>> texts_of(std::string_view expression) {
  std::vector<std::string> texts(1);
  for (std::size_t i = 0; i < expression.size(); ++i) {
    if (expression.substr(i, 2) == ".*" && expression.substr(i + 2, 1).find_first_of("*+?{") == expression.npos) {
      texts.emplace_back();
      ++i;
    } else if (std::string_view("\\^$.|?*+()[]{}").find(expression[i]) != std::string_view::npos) {
      return std::nullopt;
    } else {
      texts.back() += expression[i];
    }
  }
  // What ".*" matches ends with the line, so the lines are looked at one by one.
  const bool over_lines = texts.size() > 1 && expression.find('\n') != expression.npos;
  return over_lines ? std::nullopt : std::optional(std::move(texts));
}

bool has_in_line(std::string_view line, const std::vector<std::string>& texts) {
  std::size_t from = 0;
  for (const std::string& text : texts) {
    const std::size_t found = find_text(line, text, from);
    if (found == line.npos) return false;
    from = found + text.size();
  }
  return true;
}

bool has_texts(std::string_view text, const std::vector<std::string>& texts) {
  if (texts.size() == 1) return find_text(text, texts[0]) != text.npos;
  for (std::size_t start = 0; start <= text.size();) {
    const std::size_t end = std::min(text.find('\n', start), text.size());
    if (has_in_line(text.substr(start, end - start), texts)) return true;
    start = end + 1;
  }
  return false;
}

re2::StringPiece piece(std::string_view text) { return {text.data(), text.size()}; }
}  // namespace

struct Regexp::Program {
  Program(std::string_view given, std::string_view translated, std::int64_t max_bytes)
      : expression(given), compiled(piece(translated), options(max_bytes)), texts(texts_of(given)) {}
  std::string expression;
  RE2 compiled;
  std::optional<std::vector<std::string>> texts;  // then they are looked for, without RE2

  std::size_t size() const { return static_cast<std::size_t>(std::max(compiled.ProgramSize(), 1)); }
  base::Result<void> spend(std::size_t steps, std::size_t text, WorkBudget& budget) const {
    auto spent = budget.spend(steps);
    if (spent || spent.error().kind != base::ErrorKind::too_large) return spent;
    return base::unexpected(base::ErrorKind::too_large,
                            fmt::format("to match a text of {} bytes with the regular expression '{}', of {} "
                                        "instructions, may take too much work",
                                        text, std::string_view(expression).substr(0, 200), size()));
  }
};

Regexp::Regexp(std::shared_ptr<const Program> program) : program_(std::move(program)) {}

base::Result<Regexp> Regexp::compile(std::string_view expression, std::int64_t max_bytes) {
  const auto refuse = [expression](base::ErrorKind kind, std::string_view why) {
    return base::unexpected(
        kind, fmt::format("regular expression '{}' is not valid: {}", expression.substr(0, 200), why.substr(0, 200)));
  };
  if (expression.size() > kMaxExpression) return refuse(base::ErrorKind::too_large, "it is longer than 128 KiB");
  const auto translated = Translation(expression).run();
  if (!translated) return refuse(translated.error().kind, translated.error().message);
  auto program = std::make_shared<const Program>(expression, *translated, max_bytes);
  if (!program->compiled.ok()) {
    const bool too_large = program->compiled.error_code() == RE2::ErrorPatternTooLarge;
    return refuse(too_large ? base::ErrorKind::too_large : base::ErrorKind::invalid, program->compiled.error());
  }
  return Regexp(std::move(program));
}

base::Result<bool> Regexp::matches(std::string_view text, WorkBudget& budget) const {
  SLUICE_CHECK(program_->spend(steps(text), text.size(), budget));
  if (program_->texts) return has_texts(text, *program_->texts);
  return RE2::PartialMatch(piece(text), program_->compiled);
}

base::Result<bool> Regexp::matches(std::string_view text) const {
  WorkBudget budget{kSteps};
  return matches(text, budget);
}

base::Result<bool> Regexp::matches_all(std::string_view text, WorkBudget& budget) const {
  SLUICE_CHECK(program_->spend(text.size() * program_->size(), text.size(), budget));
  return RE2::FullMatch(piece(text), program_->compiled);
}

base::Result<bool> Regexp::matches_all(std::string_view text) const {
  WorkBudget budget{kSteps};
  return matches_all(text, budget);
}

std::size_t Regexp::steps(std::string_view text) const {
  return text.size() * (program_->texts ? 1 : program_->size());
}

const std::string& Regexp::expression() const noexcept { return program_->expression; }

bool Regexp::remembers() const noexcept { return !program_->texts.has_value(); }

std::size_t Regexp::program_bytes() const {
  return static_cast<std::size_t>(program_->compiled.ProgramSize()) * kInstruction;
}

}  // namespace sluice::text
