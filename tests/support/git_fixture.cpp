#include "support/git_fixture.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <sstream>
#include <stdexcept>

namespace sluice::test {

namespace fs = std::filesystem;

BareRepository::BareRepository(const fs::path& root, const std::string& name)
    : name_(name), path_(root / (name + ".git")) {
  run({"git", "init", "--quiet", "--bare", "--initial-branch=main", path_.string()});
}

std::string BareRepository::git(std::vector<std::string> arguments, const std::string& input) const {
  std::vector<std::string> command{"git", "-c", "safe.directory=*", "-C", path_.string()};
  command.insert(command.end(), arguments.begin(), arguments.end());
  return run(command, input);
}

std::string BareRepository::import(const std::string& branch, const std::string& from,
                                   const std::vector<FileChange>& changes, const std::string& message) {
  const std::string ref = "refs/heads/" + branch;
  std::ostringstream stream;
  stream << "commit " << ref << "\nauthor Ann Author <ann@example.com> " << clock_
         << " +0000\ncommitter Carl Committer <carl@example.com> " << clock_ + 60 << " +0000\ndata " << message.size()
         << '\n'
         << message << '\n';
  clock_ += 100;
  if (!from.empty()) stream << "from " << from << '\n';
  for (const auto& change : changes) {
    if (change.mode.empty()) {
      stream << "D " << change.path << '\n';
    } else if (change.mode == "160000") {
      stream << "M 160000 " << change.content << ' ' << change.path << '\n';
    } else {
      stream << "M " << change.mode << " inline " << change.path << "\ndata " << change.content.size() << '\n'
             << change.content << '\n';
    }
  }
  git({"fast-import", "--quiet", "--force"}, stream.str());
  return git({"rev-parse", ref});
}

std::string BareRepository::commit(const std::string& branch, const std::vector<FileChange>& changes,
                                   const std::string& message) {
  const bool exists = !git({"for-each-ref", "refs/heads/" + branch}).empty();
  return import(branch, exists ? "refs/heads/" + branch + "^0" : "", changes, message);
}

std::string BareRepository::force(const std::string& branch, const std::vector<FileChange>& changes) {
  return import(branch, "", changes, "rewritten");
}

std::string BareRepository::annotated_tag(const std::string& tag, const std::string& commit) {
  git({"-c", "user.name=Tim", "-c", "user.email=tim@example.com", "tag", "-a", "-m", "release", tag, commit});
  return git({"rev-parse", "refs/tags/" + tag});
}

GitHttpServer::GitHttpServer(const fs::path& root, std::vector<std::string> options) {
  std::vector<std::string> command{"python3", "tests/support/git_http_server.py", "--root", root.string(),
                                   "--log",   (log_folder_ / "requests").string()};
  command.insert(command.end(), options.begin(), options.end());
  server_ = std::make_unique<Server>(command);
  const std::string prefix = "listening ";
  if (!server_->first_line().starts_with(prefix)) throw std::runtime_error("the Git server did not start");
  origin_ = server_->first_line().substr(prefix.size());
}

std::string GitHttpServer::host_and_port() const { return origin_.substr(origin_.find("//") + 2); }

std::vector<std::string> GitHttpServer::requests() const {
  std::vector<std::string> lines;
  std::ifstream in(log_folder_ / "requests");
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

int GitHttpServer::packs() const {
  int count = 0;
  for (const auto& line : requests()) count += line.starts_with("POST ") ? 1 : 0;
  return count;
}

Certificate::Certificate(const TempDir& folder, const std::string& name)
    : cert(folder / (name + ".crt")), key(folder / (name + ".key")) {
  run({"openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
       "-subj", "/CN=" + name, "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key.string(), "-out",
       cert.string()});
}

SshKey::SshKey(const TempDir& folder, const std::string& name, const std::string& type, const std::string& passphrase)
    : file(folder / name) {
  std::vector<std::string> command{"ssh-keygen", "-q", "-t", type, "-N", passphrase, "-C", "test", "-f", file.string()};
  if (type == "rsa") command.insert(command.end(), {"-b", "2048"});
  run(command);
}

std::string SshKey::base64() const {
  std::istringstream words(public_key());
  std::string type;
  std::string key;
  words >> type >> key;
  return type + " " + key;
}

bool SshServer::available() { return fs::exists("/usr/sbin/sshd"); }

SshServer::SshServer(const std::vector<SshKey>& host_keys, const std::vector<SshKey>& users) {
  std::ostringstream config;
  std::ostringstream authorized;
  for (const auto& key : host_keys) config << "HostKey " << key.file.string() << '\n';
  for (const auto& key : users) authorized << key.public_key();
  write_file(folder_ / "authorized_keys", authorized.str());
  config << "AuthorizedKeysFile " << (folder_ / "authorized_keys").string()
         << "\nStrictModes no\nUsePAM no\nPermitRootLogin yes\nPasswordAuthentication no\n"
            "KbdInteractiveAuthentication no\nPidFile none\nLogLevel VERBOSE\n";
  write_file(folder_ / "sshd_config", config.str());
  if (::geteuid() == 0) fs::create_directories("/run/sshd");  // sshd(8) insists on it when it is root

  listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  if (::bind(listener_, reinterpret_cast<sockaddr*>(&address), size) != 0 || ::listen(listener_, 16) != 0) {
    throw std::runtime_error("no port for sshd");
  }
  ::getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size);
  port_ = ntohs(address.sin_port);
  acceptor_ = std::thread([this] { serve(); });
}

void SshServer::serve() {
  while (!stopping_) {
    pollfd waiting{.fd = listener_, .events = POLLIN, .revents = 0};
    if (::poll(&waiting, 1, 20) <= 0) continue;
    const int fd = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    if (fd < 0) continue;
    children_.push_back(
        spawn_on(fd, {"/usr/sbin/sshd", "-i", "-e", "-f", (folder_ / "sshd_config").string()}, folder_ / "sshd.log"));
    ::close(fd);
  }
}

SshServer::~SshServer() {
  stopping_ = true;
  acceptor_.join();
  ::close(listener_);
  for (const pid_t child : children_) {
    ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);
  }
}

std::string SshServer::origin() const {
  const passwd* user = ::getpwuid(::geteuid());
  return "ssh://" + std::string(user ? user->pw_name : "root") + "@127.0.0.1:" + std::to_string(port_);
}

std::string SshServer::known_hosts_name() const { return "[127.0.0.1]:" + std::to_string(port_); }

}  // namespace sluice::test
