// What a Remote holds; shared with the cache, which fetches through it.
#pragma once

#include "git/remote.hpp"
#include "git/wire/upload_pack.hpp"

namespace sluice::git {

struct Remote::State {
  Endpoint endpoint;
  Auth auth;
  wire::Limits limits;
  std::unique_ptr<wire::Connection> connection;
  wire::Advertisement advertisement;

  // Opens a conversation and reads what the server lists.
  base::Result<void> open();
  // Fetches a pack into `sink`. Messages carry the URL.
  base::Result<wire::ShallowUpdate> fetch(const wire::FetchRequest& request, const wire::PackSink& sink);
};

}  // namespace sluice::git
