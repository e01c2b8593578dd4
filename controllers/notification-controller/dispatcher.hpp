// From Events to messages: which Alert wants which occurrence, what of it was
// sent before, and the sending. Runs on the loop, while this replica leads.
//
//   states ─▶ StateWatch ─▶ look_at(): untold() ─▶ an Event of our own, the late word
//   Events ─▶ Backlog ─▶ consider(): AlertRule::wants, judge() ─▶ Outbox of the Provider
//   Outbox ─▶ attempt(): look again, Courier::deliver ─▶ remember(): mark the Event, or LateMarks where it takes none
//
// All that is kept here can be made anew from the cluster: from the Events with
// their marks, the Alerts with the time since when they are in force, and the
// Providers. So a crash loses nothing; docs/decisions/0004-alerts-from-events.md.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>

#include "alert_rule.hpp"
#include "api/provider.hpp"
#include "audience.hpp"
#include "backlog.hpp"
#include "controller/app.hpp"
#include "courier.hpp"
#include "delivery_mark.hpp"
#include "journal.hpp"
#include "late_marks.hpp"
#include "ledger.hpp"
#include "outbox.hpp"
#include "owed.hpp"
#include "room.hpp"
#include "sources.hpp"
#include "state_watch.hpp"
#include "verdicts.hpp"

namespace sluice::notification_controller {

struct DispatcherOptions {
  base::Duration rate_limit_interval = std::chrono::minutes(5);
  // How long the Event about an object's state may be missing before the state is told
  // without it; zero: forever.
  base::Duration event_grace = std::chrono::seconds(20);
  bool no_cross_namespace_refs = false;
  // Messages that may wait for the Providers of one namespace; see rt::FairShares. As many last words may be put off.
  std::size_t max_waiting = 16'000;
  // Deliveries that may be under way for one namespace, each with a connection; twice as many for all (rt::FairShares).
  std::size_t max_deliveries = 64;
  // Marks of one namespace's Events that may wait for the server to take them; twice as many for all. No more than
  // the journal keeps.
  std::size_t max_late_marks = Journal::kMaxNotes / 2;
  // How soon a last word for which there was no room has another look for some.
  base::Duration try_again_after = std::chrono::minutes(1);
  // So long is counted what is dropped for want of room before it is said.
  base::Duration say_shed_after = std::chrono::seconds(10);
  std::string field_manager = "notification-controller";
};

// What a dispatcher works with. The caches outlive it.
struct DispatcherParts {
  controller::WatchCache& alerts;
  controller::WatchCache& providers;
  std::shared_ptr<Sources> sources;
  std::shared_ptr<Courier> courier;
  std::shared_ptr<Journal> journal;
};

class Dispatcher {
 public:
  Dispatcher(controller::Services services, DispatcherParts parts, DispatcherOptions options);
  Dispatcher(const Dispatcher&) = delete;
  Dispatcher& operator=(const Dispatcher&) = delete;

  // Until it is cancelled; what is being sent then is sent and remembered first.
  rt::Task<void> run();

  // Why the last delivery to a Provider failed; nothing while all is well.
  std::optional<std::string> trouble(const api::ObjectKey& provider) const;
  // Called when that changes.
  void on_trouble(std::function<void(const api::ObjectKey& provider)> listener) { on_trouble_ = std::move(listener); }
  std::size_t waiting() const noexcept;
  std::size_t outboxes() const noexcept { return outboxes_.size(); }
  // How often an Event was judged for an Alert.
  std::uint64_t judged() const noexcept { return judged_; }
  // Occurrences that wait, or are being sent and noted.
  std::size_t taken() const noexcept { return taken_.size(); }
  // The Provider is gone: what waits for it waits on, and all else about it is forgotten.
  void forget(const api::ObjectKey& provider);

 private:
  enum class Fate { send, drop, wait, skip };
  struct Plan {
    Fate fate = Fate::drop;
    std::string why;
    api::Provider provider;
    Notification notification;
  };
  struct Rule {
    AlertRule rule;
    std::int64_t generation = 0;
  };

  void subscribe();
  void alert_changed(const doc::Json& alert);
  void alert_gone(const api::ObjectKey& key);
  void adopt(const api::ObjectKey& key);
  void event_changed(const controller::Object& before, const controller::Object& now);
  void provider_changed(const doc::Json& before, const doc::Json& now);
  void take_in(const doc::Json& event, const api::ObjectKey& alert);
  bool judge_event(const controller::Object& event, const std::shared_ptr<const Occurrence>& what,
                   const api::ObjectKey& alert);
  rt::Task<bool> look_at(std::string kind, api::ObjectKey key);
  void look_again_if_contrary(const AlertRule& rule, const Occurrence& told);
  std::optional<News> news_for(const AlertRule& rule, const InvolvedObject& object, const State& state) const;
  // When that of a failure happened that the receiver was told; nothing if it was not.
  using FailureHeard = std::function<std::optional<base::TimePoint>(const Chronicle::Entry& failure)>;
  std::vector<Heard> heard_by(const AlertRule& rule, const InvolvedObject& object, const State& state) const;
  std::vector<Heard> as_heard(const AlertRule& rule, const InvolvedObject& object, const State& state,
                              const Chronicle::Entries& entries, const FailureHeard& is_heard) const;
  std::optional<base::TimePoint> told_at(const AlertRule& rule, const InvolvedObject& object,
                                         const Chronicle::Entry& failure) const;
  bool is_told_elsewhere(const AlertRule& rule, const doc::Json& event, const Occurrence& what) const;
  std::optional<bool> is_recovery_of_others(const AlertRule& rule, const doc::Json& event, const Occurrence& what);
  std::optional<bool> may_yet_be_told(const AlertRule& rule, const InvolvedObject& object,
                                      const Chronicle::Entry& failure, bool has_time);
  bool is_taken(const doc::Json& event, const AlertRule& rule) const;
  bool is_sent_before(const AlertRule& rule, const Occurrence& word, const Chronicle::Entry& other) const;
  std::optional<DeliveryMark> mark_of(const doc::Json& event, std::string_view alert_uid) const;
  void take_in_mark(std::string_view alert_uid, const doc::Json& event);
  void make_up_for_mark(const AlertRule& rule, const doc::Json& event, const Occurrence& what);
  JudgeInput input_for(const AlertRule& rule, const doc::Json& event, const Occurrence& what);
  bool consider(const AlertRule& rule, const doc::Json& event, const std::shared_ptr<const Occurrence>& what,
                bool is_owed = false);
  void hold_back(const AlertRule& rule, const Occurrence& what, const JudgeInput& input, Verdict verdict);
  bool owe(Owed owed, base::SteadyPoint at);
  bool is_contrary_to_last_word(const AlertRule& rule, const InvolvedObject& object, Severity severity) const;
  void tell_if_still_so(Owed owed);
  bool is_still_so(const Owed& owed) const;
  rt::Task<void> tell_owed();
  std::optional<bool> gets_commit_statuses(const AlertRule& rule) const;
  bool is_for_others(const AlertRule& rule, const Occurrence& what) const;
  void enqueue(const AlertRule& rule, Delivery delivery);
  bool make_room(const std::string& space);
  void put_off(const Delivery& delivery);
  void count_shed(const api::ObjectKey& provider, std::size_t count);
  rt::Task<void> say_shed(api::ObjectKey provider);
  Outbox& outbox_of(const api::ObjectKey& provider);
  rt::Task<void> run_outbox(api::ObjectKey provider);

  Plan plan(const Delivery& delivery) const;
  Fate fate_without_rule(const Delivery& delivery) const;
  rt::Task<Attempt> attempt(api::ObjectKey outbox, Delivery delivery);
  void drop_series_if_gone(const api::ObjectKey& provider);
  rt::Task<Attempt> conclude(api::ObjectKey provider, Delivery delivery, base::Result<void> sent);
  rt::Task<void> remember(api::ObjectKey provider, Delivery delivery, DeliveryState state);
  static EventMark event_mark(const Delivery& delivery, api::ObjectKey provider, DeliveryMark mark);
  rt::Task<void> write_soon(EventMark mark, api::ObjectKey alert);
  rt::Task<bool> is_server_there(api::ObjectKey event, std::string owner);
  rt::Task<Noting> write_mark(EventMark mark, std::string owner, base::Duration limit);
  rt::Task<bool> mark_pending(api::ObjectKey provider, Delivery delivery);
  LateMarks::Handlers late_mark_handlers();
  void event_expired(const doc::Json& event);
  void given_up(const EventMark& mark);
  rt::Task<void> say_unnoted(api::ObjectKey provider);
  void note_trouble(const api::ObjectKey& provider, std::string message);
  void report(const Delivery& delivery, const std::string& message);
  void release(const Delivery& delivery);

  controller::Services services_;
  controller::WatchCache& alerts_;
  controller::WatchCache& providers_;
  const std::shared_ptr<Sources> sources_;
  const std::shared_ptr<Courier> courier_;
  const std::shared_ptr<Journal> journal_;
  DispatcherOptions options_;
  LabelLookup labels_;
  StateWatch states_;
  const std::shared_ptr<Expressions> expressions_ = std::make_shared<Expressions>();  // of the rules
  std::map<api::ObjectKey, Rule> rules_;
  Verdicts verdicts_;                  // of the rules
  Audience audience_;                  // of the rules
  std::set<api::ObjectKey> to_adopt_;  // Alerts whose spec is to be read
  std::uint64_t rules_made_ = 0;
  std::uint64_t judged_ = 0;
  Backlog backlog_;
  std::map<api::ObjectKey, std::unique_ptr<Outbox>> outboxes_;
  const std::shared_ptr<rt::FairSlots> deliveries_;
  Room room_;                                   // of what waits
  std::map<api::ObjectKey, std::size_t> shed_;  // what waited for a Provider and is not said to be dropped yet
  std::set<std::string> taken_;                 // in an outbox: by Event, Alert, count and digest
  Receipts receipts_;
  Ledger ledger_;  // what was dealt with, or is on its way
  LateMarks late_;
  std::map<api::ObjectKey, std::size_t> unnoted_;  // given up for a Provider, and not said yet
  OwedWords owed_;
  rt::Notify owed_changed_;
  std::map<api::ObjectKey, std::string> trouble_;
  std::function<void(const api::ObjectKey&)> on_trouble_;
  controller::WatchCache::HandlerId alert_handler_ = 0;
  controller::WatchCache::HandlerId provider_handler_ = 0;
  rt::TaskGroup tasks_;
};

}  // namespace sluice::notification_controller
