// Servers on threads of their own, for what a sane server does not do: each
// connection is handed to a function, as a plain socket or a TLS session.
#pragma once

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace sluice::test {

// Calls `serve(fd, n)` for the n-th connection, n from 1, and closes it after.
class SocketServer {
 public:
  using Serve = std::function<void(int fd, int number)>;

  explicit SocketServer(Serve serve)
      : serve_(std::move(serve)), listener_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    if (::bind(listener_, reinterpret_cast<sockaddr*>(&address), size) != 0 || ::listen(listener_, 64) != 0 ||
        ::getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size) != 0) {
      throw std::runtime_error("test server cannot listen");
    }
    port_ = ntohs(address.sin_port);
    acceptor_ = std::thread([this] { accept_all(); });
  }
  ~SocketServer() { stop(); }
  SocketServer(const SocketServer&) = delete;
  SocketServer& operator=(const SocketServer&) = delete;

  int port() const { return port_; }
  int connections() const { return count_; }
  void stop() {
    if (!acceptor_.joinable()) return;
    ::shutdown(listener_, SHUT_RDWR);
    acceptor_.join();
    {
      const std::lock_guard lock(mutex_);
      for (const int fd : open_) ::shutdown(fd, SHUT_RDWR);
    }
    for (std::thread& worker : workers_) worker.join();
    ::close(listener_);
  }

 private:
  // OpenSSL writes to a client that may be gone; that is the server's affair, and says nothing of the client.
  static void leave_sigpipe_pending() {
    sigset_t blocked;
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGPIPE);
    ::pthread_sigmask(SIG_BLOCK, &blocked, nullptr);
  }
  void accept_all() {
    while (true) {
      const int fd = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
      if (fd < 0) return;
      const int number = ++count_;
      const std::lock_guard lock(mutex_);
      open_.push_back(fd);
      workers_.emplace_back([this, fd, number] {
        leave_sigpipe_pending();
        serve_(fd, number);
        const std::lock_guard inner(mutex_);
        open_.remove(fd);
        ::close(fd);
      });
    }
  }

  Serve serve_;
  int listener_;
  int port_ = 0;
  std::atomic<int> count_ = 0;
  std::mutex mutex_;
  std::list<int> open_;
  std::vector<std::thread> workers_;
  std::thread acceptor_;
};

inline void send_text(int fd, std::string_view text) {
  static_cast<void>(::send(fd, text.data(), text.size(), MSG_NOSIGNAL));
}

// One request's head and body (by Content-Length); "" at the end.
template <class Read>
std::string read_request(const Read& read) {
  std::string text;
  std::size_t needed = std::string::npos;
  char buffer[4096];
  while (text.size() < needed) {
    const auto got = read(buffer, sizeof buffer);
    if (got <= 0) return {};
    text.append(buffer, static_cast<std::size_t>(got));
    const std::size_t end = text.find("\r\n\r\n");
    if (needed == std::string::npos && end != std::string::npos) {
      const std::size_t field = text.find("Content-Length: ");
      needed = end + 4 + (field < end ? std::stoul(text.substr(field + 16)) : 0);
    }
  }
  return text;
}
inline std::string read_request(int fd) {
  return read_request([fd](char* data, std::size_t size) { return ::recv(fd, data, size, 0); });
}
inline std::string answer_of(std::string_view body) {
  return "HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + std::string(body);
}

// A key with a certificate for it, as PEM and as OpenSSL's objects.
struct Identity {
  std::shared_ptr<EVP_PKEY> key;
  std::shared_ptr<X509> certificate;
  std::string certificate_pem;
  std::string key_pem;
};

// `alternative`: "DNS:localhost" or "IP:127.0.0.1"; empty for an authority.
inline Identity make_identity(const std::string& name, const std::string& alternative, const Identity* issuer,
                              const std::string& pass_phrase = {}) {
  Identity out;
  out.key.reset(EVP_EC_gen("P-256"), EVP_PKEY_free);
  out.certificate.reset(X509_new(), X509_free);
  X509* certificate = out.certificate.get();
  X509_set_version(certificate, 2);
  static std::atomic<long> serial = 1;
  ASN1_INTEGER_set(X509_get_serialNumber(certificate), ++serial);
  X509_gmtime_adj(X509_getm_notBefore(certificate), -3600);
  X509_gmtime_adj(X509_getm_notAfter(certificate), 3600);
  X509_set_pubkey(certificate, out.key.get());
  X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate), "CN", MBSTRING_ASC,
                             reinterpret_cast<const unsigned char*>(name.c_str()), -1, -1, 0);
  X509* signer = issuer == nullptr ? certificate : issuer->certificate.get();
  X509_set_issuer_name(certificate, X509_get_subject_name(signer));
  X509V3_CTX context;
  X509V3_set_ctx(&context, signer, certificate, nullptr, nullptr, 0);
  const auto extend = [&](int nid, const char* value) {
    X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, &context, nid, value);
    X509_add_ext(certificate, extension, -1);
    X509_EXTENSION_free(extension);
  };
  extend(NID_basic_constraints, alternative.empty() ? "critical,CA:TRUE" : "critical,CA:FALSE");
  if (!alternative.empty()) extend(NID_subject_alt_name, alternative.c_str());
  X509_sign(certificate, issuer == nullptr ? out.key.get() : issuer->key.get(), EVP_sha256());
  const auto pem = [](const auto& write) {
    const std::unique_ptr<BIO, int (*)(BIO*)> bio(BIO_new(BIO_s_mem()), BIO_free);
    write(bio.get());
    char* data = nullptr;
    const long size = BIO_get_mem_data(bio.get(), &data);
    return std::string(data, static_cast<std::size_t>(size));
  };
  out.certificate_pem = pem([&](BIO* bio) { PEM_write_bio_X509(bio, certificate); });
  out.key_pem = pem([&](BIO* bio) {
    const auto* phrase = reinterpret_cast<const unsigned char*>(pass_phrase.data());
    PEM_write_bio_PrivateKey(bio, out.key.get(), pass_phrase.empty() ? nullptr : EVP_aes_128_cbc(), phrase,
                             static_cast<int>(pass_phrase.size()), nullptr, nullptr);
  });
  return out;
}

struct TlsServerOptions {
  const Identity* client_authority = nullptr;  // then a client certificate of it is required
  int version = TLS1_3_VERSION;
};

// Answers each request on each connection with 200 and "hello".
class TlsServer {
 public:
  TlsServer(const Identity& identity, TlsServerOptions options = {})
      : context_(SSL_CTX_new(TLS_server_method()), SSL_CTX_free), server_([this](int fd, int) { serve(fd); }) {
    SSL_CTX_set_max_proto_version(context_.get(), options.version);
    SSL_CTX_use_certificate(context_.get(), identity.certificate.get());
    SSL_CTX_use_PrivateKey(context_.get(), identity.key.get());
    if (options.client_authority != nullptr) {
      X509_STORE_add_cert(SSL_CTX_get_cert_store(context_.get()), options.client_authority->certificate.get());
      SSL_CTX_set_verify(context_.get(), SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
    }
  }
  int port() const { return server_.port(); }
  int connections() const { return server_.connections(); }

 private:
  void serve(int fd) {
    const std::unique_ptr<SSL, void (*)(SSL*)> session(SSL_new(context_.get()), SSL_free);
    SSL_set_fd(session.get(), fd);
    if (SSL_accept(session.get()) != 1) {
      ERR_clear_error();
      ::shutdown(fd, SHUT_WR);  // an orderly end, so that the alert is not lost
      char byte = 0;
      while (::recv(fd, &byte, 1, 0) > 0) {
      }
      return;
    }
    while (!read_request([&](char* data, std::size_t size) {
              return SSL_read(session.get(), data, static_cast<int>(size));
            }).empty()) {
      const std::string answer = answer_of("hello");
      SSL_write(session.get(), answer.data(), static_cast<int>(answer.size()));
    }
    SSL_shutdown(session.get());
    ERR_clear_error();
  }

  std::shared_ptr<SSL_CTX> context_;
  SocketServer server_;
};

}  // namespace sluice::test
