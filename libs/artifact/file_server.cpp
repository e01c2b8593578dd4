#include "artifact/file_server.hpp"

#include <sys/stat.h>

#include <optional>
#include <utility>

#include "artifact/detail/path.hpp"
#include "http/server.hpp"

namespace sluice::artifact {

namespace fs = std::filesystem;

namespace {

class HttpFileServer final : public FileServer {
 public:
  explicit HttpFileServer(std::unique_ptr<http::Server> server) : server_(std::move(server)) {}
  int port() const override { return server_->port(); }
  void stop() override { server_->stop(); }

 private:
  std::unique_ptr<http::Server> server_;
};

http::Reply not_found() { return {404, {}, std::string("404 page not found\n")}; }

// The size of a regular file that is reached without a symbolic link.
std::optional<std::uint64_t> size_of(const fs::path& root, std::string_view path) {
  fs::path at = root;
  struct stat status {};
  for (const auto& part : fs::path(path)) {
    at /= part;
    if (::lstat(at.c_str(), &status) != 0 || S_ISLNK(status.st_mode)) return std::nullopt;
  }
  if (!S_ISREG(status.st_mode)) return std::nullopt;
  return static_cast<std::uint64_t>(status.st_size);
}

http::Reply answer(const fs::path& root, const http::Request& request) {
  if (request.method != "GET" && request.method != "HEAD") return not_found();
  std::string_view path = request.target;
  path = path.substr(0, path.find_first_of("?#"));
  // A path part never needs an escape, so there is none to decode.
  if (!path.starts_with('/') || !detail::is_artifact_path(path.substr(1))) return not_found();
  path.remove_prefix(1);
  // On the loop: four lookups of names that the kernel has cached. On the pool
  // they would wait behind repositories that are slow to answer.
  const auto size = size_of(root, path);
  if (!size) return not_found();
  http::Reply reply;
  reply.headers.set("Content-Type", path.ends_with(".gz") || path.ends_with(".tgz") ? "application/gzip"
                                                                                    : "application/octet-stream");
  reply.body = http::FileBody{(root / path).string(), 0, *size};
  return reply;
}

rt::Task<http::Reply> serve(std::shared_ptr<const fs::path> root, http::Request request) {
  co_return answer(*root, request);
}

}  // namespace

base::Result<std::unique_ptr<FileServer>> FileServer::start(rt::Runtime& runtime, const std::string& address,
                                                            fs::path root) {
  const auto shared_root = std::make_shared<const fs::path>(std::move(root));
  auto handler = [shared_root](http::Request request) { return serve(shared_root, std::move(request)); };
  auto server = http::Server::start(runtime, address, std::move(handler));
  if (!server) return base::unexpected(std::move(server).error());
  return std::unique_ptr<FileServer>(std::make_unique<HttpFileServer>(*std::move(server)));
}

}  // namespace sluice::artifact
