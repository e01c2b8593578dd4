// A list of any length, page by page, with pages as small as they have to be. On the loop.
//
// Nobody knows beforehand how large a page is: 100 ConfigMaps may be 50 kB or 90 MB. So
// pages are bounded by bytes as well. One that would be larger is asked for again with
// half as many objects; when pages turn out small the number grows back. An object that is
// too large to be read even alone is told by its metadata, and does not hide the others.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "doc/json.hpp"
#include "kube/client.hpp"

namespace sluice::kube {

struct PageLimits {
  // What is held whole at a time: 1000 Kustomizations of 50 objects cost a daemon 42 MiB at its
  // peak in client-go's pages of 500, 24 in these, and the same CPU.
  std::int64_t objects = 100;
  std::uint64_t page_bytes = 4U << 20U;
  // Of one object. etcd takes 1.5 MiB unless told otherwise; JSON may be twice that.
  std::uint64_t object_bytes = 16U << 20U;
};

// How many objects to ask for, by what came before. Pure.
class PageSize {
 public:
  explicit PageSize(const PageLimits& limits) : limits_(limits), objects_(limits.objects) {}
  std::int64_t objects() const noexcept { return objects_; }
  // What an answer for that many objects may have.
  std::uint64_t bytes() const noexcept { return objects_ == 1 ? limits_.object_bytes : limits_.page_bytes; }
  const PageLimits& limits() const noexcept { return limits_; }
  // The page was too large: asks for half as many; false if it was one object.
  bool halve() noexcept;
  // A page came: asks for a quarter more, if it was small enough for that.
  void took(std::uint64_t bytes) noexcept;

 private:
  PageLimits limits_;
  std::int64_t objects_;
};

class PageReader {
 public:
  struct Page {
    std::vector<doc::Json> objects;
    std::vector<doc::Json> unreadable;  // metadata of those that are too large
    std::string resource_version;       // of the list as a whole
  };
  // `client` and `size` outlive it; the size is kept from one list to the next. Of the
  // options, page_size, continue_token and max_bytes are its own business.
  PageReader(Client& client, Resource resource, ListOptions options, PageSize& size);
  bool is_done() const noexcept { return done_; }
  // The next page, until is_done(). After an error the list must begin anew; `gone` if it
  // took too long, so that the server has forgotten where it was.
  rt::Task<base::Result<Page>> next();

 private:
  Client& client_;
  Resource resource_;
  ListOptions options_;
  PageSize& size_;
  bool done_ = false;
};

}  // namespace sluice::kube
