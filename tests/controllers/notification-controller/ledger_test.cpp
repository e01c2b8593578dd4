// What counts as told, and what is owed.
#include "notification-controller/ledger.hpp"

#include "notification-controller/owed.hpp"
#include "support.hpp"

using namespace std::chrono_literals;
using namespace sluice;
using namespace sluice::test;
using notification_controller::Ledger;
using notification_controller::Occurrence;
using notification_controller::Owed;
using notification_controller::OwedWords;
using notification_controller::Severity;

namespace {

Occurrence news(const std::string& object, const std::string& message, Severity severity) {
  Occurrence what = make_occurrence(make_event(object, message));
  what.severity = severity;
  return what;
}

Ledger::Word word(const Occurrence& what, base::Duration later) {
  const base::TimePoint then =
      at("2026-01-31T10:00:00Z") + std::chrono::duration_cast<base::TimePoint::duration>(later);
  return {what.severity, then, then};
}

}  // namespace

TEST_CASE("what is on its way counts as told, and as nothing once it is known that it did not arrive") {
  Ledger ledger;
  const Occurrence failed = news("shop", "no such file", Severity::error);
  const Occurrence well = news("shop", "applied", Severity::info);
  ledger.note("a", failed.likeness, word(failed, 0s).told);
  ledger.note_word("a", failed.involved, word(failed, 0s));
  const auto first = ledger.depart("a", well, word(well, 1s));
  const auto again = ledger.depart("a", failed, word(failed, 9min));
  CHECK(ledger.last_word("a", well.involved)->severity == Severity::error);
  CHECK(ledger.alike("a", failed.likeness) == word(failed, 9min).told);
  ledger.settle("a", failed, again);
  CHECK(ledger.last_word("a", well.involved)->severity == Severity::info);
  CHECK(ledger.alike("a", failed.likeness) == word(failed, 0s).told);  // that one did
  CHECK(ledger.is_on_its_way("a", well.involved));
  ledger.settle("a", well, first);
  CHECK(ledger.last_word("a", well.involved)->severity == Severity::error);
  CHECK_FALSE(ledger.alike("a", well.likeness));
  CHECK_FALSE(ledger.is_on_its_way("a", well.involved));
  CHECK_FALSE(ledger.last_word("b", well.involved));
}

TEST_CASE("what is on its way is a later word than any that was told while it was") {
  Ledger ledger;
  const Occurrence failed = news("shop", "no such file", Severity::error);
  const Occurrence well = news("shop", "applied", Severity::info);
  const auto first = ledger.depart("a", failed, word(failed, 1s));
  ledger.depart("a", well, word(well, 2s));
  ledger.note_word("a", failed.involved, word(failed, 5s));
  ledger.settle("a", failed, first);
  CHECK(ledger.last_word("a", failed.involved)->severity == Severity::info);
}

TEST_CASE("one word is owed about an object, the last; and so many are put off for one namespace, and no more") {
  OwedWords words(2);
  const base::SteadyPoint now{};
  const auto owed = [](const std::string& space, const std::string& object, const std::string& event) {
    Owed one;
    one.alert = {space, "a"};
    one.alert_uid = "uid-" + space;
    one.object = news(object, "x", Severity::info).involved;
    one.event = {space, event};
    one.is_put_off = true;
    return one;
  };
  CHECK(words.put(owed("apps", "shop", "e1"), now + 2s));
  CHECK(words.put(owed("apps", "shop", "e2"), now + 3s));
  CHECK(words.put(owed("apps", "bank", "e3"), now + 1s));
  CHECK_FALSE(words.put(owed("apps", "more", "e4"), now + 1s));
  CHECK(words.put(owed("others", "shop", "e5"), now + 5s));
  CHECK(words.size() == 3);
  CHECK(words.next() == now + 1s);
  CHECK_FALSE(words.take(now));
  CHECK(words.take(now + 9s)->event.name == "e3");
  CHECK(words.take(now + 9s)->event.name == "e2");
  CHECK(words.put(owed("apps", "more", "e4"), now + 1s));
  const auto shop = owed("others", "shop", "");
  CHECK(words.find("uid-others", shop.object)->event.name == "e5");
  words.erase("uid-others", shop.object);
  CHECK(words.find("uid-others", shop.object) == nullptr);
  CHECK(words.take(now + 9s)->event.name == "e4");
  CHECK_FALSE(words.take(now + 9s));
}
