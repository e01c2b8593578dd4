// Git's framing: four hex digits of length, then the payload
// (gitprotocol-common(5), "pkt-line Format").
#pragma once

#include <array>
#include <string>
#include <string_view>

#include "base/result.hpp"
#include "git/wire/connection.hpp"

namespace sluice::git::wire {

struct Packet {
  enum class Kind { data, flush, end };  // end: the stream ended between two packets
  Kind kind = Kind::end;
  std::string_view payload;  // valid until the next read

  // The payload without its line end; text packets may or may not have one.
  std::string_view line() const { return payload.ends_with('\n') ? payload.substr(0, payload.size() - 1) : payload; }
};

class PacketReader {
 public:
  explicit PacketReader(ByteStream& stream) : stream_(stream) {}

  // `unavailable` if the stream ends within a packet or is no pkt-line at all.
  base::Result<Packet> next();

 private:
  base::Result<std::size_t> fill(std::size_t want);

  ByteStream& stream_;
  std::array<char, 65536> buffer_{};  // a packet is at most 65520 bytes
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
};

// Appends a packet. `payload` must not exceed 65516 bytes.
void append_packet(std::string& out, std::string_view payload);
inline void append_flush(std::string& out) { out += "0000"; }

}  // namespace sluice::git::wire
