#include "git/store/libgit2.hpp"

#include <fmt/core.h>
#include <git2/sys/alloc.h>

#include <cstdlib>

#include "git/store/object_store.hpp"

namespace sluice::git::store {

namespace {

// Room for what libgit2 keeps around an object's bytes.
constexpr std::size_t kMaxAllocation = kMaxObjectBytes + (1U << 20U);

void* allocate(std::size_t size, const char* /*file*/, int /*line*/) {
  return size > kMaxAllocation ? nullptr : std::malloc(size);
}
void* reallocate(void* old, std::size_t size, const char* /*file*/, int /*line*/) {
  return size > kMaxAllocation ? nullptr : std::realloc(old, size);
}

}  // namespace

void initialise() {
  static const bool once = [] {
    // The library's own allocator is malloc too, so what was allocated before may be freed after.
    static git_allocator bounded{&allocate, &reallocate, &std::free};
    git_libgit2_opts(GIT_OPT_SET_ALLOCATOR, &bounded);
    git_libgit2_init();
    // Each tree and commit is read once per artifact: caching them gains little.
    git_libgit2_opts(GIT_OPT_SET_CACHE_MAX_SIZE, static_cast<ssize_t>(8) << 20);
    git_libgit2_opts(GIT_OPT_SET_MWINDOW_SIZE, static_cast<std::size_t>(16) << 20);
    git_libgit2_opts(GIT_OPT_SET_MWINDOW_MAPPED_LIMIT, static_cast<std::size_t>(128) << 20);
    return true;
  }();
  static_cast<void>(once);
}

std::string last_error(std::string_view doing) {
  const git_error* error = git_error_last();
  return fmt::format("{}: {}", doing, error && error->message ? error->message : "unknown cause");
}

git_oid to_git_oid(std::string_view text) {
  git_oid oid{};
  git_oid_fromstrn(&oid, text.data(), text.size());
  return oid;
}

Oid from_git_oid(const git_oid& oid) {
  char hex[GIT_OID_SHA1_HEXSIZE];
  git_oid_fmt(hex, &oid);
  return Oid(hex, sizeof hex);
}

bool is_out_of_memory() {
  const git_error* error = git_error_last();
  return error && error->klass == GIT_ERROR_NOMEMORY;
}

base::Unexpected object_too_large() {
  return base::unexpected(base::ErrorKind::too_large,
                          fmt::format("the repository holds an object of more than {} bytes", kMaxObjectBytes));
}

base::Unexpected damaged(std::string message) {
  base::Error error;
  error.kind = base::ErrorKind::io;
  error.reason = ObjectStore::kDamaged;
  error.message = "the local copy is damaged: " + std::move(message);
  return base::unexpected(std::move(error));
}

}  // namespace sluice::git::store
