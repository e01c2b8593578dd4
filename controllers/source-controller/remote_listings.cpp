#include "remote_listings.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "base/digest.hpp"

namespace sluice::source_controller {

using base::Result;

namespace {

// What nobody has asked for in this time is dropped.
constexpr auto kKeepEntries = std::chrono::hours(2);
// References may be many, so they are not kept longer than any max_age is.
constexpr auto kKeepRefs = std::chrono::seconds(30);
// How long one namespace waits for a listing of another that has no thread yet: that one may have
// filled its share of the pool for hours.
constexpr auto kPatience = std::chrono::seconds(1);

// Whoever may share a listing has the same key.
std::string key_of(const ListingRequest& request) {
  base::Hasher hasher;
  const auto feed = [&hasher](std::string_view text) {
    hasher.update(fmt::format("{}:", text.size()));
    hasher.update(text);
  };
  feed(request.endpoint.cache_key());
  if (const auto* http = std::get_if<git::HttpAuth>(&request.auth)) {
    for (const auto* text :
         {&http->username, &http->password, &http->bearer_token, &http->tls.ca, &http->tls.cert, &http->tls.key}) {
      feed(*text);
    }
  } else if (const auto* ssh = std::get_if<git::SshAuth>(&request.auth)) {
    for (const auto* text : {&ssh->username, &ssh->private_key, &ssh->passphrase, &ssh->known_hosts}) feed(*text);
  }
  return hasher.finish_hex();
}

Result<std::shared_ptr<git::Remote>> connect(const ListingRequest& request, std::stop_token stop) {
  SLUICE_TRY(git::Remote remote,
             git::Remote::connect(request.endpoint, request.auth, request.timeout, std::move(stop)));
  return std::make_shared<git::Remote>(std::move(remote));
}

}  // namespace

// Whoever lists for others too: however it ends, they are told.
class RemoteListings::Lead {
 public:
  Lead(RemoteListings& listings, std::string key, std::shared_ptr<Flight> flight)
      : listings_(listings), key_(std::move(key)), flight_(std::move(flight)) {}
  ~Lead() {
    const auto entry = listings_.entries_.find(key_);
    if (entry != listings_.entries_.end() && entry->second.flight == flight_) entry->second.flight.reset();
    flight_->landed.notify_all();
  }
  Lead(const Lead&) = delete;
  Lead& operator=(const Lead&) = delete;

 private:
  RemoteListings& listings_;
  std::string key_;
  std::shared_ptr<Flight> flight_;
};

RemoteListings::Entry& RemoteListings::note(const std::string& key, const ListingRequest& request) {
  const auto [at, is_new] = entries_.try_emplace(key);
  Entry& entry = at->second;
  entry.shared = entry.shared || (!is_new && entry.last_asker != request.asker);
  entry.last_asker = request.asker;
  entry.last_used = clock_.steady();
  return entry;
}

void RemoteListings::forget_old() {
  const base::SteadyPoint now = clock_.steady();
  for (auto& [key, entry] : entries_) {
    if (now - entry.began > kKeepRefs) entry.refs.reset();
  }
  std::erase_if(entries_,
                [now](const auto& item) { return !item.second.flight && now - item.second.last_used > kKeepEntries; });
}

rt::Task<Result<Listing>> RemoteListings::list(ListingRequest request) {
  const std::string key = key_of(request);
  forget_old();
  while (!request.fresh) {
    Entry& entry = note(key, request);
    if (entry.refs && clock_.steady() - entry.began <= request.max_age) co_return Listing{entry.refs, nullptr};
    const std::shared_ptr<Flight> flight = entry.flight;
    if (!flight) break;
    flight->awaited = true;
    bool landed = false;
    if (flight->owner != request.asker.namespace_ && !flight->begun) {
      const std::chrono::nanoseconds patience = std::min<std::chrono::nanoseconds>(request.timeout, kPatience);
      landed = co_await flight->landed.wait_for(patience);
      if (!landed && !flight->begun) {
        if (note(key, request).flight != flight) continue;
        break;
      }
    }
    if (!landed) landed = co_await flight->landed.wait_for(request.timeout);
    if (!landed) {
      co_return base::unexpected(base::ErrorKind::timeout,
                                 fmt::format("listing the references of '{}': the timeout passed before the server had "
                                             "answered",
                                             request.endpoint.display()));
    }
    if (!flight->result) continue;  // its owner was cancelled
    if (!*flight->result) co_return base::unexpected(flight->result->error());
    co_return Listing{**flight->result, nullptr};
  }
  const auto flight = std::make_shared<Flight>();
  flight->owner = request.asker.namespace_;
  const base::SteadyPoint began = clock_.steady();
  note(key, request).flight = flight;
  const Lead lead(*this, key, flight);
  auto work = [request, flight](std::stop_token stop) {
    flight->begun = true;
    return connect(request, std::move(stop));
  };
  auto task = rt::run_blocking(runtime_, request.asker.namespace_, std::move(work));
  auto connected = co_await std::move(task);
  if (!connected) {
    flight->result.emplace(base::unexpected(connected.error()));
    co_return base::unexpected(std::move(connected).error());
  }
  const std::shared_ptr<git::Remote> remote = *std::move(connected);
  Entry& entry = note(key, request);
  // The conversation goes on with a fetch, so others get a copy.
  const bool copied = entry.shared || flight->awaited;
  const Refs refs = copied ? std::make_shared<const git::RefList>(remote->refs()) : Refs(remote, &remote->refs());
  flight->result.emplace(refs);
  if (copied && began >= entry.began) {
    entry.refs = refs;
    entry.began = began;
  }
  co_return Listing{refs, remote};
}

}  // namespace sluice::source_controller
