// Smart HTTP (gitprotocol-http(5)) on libcurl.
//
// libcurl rather than libgit2's own HTTP client, as TLS trust must be per
// repository and not per process; see docs/decisions/0003-git-transport.md.
#include <curl/curl.h>
#include <fmt/core.h>

#include <algorithm>
#include <cstring>
#include <mutex>
#include <optional>
#include <vector>

#include "git/wire/connection.hpp"

namespace sluice::git::wire {

using base::Error;
using base::ErrorKind;
using base::Result;
using base::unexpected;

namespace {

constexpr std::size_t kBufferLimit = 1U << 20U;  // received and not yet read
constexpr int kMaxRedirects = 5;
constexpr std::size_t kShownType = 80;  // of a content type, in a message

template <auto Free>
struct Deleter {
  template <class T>
  void operator()(T* object) const {
    Free(object);
  }
};
using Multi = std::unique_ptr<CURLM, Deleter<curl_multi_cleanup>>;
using Easy = std::unique_ptr<CURL, Deleter<curl_easy_cleanup>>;
using Headers = std::unique_ptr<curl_slist, Deleter<curl_slist_free_all>>;

void curl_once() { [[maybe_unused]] static const CURLcode done = curl_global_init(CURL_GLOBAL_DEFAULT); }

// Multi handles that no conversation uses at the moment. They keep what makes
// the next poll cheap: open connections, and the system's authorities, which
// take 20 ms to parse. libcurl gives a connection only to a transfer with the
// same authorities and client certificate; credentials go with each request.
class IdleHandles {
 public:
  static Multi take() {
    const std::scoped_lock lock(mutex());
    if (idle().empty()) return Multi(make());
    Multi handle = std::move(idle().back());
    idle().pop_back();
    return handle;
  }
  static void give_back(Multi handle) {
    const std::scoped_lock lock(mutex());
    if (idle().size() < kMost) idle().push_back(std::move(handle));
  }

 private:
  static constexpr std::size_t kMost = 4;
  static constexpr long kConnections = 4;  // open ones that a handle keeps

  static CURLM* make() {
    curl_once();
    CURLM* handle = curl_multi_init();
    curl_multi_setopt(handle, CURLMOPT_MAXCONNECTS, kConnections);
    return handle;
  }
  static std::mutex& mutex() {
    static std::mutex instance;
    return instance;
  }
  static std::vector<Multi>& idle() {
    static std::vector<Multi> instance;
    return instance;
  }
};

ErrorKind kind_of(CURLcode code, std::string_view detail) {
  switch (code) {
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_ISSUER_ERROR:
    case CURLE_SSL_CRL_BADFILE: return ErrorKind::untrusted;
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_CERTPROBLEM: return ErrorKind::invalid;
    case CURLE_OUT_OF_MEMORY:
    case CURLE_BAD_FUNCTION_ARGUMENT:
    case CURLE_FAILED_INIT: return ErrorKind::internal;
    case CURLE_OPERATION_TIMEDOUT: return ErrorKind::timeout;
    default: break;
  }
  // A server that wants a client certificate says so with a TLS alert, which
  // arrives as a read error (TLS 1.3) or a handshake error.
  const bool alert = detail.find("alert") != detail.npos;
  const bool of_ours = detail.find("certificate") != detail.npos || detail.find("unknown ca") != detail.npos;
  if (alert && of_ours) return ErrorKind::unauthorized;
  return ErrorKind::unavailable;
}

std::optional<Error> error_of_status(long status, long retry_after) {
  if (status == 200) return std::nullopt;
  Error error;
  error.http_status = static_cast<int>(status);
  switch (status) {
    case 401: error.kind = ErrorKind::unauthorized; break;
    case 403: error.kind = ErrorKind::forbidden; break;
    case 404:
    case 410: error.kind = ErrorKind::not_found; break;
    case 429: error.kind = ErrorKind::rate_limited; break;
    default: error.kind = status >= 500 ? ErrorKind::unavailable : ErrorKind::invalid; break;
  }
  if (retry_after > 0) error.retry_after = std::chrono::seconds(retry_after);
  const char* what = status == 401   ? "the server asks for other credentials"
                     : status == 403 ? "the credentials do not allow this"
                     : status == 404 ? "the repository was not found"
                     : status == 429 ? "the server asks to slow down"
                                     : "the server refused";
  error.message = fmt::format("{} (HTTP {})", what, status);
  return error;
}

curl_blob blob_of(const std::string& text) {
  return {.data = const_cast<char*>(text.data()), .len = text.size(), .flags = CURL_BLOB_COPY};
}

// One request, read as it arrives. What was received and not yet read is
// bounded: libcurl is paused while the reader is behind.
class HttpTransfer final : public ByteStream {
 public:
  HttpTransfer(CURLM* multi, Limits limits) : multi_(multi), limits_(std::move(limits)), easy_(curl_easy_init()) {
    set(CURLOPT_WRITEFUNCTION, &HttpTransfer::on_body);
    set(CURLOPT_WRITEDATA, static_cast<void*>(this));
    set(CURLOPT_ERRORBUFFER, error_text_.data());
    set(CURLOPT_NOSIGNAL, 1L);
    set(CURLOPT_PROTOCOLS_STR, "http,https");
    set(CURLOPT_FOLLOWLOCATION, 0L);
    set(CURLOPT_ACCEPT_ENCODING, "gzip");
    // Some forges answer Git's protocol only to clients that call themselves git/.
    set(CURLOPT_USERAGENT, "git/2.0 (sluice)");
  }
  ~HttpTransfer() override { curl_multi_remove_handle(multi_, easy_.get()); }
  HttpTransfer(const HttpTransfer&) = delete;
  HttpTransfer& operator=(const HttpTransfer&) = delete;

  template <class V>
  void set(CURLoption option, V value) {
    curl_easy_setopt(easy_.get(), option, value);
  }
  void add_header(const std::string& line) { headers_.reset(curl_slist_append(headers_.release(), line.c_str())); }

  // Returns once the status is known and a body byte (or the end) has come.
  Result<void> start() {
    set(CURLOPT_HTTPHEADER, headers_.get());
    curl_multi_add_handle(multi_, easy_.get());
    return pump();
  }

  Result<std::size_t> read(std::span<char> into) override {
    SLUICE_CHECK(pump());
    const std::size_t count = std::min(into.size(), received_.size() - consumed_);
    std::memcpy(into.data(), received_.data() + consumed_, count);
    consumed_ += count;
    if (consumed_ == received_.size()) {
      received_.clear();
      consumed_ = 0;
      if (paused_) {
        paused_ = false;
        curl_easy_pause(easy_.get(), CURLPAUSE_CONT);
      }
    }
    return count;
  }

  long status() const { return info<long>(CURLINFO_RESPONSE_CODE); }
  long retry_after() const { return static_cast<long>(info<curl_off_t>(CURLINFO_RETRY_AFTER)); }
  std::string content_type() const {
    const char* type = info<const char*>(CURLINFO_CONTENT_TYPE);
    return type ? type : "";
  }
  std::string redirect_url() const {
    const char* url = info<const char*>(CURLINFO_REDIRECT_URL);
    return url ? url : "";
  }

 private:
  template <class T>
  T info(CURLINFO which) const {
    T value{};
    curl_easy_getinfo(easy_.get(), which, &value);
    return value;
  }

  static std::size_t on_body(char* data, std::size_t, std::size_t size, void* self) {
    auto& transfer = *static_cast<HttpTransfer*>(self);
    if (transfer.received_.size() > kBufferLimit) {
      transfer.paused_ = true;
      return CURL_WRITEFUNC_PAUSE;
    }
    transfer.received_.append(data, size);
    return size;
  }

  // Runs the transfer until there is something to read or nothing more to come.
  Result<void> pump() {
    const std::stop_callback wake(limits_.stop, [this] { curl_multi_wakeup(multi_); });
    while (received_.empty() && !done_) {
      SLUICE_CHECK(limits_.check());
      int running = 0;
      if (const auto code = curl_multi_perform(multi_, &running); code != CURLM_OK) {
        return unexpected(ErrorKind::internal, curl_multi_strerror(code));
      }
      SLUICE_CHECK(take_outcome());
      if (received_.empty() && !done_) curl_multi_poll(multi_, nullptr, 0, limits_.wait_ms(60'000), nullptr);
    }
    return {};
  }

  Result<void> take_outcome() {
    int left = 0;
    while (const CURLMsg* message = curl_multi_info_read(multi_, &left)) {
      if (message->msg != CURLMSG_DONE || message->easy_handle != easy_.get()) continue;
      done_ = true;
      const CURLcode code = message->data.result;
      if (code == CURLE_OK) continue;
      const std::string detail = error_text_[0] != 0 ? error_text_.data() : curl_easy_strerror(code);
      return unexpected(kind_of(code, detail), detail);
    }
    return {};
  }

  CURLM* multi_;
  Limits limits_;
  Easy easy_;
  Headers headers_;
  std::array<char, CURL_ERROR_SIZE> error_text_{};
  std::string received_;
  std::size_t consumed_ = 0;
  bool paused_ = false;
  bool done_ = false;
};

class HttpConnection final : public Connection {
 public:
  HttpConnection(const Endpoint& endpoint, HttpAuth auth)
      : multi_(IdleHandles::take()), auth_(std::move(auth)), base_(endpoint.origin() + endpoint.path) {
    while (base_.ends_with('/')) base_.pop_back();
  }
  // A transfer must leave the multi handle before that is freed.
  ~HttpConnection() override {
    transfer_.reset();
    IdleHandles::give_back(std::move(multi_));
  }

  bool stateless() const override { return true; }

  Result<ByteStream*> advertisement(const Limits& limits) override {
    for (int hop = 0; hop <= kMaxRedirects; ++hop) {
      prepare(base_ + kAdvertisement, limits);
      SLUICE_CHECK(transfer_->start());
      const long status = transfer_->status();
      const bool redirect = status >= 301 && status <= 308 && status != 304 && status != 305;
      if (!redirect) return answer("application/x-git-upload-pack-advertisement");
      SLUICE_CHECK(follow(transfer_->redirect_url()));
    }
    return unexpected(ErrorKind::unavailable, fmt::format("more than {} redirects", kMaxRedirects));
  }

  Result<ByteStream*> exchange(const std::string& request, const Limits& limits) override {
    prepare(base_ + "/git-upload-pack", limits);
    transfer_->add_header("Content-Type: application/x-git-upload-pack-request");
    transfer_->add_header("Accept: application/x-git-upload-pack-result");
    transfer_->add_header("Expect:");  // no extra round trip for a small body
    transfer_->set(CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(request.size()));
    transfer_->set(CURLOPT_COPYPOSTFIELDS, request.data());
    SLUICE_CHECK(transfer_->start());
    return answer("application/x-git-upload-pack-result");
  }

 private:
  static constexpr const char* kAdvertisement = "/info/refs?service=git-upload-pack";

  void prepare(const std::string& url, const Limits& limits) {
    transfer_.reset();
    transfer_ = std::make_unique<HttpTransfer>(multi_.get(), limits);
    transfer_->set(CURLOPT_URL, url.c_str());
    if (auth_.tls.ca.empty()) {
      // Authorities from one file are parsed once per handle, from a folder each time.
      transfer_->set(CURLOPT_CAPATH, static_cast<const char*>(nullptr));
    } else {
      // Joins the system's authorities, for this handle alone.
      auto ca = blob_of(auth_.tls.ca);
      transfer_->set(CURLOPT_CAINFO_BLOB, &ca);
    }
    if (!auth_.tls.cert.empty()) {
      auto cert = blob_of(auth_.tls.cert);
      auto key = blob_of(auth_.tls.key);
      transfer_->set(CURLOPT_SSLCERT_BLOB, &cert);
      transfer_->set(CURLOPT_SSLKEY_BLOB, &key);
    }
    if (!auth_.bearer_token.empty()) {
      transfer_->add_header("Authorization: Bearer " + auth_.bearer_token);
    } else if (!auth_.username.empty()) {
      transfer_->set(CURLOPT_HTTPAUTH, static_cast<long>(CURLAUTH_BASIC));
      transfer_->set(CURLOPT_USERNAME, auth_.username.c_str());
      transfer_->set(CURLOPT_PASSWORD, auth_.password.c_str());
    }
  }

  Result<ByteStream*> answer(std::string_view content_type) {
    if (auto error = error_of_status(transfer_->status(), transfer_->retry_after())) {
      return unexpected(*std::move(error));
    }
    if (const auto type = transfer_->content_type(); !type.starts_with(content_type)) {
      return unexpected(ErrorKind::unavailable, fmt::format("the server answered with '{}' where Git's smart protocol "
                                                            "was expected",
                                                            std::string_view(type).substr(0, kShownType)));
    }
    return transfer_.get();
  }

  // Git: only the first request of a conversation may be redirected, and the
  // rest of it goes to where that led (git-config(1), http.followRedirects).
  // Credentials are given to the origin that the user named and to no other.
  Result<void> follow(const std::string& location) {
    const std::string_view suffix = kAdvertisement;
    if (!location.ends_with(suffix)) {
      return unexpected(ErrorKind::unavailable, "the server redirects to something that is not a Git repository");
    }
    const std::string next = location.substr(0, location.size() - suffix.size());
    SLUICE_TRY(const Endpoint to, parse_endpoint(next));
    SLUICE_TRY(const Endpoint from, parse_endpoint(base_));
    if (to.scheme == Scheme::ssh || (from.scheme == Scheme::https && to.scheme == Scheme::http)) {
      return unexpected(ErrorKind::untrusted,
                        fmt::format("the server redirects to '{}', which is less protected", to.origin()));
    }
    if (to.origin() != from.origin()) {
      const TlsMaterial authorities{.ca = auth_.tls.ca, .cert = {}, .key = {}};
      auth_ = HttpAuth{.username = {}, .password = {}, .bearer_token = {}, .tls = authorities};
    }
    base_ = to.origin() + to.path;
    return {};
  }

  Multi multi_;
  HttpAuth auth_;
  std::string base_;
  std::unique_ptr<HttpTransfer> transfer_;
};

}  // namespace

std::unique_ptr<Connection> make_http_connection(const Endpoint& endpoint, const HttpAuth& auth) {
  return std::make_unique<HttpConnection>(endpoint, auth);
}

}  // namespace sluice::git::wire
