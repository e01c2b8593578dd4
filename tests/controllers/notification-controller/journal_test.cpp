#include "notification-controller/journal.hpp"

#include <unistd.h>

#include <fstream>

#include "support.hpp"

using namespace sluice;
using namespace sluice::test;

TEST_CASE("a journal that is a link, a folder or full of rubbish hurts nobody") {
  const std::string path = "/tmp/sluice-journal-file-test-" + std::to_string(::getpid());
  const auto log = base::Logger::discard();
  notification_controller::DeliveryMark mark;
  mark.state = notification_controller::DeliveryState::sent;
  mark.count = 2;
  mark.last = at("2026-01-31T10:00:00Z");
  mark.digest = "d";
  ::unlink(path.c_str());
  {
    notification_controller::Journal journal(path, log);
    journal.note("e", "a", mark);
  }
  {
    std::ofstream(path, std::ios::app) << "rubbish\n{}\n[1]\n{\"event\":7}\n\xff\xfe\n{\"event\":\"e\",\"ale";
    const notification_controller::Journal journal(path, log);
    REQUIRE(journal.find("e", "a") != nullptr);
    CHECK(*journal.find("e", "a") == mark);
    CHECK(journal.find("e", "b") == nullptr);
  }
  const std::string link = path + "-link";
  ::unlink(link.c_str());
  REQUIRE(::symlink(path.c_str(), link.c_str()) == 0);
  for (const auto& bad : {link, std::string("/tmp"), std::string("/nowhere/at/all"), std::string()}) {
    INFO(bad);
    notification_controller::Journal journal(bad, log);
    journal.note("e", "a", mark);
    CHECK(journal.find("e", "a") == nullptr);
  }
  ::unlink(link.c_str());
  ::unlink(path.c_str());
}

TEST_CASE("a journal reads the newest notes of a large file, and begins it anew") {
  const std::string path = "/tmp/sluice-journal-file-test-" + std::to_string(::getpid());
  ::unlink(path.c_str());
  const auto log = base::Logger::discard();
  notification_controller::DeliveryMark mark;
  mark.state = notification_controller::DeliveryState::sent;
  mark.last = at("2026-01-31T10:00:00Z");
  mark.digest = std::string(32, 'd');
  const auto size = [&path] { return std::ifstream(path, std::ios::ate).tellg(); };
  {
    notification_controller::Journal journal(path, log);
    for (int i = 0; i < 40'000; ++i) {
      mark.count = i;
      journal.note("event-" + std::to_string(i), "alert", mark);
      if (i % 2 == 0) journal.forget("event-" + std::to_string(i), "alert");
    }
    CHECK(size() < 3 << 20);  // it is begun anew as it grows
    REQUIRE(journal.find("event-39999", "alert") != nullptr);
    CHECK(journal.find("event-39998", "alert") == nullptr);
  }
  {
    notification_controller::Journal journal(path, log);
    REQUIRE(journal.find("event-39999", "alert") != nullptr);
    CHECK(journal.find("event-39999", "alert")->count == 39'999);
  }
  {
    // As a version left it that let it grow.
    std::ofstream old(path, std::ios::app);
    for (int i = 0; i < 60'000; ++i) {
      old << R"({"event":"old-)" << i << R"(","alert":"alert","mark":"{\"state\":\"sent\",\"count\":1,)"
          << R"(\"last\":\"2026-01-31T10:00:00Z\",\"digest\":\"d\"}"})" << '\n';
    }
  }
  REQUIRE(size() > 6 << 20);
  const notification_controller::Journal journal(path, log);
  CHECK(journal.find("old-59999", "alert") != nullptr);
  CHECK(journal.find("old-0", "alert") == nullptr);
  CHECK(size() < 1 << 20);
  ::unlink(path.c_str());
}
