// Texts in other dress, as the YAML reader takes them. Pure; private to libs/doc.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace sluice::doc {

inline constexpr std::string_view kBom = "\xEF\xBB\xBF";

// UTF-16 that begins with a BOM, as PowerShell writes it; nothing for any other
// text. What is broken becomes a byte that no UTF-8 has, so that the reader finds it.
std::optional<std::string> utf16_as_utf8(std::string_view text);

// kustomize cuts files at lines that begin with "---" before it reads them, so a
// comment may follow at once, and a BOM may begin each piece. The text as YAML
// has it; nothing if it is so already.
std::optional<std::string> with_plain_separators(std::string_view text);

}  // namespace sluice::doc
