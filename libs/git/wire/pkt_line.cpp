#include "git/wire/pkt_line.hpp"

#include <fmt/core.h>

#include <charconv>
#include <cstring>

namespace sluice::git::wire {

using base::ErrorKind;
using base::Result;
using base::unexpected;

// Makes `want` bytes available at begin_, or as many as the stream still has.
Result<std::size_t> PacketReader::fill(std::size_t want) {
  if (begin_ + want > buffer_.size()) {
    std::memmove(buffer_.data(), buffer_.data() + begin_, end_ - begin_);
    end_ -= begin_;
    begin_ = 0;
  }
  while (end_ - begin_ < want) {
    SLUICE_TRY(const std::size_t got, stream_.read(std::span(buffer_).subspan(end_)));
    if (got == 0) break;
    end_ += got;
  }
  return end_ - begin_;
}

Result<Packet> PacketReader::next() {
  SLUICE_TRY(const std::size_t have, fill(4));
  if (have == 0) return Packet{};
  if (have < 4) return unexpected(ErrorKind::unavailable, "the server closed the connection in mid-packet");
  const char* head = buffer_.data() + begin_;
  std::size_t length = 0;
  const auto [stop, error] = std::from_chars(head, head + 4, length, 16);
  // 0001 and 0002 belong to protocol version 2, which is never asked for.
  if (error != std::errc() || stop != head + 4 || (length != 0 && length < 4) || length > 65520) {
    return unexpected(ErrorKind::unavailable, "the answer does not follow the Git protocol; is this a Git server?");
  }
  if (length == 0) {
    begin_ += 4;
    return Packet{.kind = Packet::Kind::flush, .payload = {}};
  }
  SLUICE_TRY(const std::size_t whole, fill(length));
  if (whole < length) return unexpected(ErrorKind::unavailable, "the server closed the connection in mid-packet");
  const std::string_view payload(buffer_.data() + begin_ + 4, length - 4);
  begin_ += length;
  return Packet{.kind = Packet::Kind::data, .payload = payload};
}

void append_packet(std::string& out, std::string_view payload) {
  out += fmt::format("{:04x}", payload.size() + 4);
  out += payload;
}

}  // namespace sluice::git::wire
