#include "kube/pages.hpp"

#include <algorithm>
#include <utility>

namespace sluice::kube {

using base::ErrorKind;
using base::Result;

bool PageSize::halve() noexcept {
  if (objects_ <= 1) return false;
  objects_ /= 2;
  return true;
}

void PageSize::took(std::uint64_t bytes) noexcept {
  if (bytes < limits_.page_bytes / 2) objects_ = std::min(limits_.objects, objects_ + objects_ / 4 + 1);
}

PageReader::PageReader(Client& client, Resource resource, ListOptions options, PageSize& size)
    : client_(client), resource_(std::move(resource)), options_(std::move(options)), size_(size) {}

rt::Task<Result<PageReader::Page>> PageReader::next() {
  bool metadata_only = options_.metadata_only;
  for (;;) {
    ListOptions asked = options_;
    asked.page_size = size_.objects();
    asked.max_bytes = size_.bytes();
    asked.metadata_only = metadata_only;
    auto answer = co_await client_.list_page(resource_, std::move(asked));
    if (!answer && answer.error().kind == ErrorKind::too_large) {
      if (size_.halve()) continue;
      if (!metadata_only) {
        metadata_only = true;
        continue;
      }
    }
    if (!answer) co_return base::unexpected(std::move(answer).error());
    const bool unreadable = metadata_only && !options_.metadata_only;
    if (!unreadable) size_.took(answer->bytes);
    Page page;
    (unreadable ? page.unreadable : page.objects) = std::move(answer->items);
    page.resource_version = std::move(answer->resource_version);
    options_.continue_token = std::move(answer->next);
    done_ = options_.continue_token.empty();
    co_return page;
  }
}

rt::Task<Result<ObjectList>> Client::list(Resource resource, ListOptions options) {
  PageLimits limits;
  if (options.page_size > 0) limits.objects = options.page_size;
  PageSize size(limits);
  for (bool again = false;; again = true) {
    ObjectList all;
    PageReader pages(*this, resource, options, size);
    Result<void> failure;
    while (failure && !pages.is_done()) {
      auto page = co_await pages.next();
      if (!page) {
        failure = base::unexpected(std::move(page).error());
        break;
      }
      if (!page->unreadable.empty()) {
        failure = base::unexpected(ErrorKind::too_large, resource.plural + ": an object is too large to be read");
        break;
      }
      for (doc::Json& object : page->objects) all.items.push_back(std::move(object));
      all.resource_version = std::move(page->resource_version);
    }
    if (failure) co_return all;
    if (again || failure.error().kind != ErrorKind::gone) co_return base::unexpected(std::move(failure).error());
  }
}

}  // namespace sluice::kube
