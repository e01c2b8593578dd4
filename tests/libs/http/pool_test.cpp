// Connections: how many, whose turn it is, when one is used again, and what is sent twice.
#include <algorithm>
#include <catch2/catch.hpp>
#include <functional>

#include "http/client.hpp"
#include "http/server.hpp"
#include "libs/http/peers.hpp"
#include "support/run_task.hpp"

using namespace std::chrono_literals;
using sluice::base::ErrorKind;
using sluice::base::Result;
using sluice::test::answer_of;
using sluice::test::read_request;
using sluice::test::send_text;
using sluice::test::SocketServer;
namespace http = sluice::http;
namespace rt = sluice::rt;

namespace {

std::shared_ptr<http::Client> client_of(rt::Runtime& runtime, int port, http::ClientOptions options = {}) {
  auto client = http::Client::create(runtime, "http://127.0.0.1:" + std::to_string(port), std::move(options));
  REQUIRE(client);
  return *client;
}

http::Request request_of(std::string method, std::string target = "/", std::string body = {}) {
  http::Request request;
  request.method = std::move(method);
  request.target = std::move(target);
  request.body = std::move(body);
  return request;
}

Result<http::Response> send(rt::Runtime& runtime, http::Client& client, http::Request request) {
  return sluice::test::run(runtime, client.send(std::move(request)));
}

rt::Task<void> note(std::shared_ptr<http::Client> client, http::Request request, std::vector<std::string>& log) {
  const std::string target = request.target;
  auto response = co_await client->send(std::move(request));
  log.push_back(target + (response ? "" : " failed"));
}

rt::Task<void> hold(std::shared_ptr<http::Client> client, std::string owner, std::vector<std::string>& log) {
  http::Request request = request_of("GET");
  request.owner = owner;
  auto opening = client->open(std::move(request));
  const auto stream = co_await std::move(opening);
  log.push_back(owner + (stream ? "" : " failed"));
  co_await rt::sleep_for(1h);
}

http::Request request_for(std::string owner, std::string target = "/") {
  http::Request request = request_of("GET", std::move(target));
  request.owner = std::move(owner);
  return request;
}

void settle(rt::Runtime& runtime) {
  runtime.context().restart();
  runtime.context().run_for(20ms);
}

void until(rt::Runtime& runtime, const std::function<bool()>& is_so) {
  const auto deadline = std::chrono::steady_clock::now() + 10s;
  while (!is_so() && std::chrono::steady_clock::now() < deadline) settle(runtime);
  settle(runtime);
}

rt::Task<int> join(rt::TaskGroup& group) {
  co_await group.join();
  co_return 0;
}

// Answers with the number of the connection.
SocketServer numbering() {
  return SocketServer([](int fd, int number) {
    while (!read_request(fd).empty()) send_text(fd, answer_of(std::to_string(number)));
  });
}

// Answers the first request on the first connection, then takes a second one
// and closes without an answer; later connections answer all.
struct Forgetful {
  std::atomic<int> received = 0;
  SocketServer server{[this](int fd, int number) {
    for (int i = 1; !read_request(fd).empty(); ++i) {
      ++received;
      if (number == 1 && i == 2) return;
      send_text(fd, answer_of("ok"));
    }
  }};
};

}  // namespace

TEST_CASE("requests one after the other travel on one connection") {
  const SocketServer server = numbering();
  rt::Runtime runtime;
  const auto client = client_of(runtime, server.port());
  for (int i = 0; i < 20; ++i) {
    const auto response = send(runtime, *client, request_of(i % 2 == 0 ? "GET" : "POST", "/", "x"));
    REQUIRE(response);
    CHECK(response->body == "1");
  }
  CHECK(server.connections() == 1);
}

TEST_CASE("at once there are never more connections than allowed, and all are used again") {
  const SocketServer server = numbering();
  rt::Runtime runtime;
  http::ClientOptions options;
  options.max_connections = 4;
  const auto client = client_of(runtime, server.port(), options);
  std::vector<std::string> log;
  rt::TaskGroup group;
  for (int i = 0; i < 40; ++i) group.spawn(runtime.context(), note(client, request_of("GET", "/"), log));
  sluice::test::run(runtime, join(group));
  CHECK(log == std::vector<std::string>(40, "/"));
  CHECK(server.connections() <= 4);
}

TEST_CASE("whoever came first is served first, and a waiter that is cancelled leaves the queue") {
  std::atomic<bool> go = false;
  const SocketServer server([&go](int fd, int) {
    while (!read_request(fd).empty()) {
      while (!go) std::this_thread::sleep_for(1ms);
      send_text(fd, answer_of("ok"));
    }
  });
  rt::Runtime runtime;
  http::ClientOptions options;
  options.max_connections = 1;
  const auto client = client_of(runtime, server.port(), options);
  std::vector<std::string> log;
  rt::TaskGroup group;
  rt::TaskGroup impatient;
  group.spawn(runtime.context(), note(client, request_of("GET", "/1"), log));
  group.spawn(runtime.context(), note(client, request_of("GET", "/2"), log));
  impatient.spawn(runtime.context(), note(client, request_of("GET", "/x"), log));
  group.spawn(runtime.context(), note(client, request_of("GET", "/3"), log));
  sluice::test::run(runtime, [](rt::TaskGroup& waiter) -> rt::Task<int> {
    co_await rt::sleep_for(20ms);
    waiter.cancel();
    co_await waiter.join();
    co_return 0;
  }(impatient));
  go = true;
  sluice::test::run(runtime, join(group));
  CHECK(log == std::vector<std::string>{"/1", "/2", "/3"});
}

TEST_CASE("requests of one owner that hang hold up neither another owner's nor the daemon's") {
  std::atomic<int> hung = 0;
  const SocketServer server([&hung](int fd, int) {
    for (std::string request = read_request(fd); !request.empty(); request = read_request(fd)) {
      if (request.find("/hang") == std::string::npos)
        send_text(fd, answer_of("ok"));
      else
        ++hung;
    }
  });
  rt::Runtime runtime;
  http::ClientOptions options;
  options.max_connections = 4;
  options.reserved_connections = 1;
  const auto client = client_of(runtime, server.port(), options);
  std::vector<std::string> log;
  rt::TaskGroup group;
  const auto hang = [&](const std::string& owner) {
    for (int i = 0; i < 20; ++i) group.spawn(runtime.context(), note(client, request_for(owner, "/hang"), log));
  };
  hang("a");
  until(runtime, [&] { return hung == 4; });
  CHECK(hung == 4);  // all that one may have
  CHECK(send(runtime, *client, request_for("b")));
  for (const char* owner : {"b", "c", "d", "e"}) hang(owner);
  until(runtime, [&] { return hung == 8; });
  CHECK(hung == 8);  // all that all may have
  CHECK(send(runtime, *client, request_for("")));
  group.cancel();
  sluice::test::run(runtime, join(group));
  CHECK(log.empty());
  CHECK(send(runtime, *client, request_for("f")));
}

TEST_CASE("owners that wait take turns, and each one's requests keep their order") {
  std::atomic<bool> go = false;
  const SocketServer server([&go](int fd, int) {
    for (std::string request = read_request(fd); !request.empty(); request = read_request(fd)) {
      while (!go) std::this_thread::sleep_for(1ms);
      if (request.find("/hang") == std::string::npos) send_text(fd, answer_of("ok"));
    }
  });
  rt::Runtime runtime;
  http::ClientOptions options;
  options.max_connections = 1;
  const auto client = client_of(runtime, server.port(), options);
  std::vector<std::string> log;
  rt::TaskGroup hung;
  hung.spawn(runtime.context(), note(client, request_for("hung", "/hang"), log));  // one of the two places
  rt::TaskGroup group;
  for (const char* target : {"/x1", "/a1", "/a2", "/a3", "/b1", "/b2"}) {
    group.spawn(runtime.context(), note(client, request_for(std::string(1, target[1]), target), log));
  }
  settle(runtime);
  go = true;
  sluice::test::run(runtime, join(group));
  CHECK(log == std::vector<std::string>{"/x1", "/a1", "/b1", "/a2", "/b2", "/a3"});
  hung.cancel();
  sluice::test::run(runtime, join(hung));
}

TEST_CASE("streams of one owner leave places for others', and for the daemon's") {
  const SocketServer server([](int fd, int) {
    while (!read_request(fd).empty()) send_text(fd, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
  });
  rt::Runtime runtime;
  http::ClientOptions options;
  options.max_streams = 2;
  options.reserved_streams = 3;
  const auto client = client_of(runtime, server.port(), options);
  std::vector<std::string> log;
  rt::TaskGroup group;
  const auto open = [&](const std::string& owner, std::size_t expected) {
    for (int i = 0; i < 8; ++i) group.spawn(runtime.context(), hold(client, owner, log));
    until(runtime, [&] { return log.size() >= expected; });
    CHECK(log.size() == expected);
  };
  open("a", 2);
  open("b", 3);
  open("c", 4);
  open("", 7);
  CHECK(std::count(log.begin(), log.end(), "") == 3);
  group.cancel();
  sluice::test::run(runtime, join(group));
}

TEST_CASE("a request that is cancelled gives its place back and its connection up") {
  const SocketServer server([](int fd, int number) {
    while (!read_request(fd).empty()) {
      if (number > 1) send_text(fd, answer_of("ok"));  // the first connection never answers
    }
  });
  rt::Runtime runtime;
  http::ClientOptions options;
  options.max_connections = 1;
  const auto client = client_of(runtime, server.port(), options);
  std::vector<std::string> log;
  rt::TaskGroup group;
  group.spawn(runtime.context(), note(client, request_of("GET", "/never"), log));
  sluice::test::run(runtime, [](rt::TaskGroup& tasks) -> rt::Task<int> {
    co_await rt::sleep_for(20ms);
    tasks.cancel();
    co_await tasks.join();
    co_return 0;
  }(group));
  CHECK(log.empty());
  CHECK(send(runtime, *client, request_of("GET")));
  CHECK(server.connections() == 2);
}

TEST_CASE("a kept connection that dies at its work: what is idempotent is sent again, the rest is not") {
  struct Case {
    http::Request request;
    bool again;
  };
  http::Request apply = request_of("PATCH", "/", "{}");
  apply.replayable = true;
  const Case cases[] = {{request_of("GET"), true},
                        {request_of("PUT", "/", "x"), true},
                        {request_of("DELETE"), true},
                        {apply, true},
                        {request_of("POST", "/", "x"), false},
                        {request_of("PATCH", "/", "x"), false}};
  for (const auto& [request, again] : cases) {
    CAPTURE(request.method, request.replayable);
    Forgetful forgetful;
    rt::Runtime runtime;
    const auto client = client_of(runtime, forgetful.server.port());
    REQUIRE(send(runtime, *client, request_of("GET")));
    const auto response = send(runtime, *client, request);
    CHECK(response.has_value() == again);
    if (!response) CHECK(response.error().kind == ErrorKind::unavailable);
    CHECK(forgetful.received == (again ? 3 : 2));
  }
}

TEST_CASE("a fresh connection that dies is not tried again, whatever the method") {
  std::atomic<int> received = 0;
  const SocketServer server([&received](int fd, int) {
    if (!read_request(fd).empty()) ++received;
  });
  rt::Runtime runtime;
  CHECK_FALSE(send(runtime, *client_of(runtime, server.port()), request_of("GET")));
  CHECK(received == 1);
}

TEST_CASE("a kept connection that the server closed while it was idle is replaced, for any method") {
  std::atomic<bool> closed = false;
  const SocketServer server([&closed](int fd, int number) {
    while (!read_request(fd).empty()) {
      send_text(fd, answer_of(std::to_string(number)));
      if (number == 1) break;
    }
    ::shutdown(fd, SHUT_RDWR);
    closed = true;
  });
  rt::Runtime runtime;
  const auto client = client_of(runtime, server.port());
  REQUIRE(send(runtime, *client, request_of("GET")));
  while (!closed) std::this_thread::sleep_for(1ms);
  const auto response = send(runtime, *client, request_of("POST", "/", "x"));
  REQUIRE(response);
  CHECK(response->body == "2");
}

TEST_CASE("a server that goes on talking after its answer loses the connection; nobody gets another's answer") {
  const SocketServer server([](int fd, int number) {
    while (!read_request(fd).empty()) {
      const std::string answer = answer_of(std::to_string(number));
      send_text(fd, number == 1 ? answer + answer_of("poison") : answer);
    }
  });
  rt::Runtime runtime;
  const auto client = client_of(runtime, server.port());
  const auto first = send(runtime, *client, request_of("GET"));
  REQUIRE(first);
  CHECK(first->body == "1");
  const auto second = send(runtime, *client, request_of("GET"));
  REQUIRE(second);
  CHECK(second->body == "2");
}

TEST_CASE("an idle connection is closed when its time is over, with no request to notice it") {
  std::atomic<bool> ended = false;
  const SocketServer server([&ended](int fd, int) {
    while (!read_request(fd).empty()) send_text(fd, answer_of("ok"));
    ended = true;
  });
  rt::Runtime runtime;
  http::ClientOptions options;
  options.idle_timeout = 20ms;
  const auto client = client_of(runtime, server.port(), options);
  REQUIRE(send(runtime, *client, request_of("GET")));
  CHECK_FALSE(ended);
  sluice::test::run(runtime, [](std::atomic<bool>& flag) -> rt::Task<int> {
    for (int i = 0; i < 1000 && !flag; ++i) co_await rt::sleep_for(5ms);
    co_return 0;
  }(ended));
  CHECK(ended);
}

TEST_CASE("what would break out of its line is refused before anything is sent") {
  const SocketServer server = numbering();
  rt::Runtime runtime;
  const auto client = client_of(runtime, server.port());
  const auto refused = [&](http::Request request) {
    const auto response = send(runtime, *client, std::move(request));
    REQUIRE_FALSE(response);
    CHECK(response.error().kind == ErrorKind::invalid);
    CHECK(response.error().message.find("s3cret") == std::string::npos);
  };
  for (const char* value : {"s3cret\r\nX-Evil: 1", "s3cret\n", "\r", "a\x01", "a\x7f"}) {
    http::Request request = request_of("GET");
    request.headers.set("Authorization", value);
    refused(request);
  }
  http::Request nul = request_of("GET");
  nul.headers.set("X", std::string("a\0b", 3));
  refused(nul);
  for (const char* name : {"", "a b", "X:", "X\r\nY"}) {
    http::Request request = request_of("GET");
    request.headers.add(name, "v");
    refused(request);
  }
  for (const char* target : {"", "x", "/a b", "/a\r\nHost: evil", "/\x7f"}) refused(request_of("GET", target));
  for (const char* method : {"", "GET /", "G\r\n"}) refused(request_of(method));
  CHECK(server.connections() == 0);
  const auto opened = sluice::test::run(runtime, client->open(request_of("GET", "/a b")));
  REQUIRE_FALSE(opened);
  CHECK(opened.error().kind == ErrorKind::invalid);
}

TEST_CASE("headers of one name are all sent; those that frame a request are ours") {
  std::string seen;
  const SocketServer server([&seen](int fd, int) {
    seen = read_request(fd);
    send_text(fd, answer_of("ok"));
  });
  rt::Runtime runtime;
  http::Request request = request_of("POST", "/", "12345");
  request.headers.add("Impersonate-Group", "a");
  request.headers.add("Impersonate-Group", "b");
  request.headers.add("Host", "example.com");
  request.headers.add("content-length", "999");
  request.headers.add("Transfer-Encoding", "chunked");
  REQUIRE(send(runtime, *client_of(runtime, server.port()), request));
  CHECK(seen ==
        "POST / HTTP/1.1\r\nUser-Agent: sluice\r\nImpersonate-Group: a\r\nImpersonate-Group: b\r\nHost: example.com\r\n"
        "Content-Length: 5\r\n\r\n12345");
}

TEST_CASE("an interim answer is passed over; an answer that refuses a large body early is heard") {
  const SocketServer interim([](int fd, int) {
    static_cast<void>(read_request(fd));
    send_text(fd, "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n" + answer_of("final"));
  });
  rt::Runtime runtime;
  const auto response = send(runtime, *client_of(runtime, interim.port()), request_of("GET"));
  REQUIRE(response);
  CHECK(response->status == 200);
  CHECK(response->body == "final");
  CHECK_FALSE(response->headers.contains("Link"));

  const SocketServer strict([](int fd, int) {
    char byte = 0;
    static_cast<void>(::recv(fd, &byte, 1, 0));
    send_text(fd, "HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    ::shutdown(fd, SHUT_WR);
    char rest[65536];
    while (::recv(fd, rest, sizeof rest, 0) > 0) {
    }
  });
  const auto refused =
      send(runtime, *client_of(runtime, strict.port()), request_of("POST", "/", std::string(8U << 20U, 'x')));
  REQUIRE(refused);
  CHECK(refused->status == 413);
}

TEST_CASE("large bodies arrive whole both ways, chunked or not") {
  const std::string large(3'000'000, 'z');
  const SocketServer server([&large](int fd, int number) {
    const std::string request = read_request(fd);
    const bool whole = request.size() > large.size() && request.ends_with(large);
    if (!whole) return;
    if (number == 1) return send_text(fd, answer_of(large));
    send_text(fd, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    for (std::size_t at = 0; at < large.size(); at += 100'000) {
      send_text(fd, "186A0;ext=1\r\n" + large.substr(at, 100'000) + "\r\n");
    }
    send_text(fd, "0\r\nTrailer: x\r\n\r\n");
  });
  rt::Runtime runtime;
  for (int i = 0; i < 2; ++i) {
    const auto response = send(runtime, *client_of(runtime, server.port()), request_of("POST", "/", large));
    REQUIRE(response);
    CHECK(response->body == large);
  }
}

TEST_CASE("a name that does not resolve, or not in time, is an error that says so") {
  rt::Runtime runtime;
  auto client = http::Client::create(runtime, "http://does-not-exist.invalid");
  REQUIRE(client);
  const auto unknown = send(runtime, **client, request_of("GET"));
  REQUIRE_FALSE(unknown);
  CHECK(unknown.error().message.find("looking up 'does-not-exist.invalid'") != std::string::npos);
  http::ClientOptions hasty;
  hasty.connect_timeout = 0ms;
  auto impatient = http::Client::create(runtime, "http://does-not-exist.invalid", hasty);
  REQUIRE(impatient);
  const auto late = send(runtime, **impatient, request_of("GET"));
  REQUIRE_FALSE(late);
  CHECK(late.error().kind == ErrorKind::timeout);
}

TEST_CASE("streams have places of their own, and give them back") {
  const SocketServer server([](int fd, int) {
    while (!read_request(fd).empty()) {
      send_text(fd, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n");
    }
  });
  rt::Runtime runtime;
  http::ClientOptions options;
  options.max_streams = 1;
  const auto client = client_of(runtime, server.port(), options);
  for (int i = 0; i < 3; ++i) {
    auto stream = sluice::test::run(runtime, client->open(request_of("GET")));
    REQUIRE(stream);
    const auto piece = sluice::test::run(runtime, (*stream)->read_some(1s));
    REQUIRE(piece);
    CHECK(*piece == "x");
  }
  CHECK(server.connections() == 3);
}

TEST_CASE("a stream that is cancelled while it is read closes its connection") {
  std::atomic<bool> ended = false;
  const SocketServer server([&ended](int fd, int) {
    static_cast<void>(read_request(fd));
    send_text(fd, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n");
    while (!read_request(fd).empty()) {
    }
    ended = true;
  });
  rt::Runtime runtime;
  const auto client = client_of(runtime, server.port());
  rt::TaskGroup group;
  group.spawn(runtime.context(), [](std::shared_ptr<http::Client> c) -> rt::Task<void> {
    auto opening = c->open({});
    auto stream = co_await std::move(opening);
    while (stream) {
      auto piece = co_await (*stream)->read_some(10s);
      if (!piece || piece->empty()) break;
    }
  }(client));
  sluice::test::run(runtime, [](rt::TaskGroup& tasks, std::atomic<bool>& flag) -> rt::Task<int> {
    co_await rt::sleep_for(20ms);
    tasks.cancel();
    co_await tasks.join();
    for (int i = 0; i < 1000 && !flag; ++i) co_await rt::sleep_for(1ms);
    co_return 0;
  }(group, ended));
  CHECK(ended);
}

TEST_CASE("names that take for ever hold up nobody else's, and a question that was given up is not asked") {
  const SocketServer server = numbering();
  rt::Runtime runtime;
  // The name server that is asked for this owner does not answer, until it may.
  std::atomic<int> asked = 0;
  std::atomic<bool> answers = false;
  constexpr int kQuestions = 40;
  for (int i = 0; i < kQuestions; ++i) {
    runtime.post_lookup("evil", [&] {
      ++asked;
      while (!answers) std::this_thread::sleep_for(1ms);
    });
  }
  http::ClientOptions options;
  options.connect_timeout = 300ms;
  const auto client_of_name = [&](http::ClientOptions with) {
    auto client = http::Client::create(runtime, "http://localhost:" + std::to_string(server.port()), std::move(with));
    REQUIRE(client);
    return *client;
  };
  const auto hurried = client_of_name(options);
  const auto late = send(runtime, *hurried, request_for("evil"));
  REQUIRE_FALSE(late);
  CHECK(late.error().kind == ErrorKind::timeout);
  CHECK(late.error().message.find("looking up 'localhost' timed out") != std::string::npos);
  options.connect_timeout = 60s;
  const auto patient = client_of_name(options);
  for (const char* owner : {"good", ""}) {
    INFO(owner);
    CHECK(send(runtime, *patient, request_for(owner)));
  }
  CHECK(asked < kQuestions);
  answers = true;
  CHECK(send(runtime, *patient, request_for("evil")));
}
