// Real Git repositories and real servers of them, for tests.
#pragma once

#include <atomic>
#include <filesystem>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "support/process.hpp"

namespace sluice::test {

struct FileChange {
  std::string path;
  std::string content;          // for mode 160000: the commit
  std::string mode = "100644";  // 100755, 120000 (link), 160000 (submodule), "" to remove
};

// A bare repository, written with `git fast-import`.
class BareRepository {
 public:
  BareRepository(const std::filesystem::path& root, const std::string& name);
  // Adds a commit on top of the branch (or a first one) and returns its id.
  std::string commit(const std::string& branch, const std::vector<FileChange>& changes,
                     const std::string& message = "change");
  // Replaces the branch by a commit with no parent, as a forced push does.
  std::string force(const std::string& branch, const std::vector<FileChange>& changes);
  // Returns the id of the tag object.
  std::string annotated_tag(const std::string& tag, const std::string& commit);
  std::string git(std::vector<std::string> arguments, const std::string& input = {}) const;
  const std::filesystem::path& path() const { return path_; }
  const std::string& name() const { return name_; }

 private:
  std::string import(const std::string& branch, const std::string& from, const std::vector<FileChange>& changes,
                     const std::string& message);
  std::string name_;
  std::filesystem::path path_;
  int clock_ = 1'700'000'000;
};

// tests/support/git_http_server.py over a folder. options: its flags.
class GitHttpServer {
 public:
  explicit GitHttpServer(const std::filesystem::path& root, std::vector<std::string> options = {});
  // http://127.0.0.1:PORT
  const std::string& origin() const { return origin_; }
  std::string host_and_port() const;
  // One line per request: METHOD PATH STATUS authorized|anonymous
  std::vector<std::string> requests() const;
  // Number of packs that were asked for.
  int packs() const;

 private:
  TempDir log_folder_;
  std::unique_ptr<Server> server_;
  std::string origin_;
};

// Key pair and self-signed certificate for 127.0.0.1, as PEM files.
struct Certificate {
  explicit Certificate(const TempDir& folder, const std::string& name);
  std::filesystem::path cert;
  std::filesystem::path key;
};

struct SshKey {
  SshKey(const TempDir& folder, const std::string& name, const std::string& type, const std::string& passphrase = {});
  std::filesystem::path file;
  std::string private_key() const { return read_file(file); }
  std::string public_key() const { return read_file(file.string() + ".pub"); }  // "type base64 comment"
  std::string base64() const;
};

// OpenSSH's sshd on a free port of loopback, started per connection.
class SshServer {
 public:
  SshServer(const std::vector<SshKey>& host_keys, const std::vector<SshKey>& users);
  ~SshServer();
  static bool available();

  // ssh://user@127.0.0.1:PORT, where user is whoever runs the tests
  std::string origin() const;
  std::string known_hosts_name() const;  // [127.0.0.1]:PORT
  std::string log() const { return read_file(folder_ / "sshd.log"); }

 private:
  void serve();

  TempDir folder_;
  int listener_ = -1;
  int port_ = 0;
  std::atomic<bool> stopping_ = false;
  std::thread acceptor_;
  std::vector<pid_t> children_;
};

}  // namespace sluice::test
