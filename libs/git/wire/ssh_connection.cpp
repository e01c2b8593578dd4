// git-upload-pack over SSH, on libssh.
//
// libssh rather than libgit2's libssh2: Debian 12's libssh2 can not sign with
// RSA keys in the way that servers have required since SHA-1 went; and deadline,
// stop and host keys are per connection here. See docs/decisions/0003-git-transport.md.
#include <fmt/core.h>
#include <libssh/libssh.h>
#include <poll.h>

#include <mutex>
#include <optional>

#include "git/wire/connection.hpp"
#include "git/wire/known_hosts.hpp"
#include "git/wire/tcp.hpp"

namespace sluice::git::wire {

using base::ErrorKind;
using base::Result;
using base::unexpected;

namespace {

struct SessionFree {
  void operator()(ssh_session session) const {
    ssh_disconnect(session);
    ssh_free(session);
  }
};
struct ChannelFree {
  void operator()(ssh_channel channel) const { ssh_channel_free(channel); }
};
struct KeyFree {
  void operator()(ssh_key key) const { ssh_key_free(key); }
};
using Session = std::unique_ptr<std::remove_pointer_t<ssh_session>, SessionFree>;
using Channel = std::unique_ptr<std::remove_pointer_t<ssh_channel>, ChannelFree>;
using Key = std::unique_ptr<std::remove_pointer_t<ssh_key>, KeyFree>;

// Of a server's own words: whoever may name a server here must not read much of what is behind it.
constexpr std::size_t kStderrLimit = 500;

// Words for sh(1): what upload-pack gets is the path, whatever it holds.
std::string shell_quote(std::string_view text) {
  std::string out = "'";
  for (const char c : text) {
    if (c == '\'' || c == '!') {
      out += fmt::format("'\\{}'", c);
    } else {
      out += c;
    }
  }
  return out + "'";
}

// The signature algorithms under which a server shows a key of this type.
std::string host_key_algorithms(const std::vector<std::string>& types) {
  std::string out;
  for (const auto& type : types) {
    if (!out.empty()) out += ',';
    out += type == "ssh-rsa" ? "rsa-sha2-512,rsa-sha2-256" : type;
  }
  return out;
}

std::string one_line(std::string text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r')) text.pop_back();
  for (char& c : text) {
    if (static_cast<unsigned char>(c) < 0x20) c = ' ';
  }
  return text;
}

class SshConnection final : public Connection, private ByteStream {
 public:
  SshConnection(const Endpoint& endpoint, SshAuth auth) : endpoint_(endpoint), auth_(std::move(auth)) {}

  bool stateless() const override { return false; }

  Result<ByteStream*> advertisement(const Limits& limits) override {
    limits_ = limits;
    SLUICE_TRY(const auto hosts, KnownHosts::parse(auth_.known_hosts, endpoint_.host, endpoint_.port));
    if (hosts.key_types().empty()) {
      return unexpected(ErrorKind::untrusted, fmt::format("known_hosts has no key for {}", hosts.host()));
    }
    SLUICE_TRY(const Key key, private_key());
    SLUICE_CHECK(connect(hosts));
    SLUICE_CHECK(verify_host(hosts));
    SLUICE_CHECK(authenticate(key.get()));
    SLUICE_CHECK(run_upload_pack());
    return static_cast<ByteStream*>(this);
  }

  Result<ByteStream*> exchange(const std::string& request, const Limits& limits) override {
    limits_ = limits;
    for (std::size_t sent = 0; sent < request.size();) {
      const int count =
          ssh_channel_write(channel_.get(), request.data() + sent, static_cast<std::uint32_t>(request.size() - sent));
      if (count == SSH_ERROR) return failure("sending the request");
      sent += static_cast<std::size_t>(count);
      if (count == 0) SLUICE_CHECK(wait());
    }
    return static_cast<ByteStream*>(this);
  }

 private:
  Result<Key> private_key() {
    ssh_key key = nullptr;
    // An empty passphrase, not none: with none libssh would ask the terminal.
    const int code =
        ssh_pki_import_privkey_base64(auth_.private_key.c_str(), auth_.passphrase.c_str(), nullptr, nullptr, &key);
    if (code == SSH_OK) return Key(key);
    const char* hint = auth_.passphrase.empty() ? "it is malformed, or encrypted and no 'password' was given"
                                                : "it is malformed, or 'password' does not decrypt it";
    return unexpected(ErrorKind::invalid, fmt::format("the SSH private key 'identity' can not be read: {}", hint));
  }

  Result<void> connect(const KnownHosts& hosts) {
    static std::once_flag once;
    std::call_once(once, [] { ssh_init(); });
    session_.reset(ssh_new());
    if (!session_) return unexpected(ErrorKind::internal, "no SSH session could be made");
    const bool no_config = false;  // neither ~/.ssh/config nor /etc/ssh/ssh_config has a say
    const int quiet = SSH_LOG_NOLOG;
    ssh_options_set(session_.get(), SSH_OPTIONS_PROCESS_CONFIG, &no_config);
    ssh_options_set(session_.get(), SSH_OPTIONS_LOG_VERBOSITY, &quiet);
    ssh_options_set(session_.get(), SSH_OPTIONS_HOST, endpoint_.host.c_str());
    ssh_options_set(session_.get(), SSH_OPTIONS_USER, auth_.username.c_str());
    const std::string algorithms = host_key_algorithms(hosts.key_types());
    if (ssh_options_set(session_.get(), SSH_OPTIONS_HOSTKEYS, algorithms.c_str()) != SSH_OK) {
      return unexpected(ErrorKind::unsupported, fmt::format("known_hosts lists only {} for {}, which is not offered",
                                                            algorithms, hosts.host()));
    }
    SLUICE_TRY(Socket socket, connect_tcp(endpoint_.host, endpoint_.port, limits_));
    socket_fd_ = socket.release();  // libssh closes it
    ssh_options_set(session_.get(), SSH_OPTIONS_FD, &socket_fd_);
    ssh_set_blocking(session_.get(), 0);
    SLUICE_TRY(const int code, drive([this] { return ssh_connect(session_.get()); }, SSH_AGAIN));
    if (code == SSH_OK) return {};
    const std::string_view cause = ssh_get_error(session_.get());
    if (cause.find("server host key") != cause.npos || cause.find("hostkey") != cause.npos) {
      return unexpected(ErrorKind::untrusted,
                        fmt::format("the host key of {} is not the one in known_hosts: the server has none of type {}",
                                    hosts.host(), algorithms));
    }
    return failure("the SSH handshake");
  }

  Result<void> verify_host(const KnownHosts& hosts) {
    ssh_key raw = nullptr;
    if (ssh_get_server_publickey(session_.get(), &raw) != SSH_OK) return failure("reading the host key");
    const Key key(raw);
    char* text = nullptr;
    if (ssh_pki_export_pubkey_base64(raw, &text) != SSH_OK) return failure("reading the host key");
    const std::string blob(text);
    ssh_string_free_char(text);
    const char* ecdsa = ssh_pki_key_ecdsa_name(raw);
    const bool is_ecdsa = std::string_view(ssh_key_type_to_char(ssh_key_type(raw))).starts_with("ecdsa");
    return hosts.check(is_ecdsa && ecdsa ? ecdsa : ssh_key_type_to_char(ssh_key_type(raw)), blob);
  }

  Result<void> authenticate(ssh_key key) {
    SLUICE_TRY(const int code,
               drive([&] { return ssh_userauth_publickey(session_.get(), nullptr, key); }, SSH_AUTH_AGAIN));
    if (code == SSH_AUTH_SUCCESS) return {};
    if (code == SSH_AUTH_ERROR && !ssh_is_connected(session_.get())) return failure("authenticating");
    return unexpected(ErrorKind::unauthorized,
                      fmt::format("the server does not accept the SSH key 'identity' for user '{}'", auth_.username));
  }

  Result<void> run_upload_pack() {
    SLUICE_TRY(std::string path, percent_decode(endpoint_.path));
    if (path.starts_with("/~")) path.erase(0, 1);  // Git: ssh://host/~user/repo is below a home folder
    channel_.reset(ssh_channel_new(session_.get()));
    if (!channel_) return failure("opening a channel");
    SLUICE_TRY(const int opened, drive([this] { return ssh_channel_open_session(channel_.get()); }, SSH_AGAIN));
    if (opened != SSH_OK) return failure("opening a channel");
    const std::string command = "git-upload-pack " + shell_quote(path);
    SLUICE_TRY(const int started,
               drive([&] { return ssh_channel_request_exec(channel_.get(), command.c_str()); }, SSH_AGAIN));
    if (started != SSH_OK) return failure("starting git-upload-pack");
    return {};
  }

  Result<std::size_t> read(std::span<char> into) override {
    for (;;) {
      const int count =
          ssh_channel_read_nonblocking(channel_.get(), into.data(), static_cast<std::uint32_t>(into.size()), 0);
      if (count > 0) {
        anything_read_ = true;
        return static_cast<std::size_t>(count);
      }
      collect_stderr();
      if (count == SSH_ERROR) return failure("reading the answer");
      if (count == SSH_EOF || ssh_channel_is_eof(channel_.get())) return at_end();
      SLUICE_CHECK(wait());
    }
  }

  // A server that has nothing to say on stdout says why on stderr.
  Result<std::size_t> at_end() {
    collect_stderr();
    const std::string said = one_line(stderr_);
    if (anything_read_ || said.empty()) return std::size_t{0};
    const bool missing = said.find("not found") != said.npos || said.find("does not exist") != said.npos ||
                         said.find("does not appear to be a git repository") != said.npos;
    return unexpected(missing ? ErrorKind::not_found : ErrorKind::unavailable, "the server says: " + said);
  }

  void collect_stderr() {
    char buffer[512];
    for (;;) {
      const int count = ssh_channel_read_nonblocking(channel_.get(), buffer, sizeof buffer, 1);
      if (count <= 0) return;
      const auto room = kStderrLimit - std::min(kStderrLimit, stderr_.size());
      stderr_.append(buffer, std::min(static_cast<std::size_t>(count), room));
    }
  }

  // Calls a libssh function until it no longer says "again".
  template <class Call>
  Result<int> drive(Call call, int again) {
    for (;;) {
      SLUICE_CHECK(limits_.check());
      const int code = call();
      if (code != again) return code;
      SLUICE_CHECK(wait());
    }
  }

  Result<void> wait() {
    const int flags = ssh_get_poll_flags(session_.get());
    const short events = static_cast<short>(POLLIN | ((flags & SSH_WRITE_PENDING) != 0 ? POLLOUT : 0));
    return wait_for(socket_fd_, events, limits_);
  }

  base::Unexpected failure(std::string_view doing) const {
    return unexpected(ErrorKind::unavailable, fmt::format("{}: {}", doing, one_line(ssh_get_error(session_.get()))));
  }

  Endpoint endpoint_;
  SshAuth auth_;
  Limits limits_;
  int socket_fd_ = -1;
  Session session_;
  Channel channel_;  // below the session, as it must go first
  std::string stderr_;
  bool anything_read_ = false;
};

}  // namespace

std::unique_ptr<Connection> make_ssh_connection(const Endpoint& endpoint, const SshAuth& auth) {
  return std::make_unique<SshConnection>(endpoint, auth);
}

}  // namespace sluice::git::wire
