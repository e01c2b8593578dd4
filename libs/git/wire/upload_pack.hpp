// The client's half of git-upload-pack, protocol version 0
// (gitprotocol-pack(5), "Packfile Transfer"), which every server speaks.
//
// One request, one answer: what we have is named together with "done", so
// there is no negotiation and HTTP needs a single POST.
#pragma once

#include <functional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "git/refs.hpp"
#include "git/wire/connection.hpp"

namespace sluice::git::wire {

struct Advertisement {
  RefList refs;
  std::set<std::string, std::less<>> capabilities;

  bool can(std::string_view capability) const { return capabilities.contains(capability); }
};

// `unavailable` if it is not Git's protocol, `unsupported` for SHA-256
// repositories, `too_large` beyond two million references.
base::Result<Advertisement> read_advertisement(ByteStream& stream);

constexpr int kWholeHistory = 0x7fffffff;  // gitprotocol-pack(5): infinite depth

struct FetchRequest {
  std::vector<Oid> wants;
  std::vector<Oid> haves;    // commits whose whole tree we hold
  std::vector<Oid> shallow;  // those of our commits whose parents we lack
  int depth = 1;
  // Commits alone, without trees and blobs, where the server can leave those out.
  bool commits_only = false;
};

struct ShallowUpdate {
  std::vector<Oid> shallow;
  std::vector<Oid> unshallow;
};

std::string encode_request(const FetchRequest& request, const Advertisement& server);

// Hands the bytes of the pack to `sink` as they arrive. `not_found` if the
// server does not serve a wanted commit, `unavailable` if the stream breaks.
using PackSink = std::function<base::Result<void>(std::string_view)>;
base::Result<ShallowUpdate> read_pack(ByteStream& stream, bool expect_shallow, const PackSink& sink);

}  // namespace sluice::git::wire
