// Serves the artifacts of a Store over HTTP. Runs on the loop; owned by the
// daemon that publishes them.
//
// GET and HEAD of `/<kind>/<namespace>/<name>/<file>`; all else is 404: no
// listings, no hidden files, no symbolic links, nothing above the root.
#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "base/result.hpp"
#include "rt/runtime.hpp"

namespace sluice::artifact {

class FileServer {
 public:
  // Listens on `address` (":9090") until stop() or destruction. `invalid`
  // (address), `io` (cannot bind).
  static base::Result<std::unique_ptr<FileServer>> start(rt::Runtime& runtime, const std::string& address,
                                                         std::filesystem::path root);
  virtual ~FileServer() = default;
  virtual int port() const = 0;
  virtual void stop() = 0;
};

}  // namespace sluice::artifact
