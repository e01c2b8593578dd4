#include "base/log.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <catch2/catch.hpp>
#include <csignal>
#include <nlohmann/json.hpp>
#include <thread>

#include "base/masks.hpp"

using namespace sluice::base;

namespace {

struct Pipe {
  std::array<int, 2> ends{};
  explicit Pipe(int flags = 0) { REQUIRE(::pipe2(ends.data(), O_CLOEXEC | flags) == 0); }
  ~Pipe() {
    ::close(ends[0]);
    close_write();
  }
  void close_write() {
    if (ends[1] >= 0) ::close(std::exchange(ends[1], -1));
  }
  std::string drain() {
    close_write();
    std::string all;
    std::array<char, 4096> buffer{};
    for (ssize_t got = 0; (got = ::read(ends[0], buffer.data(), buffer.size())) != 0;) {
      if (got > 0) all.append(buffer.data(), static_cast<std::size_t>(got));
    }
    return all;
  }
};

std::vector<nlohmann::json> lines_of(const std::string& text) {
  std::vector<nlohmann::json> out;
  std::size_t start = 0;
  for (std::size_t end = text.find('\n'); end != std::string::npos; end = text.find('\n', start)) {
    out.push_back(nlohmann::json::parse(text.substr(start, end - start)));
    start = end + 1;
  }
  REQUIRE(start == text.size());
  return out;
}

void ignore_signal(int) {}

}  // namespace

TEST_CASE("a line is one JSON object with level, time, message and fields, in order") {
  Pipe pipe;
  const Logger log(LogLevel::debug, pipe.ends[1]);
  log.with({{"controller", "x"}}).info("applied", {{"objects", 12}, {"changed", true}, {"share", 0.5}});
  const std::string text = pipe.drain();
  CHECK(text.starts_with(R"({"level":"info","ts":")"));
  CHECK(text.ends_with(R"(Z","msg":"applied","controller":"x","objects":12,"changed":true,"share":0.5})"
                       "\n"));
  CHECK(lines_of(text).size() == 1);
}

TEST_CASE("what comes from outside cannot break a line or its JSON") {
  Pipe pipe;
  const Logger log(LogLevel::info, pipe.ends[1]);
  log.info("a\nb\"c\\\x01", {{"k\"\n", "\xff\xfe bytes"}, {"nan", std::numeric_limits<double>::quiet_NaN()}});
  const auto lines = lines_of(pipe.drain());
  REQUIRE(lines.size() == 1);
  CHECK(lines[0]["msg"] == "a\nb\"c\\\x01");
  CHECK(lines[0]["k\"\n"] == "\uFFFD\uFFFD bytes");
  CHECK(lines[0]["nan"].is_null());
}

TEST_CASE("a line on a console is one line too") {
  Pipe pipe;
  Logger(LogLevel::info, pipe.ends[1], true).info("a\nb\x1b[2J", {{"k", "v\n"}});
  const std::string text = pipe.drain();
  CHECK(std::count(text.begin(), text.end(), '\n') == 1);
  CHECK(text.find('\x1b') == std::string::npos);
  CHECK(text.ends_with("a b [2J k=\"v\\n\"\n"));
}

TEST_CASE("lines below the level are not written, and an error carries its message") {
  Pipe pipe;
  const Logger log(LogLevel::info, pipe.ends[1]);
  log.debug("no");
  log.trace("no");
  Error error;
  error.message = "refused";
  log.error("apply failed", error, {{"name", "x"}});
  const auto lines = lines_of(pipe.drain());
  REQUIRE(lines.size() == 1);
  CHECK(lines[0]["level"] == "error");
  CHECK(lines[0]["error"] == "refused");
  CHECK_FALSE(Logger::discard().enabled(LogLevel::error));
  CHECK(parse_log_level("trace"));
  CHECK(parse_log_level("loud").error().message.find("'loud'") != std::string::npos);
}

TEST_CASE("a child's fields do not reach its parent") {
  Pipe pipe;
  const Logger parent(LogLevel::info, pipe.ends[1]);
  const Logger child = parent.with({{"a", 1}});
  child.with({{"b", 2}}).info("grandchild");
  parent.info("parent");
  const auto lines = lines_of(pipe.drain());
  REQUIRE(lines.size() == 2);
  CHECK(lines[0].contains("a"));
  CHECK(lines[0].contains("b"));
  CHECK_FALSE(lines[1].contains("a"));
}

TEST_CASE("secret values are masked in messages and fields, but not in what names the object") {
  Pipe pipe;
  const auto masks = std::make_shared<Masks>();
  const Logger log = Logger(LogLevel::info, pipe.ends[1]).with({{"name", "production"}}).masked(masks);
  masks->add("production");  // learnt after the logger was made
  log.info("at production", {{"output", "of production"}});
  log.error("failed", unexpected(ErrorKind::invalid, "by production").error, {});
  const auto lines = lines_of(pipe.drain());
  REQUIRE(lines.size() == 2);
  CHECK(lines[0]["msg"] == "at *****");
  CHECK(lines[0]["output"] == "of *****");
  CHECK(lines[0]["name"] == "production");
  CHECK(lines[1]["error"] == "by *****");
}

TEST_CASE("a line is written whole through signals and a full pipe, blocking or not") {
  const int flags = GENERATE(0, O_NONBLOCK);
  Pipe pipe(flags);
  struct sigaction action {};
  action.sa_handler = ignore_signal;  // without SA_RESTART: write(2) comes back with EINTR
  struct sigaction before {};
  ::sigaction(SIGUSR1, &action, &before);
  const std::string long_text(1'000'000, 'x');
  std::atomic<bool> done = false;
  std::thread writer([&] {
    Logger(LogLevel::info, pipe.ends[1]).info(long_text);
    done = true;
    pipe.close_write();
  });
  std::string text;
  std::array<char, 65536> buffer{};
  for (ssize_t got = -1; got != 0;) {
    if (!done) ::pthread_kill(writer.native_handle(), SIGUSR1);
    got = ::read(pipe.ends[0], buffer.data(), buffer.size());
    if (got > 0) text.append(buffer.data(), static_cast<std::size_t>(got));
  }
  writer.join();
  ::sigaction(SIGUSR1, &before, nullptr);
  const auto lines = lines_of(text);
  REQUIRE(lines.size() == 1);
  CHECK(lines[0]["msg"] == long_text);
}
