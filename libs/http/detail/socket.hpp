// One TCP connection, plain or TLS, that is tried without blocking and waited
// for with a deadline. On the loop; private to libs/http.
//
// Asio's own TLS stream keeps some 70 KiB of buffers for each connection and
// copies every byte twice on its way; here OpenSSL reads and writes the socket.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <chrono>
#include <memory>
#include <string>

#include "base/clock.hpp"
#include "base/result.hpp"
#include "http/detail/tls.hpp"
#include "rt/runtime.hpp"

namespace sluice::http::detail {

// What became of one attempt.
struct Io {
  enum class State { done, want_read, want_write, end, failed };
  State state = State::done;
  std::size_t bytes = 0;
};

class Socket {
 public:
  explicit Socket(const boost::asio::any_io_executor& executor);
  ~Socket();  // tells a TLS peer that this is the end, if all went well
  Socket(const Socket&) = delete;
  Socket& operator=(const Socket&) = delete;

  // Everything that is waited for fails from then on: `timeout`.
  void set_deadline(base::SteadyPoint at);
  void clear_deadline();

  // Looks the name up, in the share of `owner`, and connects to the first of its addresses that answers.
  rt::Task<base::Result<void>> connect(rt::Runtime& runtime, std::string owner, std::string host, std::string port);
  rt::Task<base::Result<void>> start_tls(TlsContext context, std::string name);

  Io try_read(char* data, std::size_t size);
  Io try_write(const char* data, std::size_t size);
  // Whether one more attempt should let others have the loop first: a peer that always has
  // bytes, or room for them, would never have this connection wait. To be asked before each.
  bool is_turn_over();
  // Lets everything else that is due run; `timeout` if the deadline is over.
  rt::Task<base::Result<void>> rest();
  // Waits until another attempt makes sense.
  rt::Task<base::Result<void>> ready(Io::State want);
  // Why the last attempt failed; its message begins a clause: "connection reset by peer".
  base::Error failure();

  // False if the peer has closed a connection that should be quiet, or talks on it.
  bool is_quiet();
  void close() noexcept;

 private:
  struct State;
  bool is_closed();
  Io tls_outcome(int result);
  rt::Task<base::Result<void>> connect_to(boost::asio::ip::tcp::endpoint endpoint, base::SteadyPoint until);

  std::shared_ptr<State> state_;  // shared with the deadline's handler
  TlsContext context_;
  TlsSession session_;
  bool shaken_ = false;
  int ssl_result_ = 0;
  int errno_ = 0;
  int attempts_ = 0;  // since the loop was let go
  base::SteadyPoint turn_began_{};
};

}  // namespace sluice::http::detail
