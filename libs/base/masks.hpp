// The secret values that were read, and their removal from text that others see.
//
// One Masks is made for each run; whoever reads a secret value adds it, and all text that
// leaves the process (conditions, Events, log lines, notifications) passes through apply().
//
//   masks->add(password);
//   masks->apply("cannot log in as admin:hunter2-hunter2");  // "cannot log in as admin:*****"
//
// A value is known in the forms in which messages quote it: as it is without white space
// around it, without line ends, line by line, base64, escaped as in Go's %q, as in JSON
// (also as Go writes it, with \u003c for '<') and as in URLs. Forms over kPiece bytes are
// known by their pieces of that size, so that a message that cuts a value short tells no
// more of it than less than a piece. Safe from any thread.
//
// What a value costs is bounded, as others choose it:
//   apply()   linear in the text: at most kPiece - kShortest + 1 look-ups at a byte, however many values
//             are known. Of longer texts kMaxText bytes are masked and given back, and kCut.
//   add()     values over kLarge bytes are known as they are, in base64 and by their lines alone.
//             All of the first kLines lines, of the others those over kLongLine bytes, kMaxLines in all.
//   memory    kMaxPieces pieces, a few dozen bytes each. With more, nobody can tell any longer what is
//             secret: apply() then gives kHidden back in place of every text.
#pragma once

#include <cstddef>
#include <cstdint>
#include <mutex>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>

namespace sluice::base {

class Masks {
 public:
  static constexpr std::string_view kMask = "*****";
  // Values from here on are found anywhere; down to kShortest as whole words only ("flux"
  // is not a part of "flux-system"); shorter ones only between quotes, as an API server
  // quotes what it refuses. Anything else would blot out innocent text.
  static constexpr std::size_t kAnywhere = 8;
  static constexpr std::size_t kShortest = 4;

  static constexpr std::size_t kPiece = 32;
  static constexpr std::size_t kLarge = std::size_t{16} << 10U;
  static constexpr std::size_t kLines = 256;
  static constexpr std::size_t kLongLine = 16;
  static constexpr std::size_t kMaxLines = 4096;
  static constexpr std::size_t kMaxPieces = std::size_t{1} << 18U;
  static constexpr std::size_t kMaxText = std::size_t{256} << 10U;
  static constexpr std::string_view kCut = " ... (cut)";
  static constexpr std::string_view kHidden = "***** (more secret values are known than can be told from other text)";

  // Words that say nothing (true, null, yes) and blank values are no secrets.
  void add(std::string_view value);
  // `text` with every known value, and whatever two of them overlap in, replaced by kMask.
  std::string apply(std::string text) const;
  bool empty() const;

  // What all calls have cost so far, for tests: values known, and look-ups by apply().
  std::size_t pieces() const;
  std::size_t probes() const;

 private:
  void add_form(std::string_view text, bool is_base64 = false);
  void add_piece(std::string_view piece, bool is_base64);
  void add_lines(std::string_view core);
  // Ends of values that begin at a place in the text; asked for one place after the other.
  class Search;
  std::size_t quoted_at(std::string_view text, std::size_t at) const;

  mutable std::mutex mutex_;
  // Hashes of the pieces; true: base64, which goes on for as long as base64 does, as the value
  // may have had a line end. That two pieces have one hash would mask more.
  std::unordered_map<std::size_t, bool> pieces_;
  std::unordered_map<std::uint32_t, std::uint64_t> sizes_;  // of pieces (bits), by their first four bytes
  bool overflown_ = false;
  std::set<std::string, std::less<>> short_;
  mutable std::size_t probes_ = 0;
};

}  // namespace sluice::base
