#include "git/wire/upload_pack.hpp"

#include <fmt/core.h>

#include <algorithm>

#include "git/wire/pkt_line.hpp"

namespace sluice::git::wire {

using base::ErrorKind;
using base::Result;
using base::unexpected;

namespace {

constexpr std::size_t kMaxRefs = 2'000'000;
constexpr std::size_t kMessageLimit = 500;  // of a server's own words

std::string quote(std::string_view said) {
  std::string out(said.substr(0, kMessageLimit));
  for (char& c : out) {
    if (static_cast<unsigned char>(c) < 0x20) c = ' ';
  }
  while (out.ends_with(' ')) out.pop_back();
  return out;
}

base::Unexpected server_error(std::string_view said) {
  const bool missing = said.find("not our ref") != said.npos || said.find("not found") != said.npos ||
                       said.find("does not exist") != said.npos || said.find("no such remote ref") != said.npos;
  return unexpected(missing ? ErrorKind::not_found : ErrorKind::unavailable, "the server says: " + quote(said));
}

base::Unexpected broken(std::string_view what) {
  return unexpected(ErrorKind::unavailable, fmt::format("the answer does not follow the Git protocol: {}", what));
}

Result<Packet> next_line(PacketReader& packets) {
  SLUICE_TRY(const Packet packet, packets.next());
  if (packet.kind == Packet::Kind::end) return unexpected(ErrorKind::unavailable, "the server closed the connection");
  if (packet.kind == Packet::Kind::data && packet.payload.starts_with("ERR ")) {
    return server_error(packet.payload.substr(4));
  }
  return packet;
}

void read_capabilities(std::string_view text, Advertisement& out) {
  while (!text.empty()) {
    const auto word = text.substr(0, text.find(' '));
    text.remove_prefix(std::min(text.size(), word.size() + 1));
    if (word.empty()) continue;
    if (word.starts_with("symref=HEAD:")) out.refs.head = word.substr(12);
    out.capabilities.emplace(word);
  }
}

Result<void> read_ref(std::string_view line, Advertisement& out) {
  auto& refs = out.refs.refs;
  const auto oid = line.substr(0, 40);
  if (line.size() < 42 || line[40] != ' ' || !is_oid(oid)) return broken("a malformed reference");
  auto name = line.substr(41);
  if (!name.ends_with("^{}")) {
    if (refs.size() >= kMaxRefs) {
      return unexpected(ErrorKind::too_large, fmt::format("the repository lists more than {} references", kMaxRefs));
    }
    refs.push_back(Ref{.name = std::string(name), .oid = std::string(oid), .peeled = {}});
    return {};
  }
  name.remove_suffix(3);
  // An empty repository lists the pseudo reference "capabilities^{}".
  if (!refs.empty() && refs.back().name == name) refs.back().peeled = oid;
  return {};
}

// Shallow lines up to a flush.
Result<ShallowUpdate> read_shallow_section(PacketReader& packets) {
  ShallowUpdate update;
  for (;;) {
    SLUICE_TRY(const Packet packet, next_line(packets));
    if (packet.kind == Packet::Kind::flush) return update;
    const auto line = packet.line();
    if (line.starts_with("shallow ") && is_oid(line.substr(8))) {
      update.shallow.emplace_back(line.substr(8));
    } else if (line.starts_with("unshallow ") && is_oid(line.substr(10))) {
      update.unshallow.emplace_back(line.substr(10));
    } else {
      return broken("an unknown line among the shallow commits");
    }
  }
}

// ACK and NAK lines. The last is a NAK, or an ACK without a status.
Result<void> skip_acknowledgements(PacketReader& packets) {
  for (;;) {
    SLUICE_TRY(const Packet packet, next_line(packets));
    const auto line = packet.line();
    if (line == "NAK" || (line.starts_with("ACK ") && is_oid(line.substr(4)))) return {};
    if (!line.starts_with("ACK ")) return broken("an unknown line among the acknowledgements");
  }
}

}  // namespace

Result<Advertisement> read_advertisement(ByteStream& stream) {
  PacketReader packets(stream);
  Advertisement out;
  bool first = true;
  bool preamble = false;
  for (;;) {
    SLUICE_TRY(const Packet packet, next_line(packets));
    if (packet.kind == Packet::Kind::flush) {
      if (!preamble) break;
      preamble = false;
      continue;
    }
    auto line = packet.line();
    // HTTP announces the service first, in a section of its own.
    preamble = first && line.starts_with("# service=");
    if (preamble || line.starts_with("version ")) continue;
    if (first) {
      const auto zero = line.find('\0');
      if (zero != line.npos) read_capabilities(line.substr(zero + 1), out);
      line = line.substr(0, zero);
      first = false;
      if (out.can("object-format=sha256")) {
        return unexpected(ErrorKind::unsupported, "repositories with SHA-256 object ids are not offered");
      }
    }
    if (line.starts_with("shallow ")) continue;  // the server's own clone is shallow
    SLUICE_CHECK(read_ref(line, out));
  }
  std::erase_if(out.refs.refs, [](const Ref& ref) { return ref.name == "HEAD"; });
  std::sort(out.refs.refs.begin(), out.refs.refs.end(), [](const Ref& a, const Ref& b) { return a.name < b.name; });
  return out;
}

std::string encode_request(const FetchRequest& request, const Advertisement& server) {
  std::string capabilities = " agent=git/sluice";
  for (const std::string_view wanted :
       {"multi_ack_detailed", "side-band-64k", "thin-pack", "ofs-delta", "no-progress"}) {
    if (server.can(wanted)) capabilities += fmt::format(" {}", wanted);
  }
  const bool filter = request.commits_only && server.can("filter");
  if (filter) capabilities += " filter";
  std::string out;
  for (std::size_t i = 0; i < request.wants.size(); ++i) {
    append_packet(out, fmt::format("want {}{}\n", request.wants[i], i == 0 ? capabilities : ""));
  }
  if (server.can("shallow")) {
    for (const auto& oid : request.shallow) append_packet(out, fmt::format("shallow {}\n", oid));
    append_packet(out, fmt::format("deepen {}\n", request.depth));
  }
  if (filter) append_packet(out, "filter tree:0\n");
  append_flush(out);
  for (const auto& oid : request.haves) append_packet(out, fmt::format("have {}\n", oid));
  append_packet(out, "done\n");
  return out;
}

Result<ShallowUpdate> read_pack(ByteStream& stream, bool expect_shallow, const PackSink& sink) {
  PacketReader packets(stream);
  ShallowUpdate update;
  if (expect_shallow) {
    SLUICE_TRY(update, read_shallow_section(packets));
  }
  SLUICE_CHECK(skip_acknowledgements(packets));
  for (;;) {
    SLUICE_TRY(const Packet packet, packets.next());
    if (packet.kind == Packet::Kind::flush) return update;
    if (packet.kind == Packet::Kind::end) {
      return unexpected(ErrorKind::unavailable, "the server closed the connection before the pack was complete");
    }
    if (packet.payload.empty()) continue;
    const char band = packet.payload.front();
    if (band == 1) {
      SLUICE_CHECK(sink(packet.payload.substr(1)));
    } else if (band == 3) {
      return server_error(packet.payload.substr(1));
    } else if (band != 2) {  // 2 is progress for people
      return broken("an unknown band in the pack stream");
    }
  }
}

}  // namespace sluice::git::wire
