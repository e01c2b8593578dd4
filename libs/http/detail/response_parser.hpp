// Beast's HTTP/1.1 parser, feeding a Response directly. Private to libs/http.
#pragma once

#include <boost/beast/http/basic_parser.hpp>
#include <cstdint>
#include <limits>
#include <string>

#include "http/message.hpp"

namespace sluice::http::detail {

constexpr std::uint64_t kNoLimit = std::numeric_limits<std::uint64_t>::max();

class ResponseParser final : public boost::beast::http::basic_parser<false> {
 public:
  // `skip_body` for the answer to a HEAD.
  ResponseParser(std::uint64_t max_body, bool skip_body);
  // Status and headers once is_header_done(); the body as far as it has come,
  // and a stream takes it from there.
  Response& response() { return response_; }

 private:
  using error_code = boost::beast::error_code;
  using string_view = boost::beast::string_view;

  void on_request_impl(boost::beast::http::verb, string_view, string_view, int, error_code&) override {}
  void on_response_impl(int code, string_view, int, error_code&) override { response_.status = code; }
  void on_field_impl(boost::beast::http::field, string_view name, string_view value, error_code&) override {
    response_.headers.add(std::string(name), std::string(value));
  }
  void on_header_impl(error_code&) override {}
  void on_body_init_impl(const boost::optional<std::uint64_t>& length, error_code&) override;
  std::size_t on_body_impl(string_view body, error_code&) override {
    response_.body.append(body.data(), body.size());
    return body.size();
  }
  void on_chunk_header_impl(std::uint64_t, string_view, error_code&) override {}
  std::size_t on_chunk_body_impl(std::uint64_t, string_view body, error_code&) override {
    response_.body.append(body.data(), body.size());
    return body.size();
  }
  void on_finish_impl(error_code&) override {}

  bool whole_;
  Response response_;
};

}  // namespace sluice::http::detail
