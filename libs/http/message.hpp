// HTTP requests and responses as plain values (RFC 9110).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace sluice::http {

// Field names compare without case; order is kept.
class Headers {
 public:
  Headers() = default;
  Headers(std::initializer_list<std::pair<std::string, std::string>> fields) : fields_(fields) {}
  void set(std::string name, std::string value);  // replaces fields of that name
  void add(std::string name, std::string value);
  // The first value of that name, or "".
  std::string_view find(std::string_view name) const noexcept;
  bool contains(std::string_view name) const noexcept;
  const std::vector<std::pair<std::string, std::string>>& all() const noexcept { return fields_; }

 private:
  std::vector<std::pair<std::string, std::string>> fields_;
};

struct Request {
  std::string method = "GET";
  std::string target = "/";  // path and query, percent-encoded
  Headers headers;           // several of one name are all sent
  std::string body;
  // That it may be sent again when a kept connection ended without an answer,
  // although its method is not idempotent: sending it twice has the effect of
  // sending it once. GET, HEAD, PUT, DELETE and OPTIONS always are.
  bool replayable = false;
  // How many bytes of a body the answer may have, for bodies that are read whole; 0: as the client was told.
  std::uint64_t max_body = 0;
  // Whose share of the client's places it takes: the namespace that it is sent for; "" is the daemon itself.
  std::string owner;
};

struct Response {
  int status = 0;
  Headers headers;
  std::string body;
};

}  // namespace sluice::http
