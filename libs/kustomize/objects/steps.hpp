// Whether the build on this thread is still wanted.
//
// What others wrote decides how long a build takes, so each loop over what they
// wrote takes a step in front of each turn. A build stays on its thread, and the
// loops are in functions that have nothing else to do with the question; so it
// is asked of the thread and not passed from hand to hand.
#pragma once

#include <cstddef>
#include <stop_token>

#include "base/result.hpp"

namespace sluice::kustomize {

class Steps {
 public:
  // For the time of a build on this thread.
  explicit Steps(std::stop_token stop) : stop_(std::move(stop)), outer_(current_) { current_ = this; }
  ~Steps() { current_ = outer_; }
  Steps(const Steps&) = delete;
  Steps& operator=(const Steps&) = delete;

  // True once it is to end. For loops that have no way to answer an error: they
  // leave early, and what they leave unfinished nobody uses, as the build ends
  // in `cancelled` whatever else it comes to.
  static bool ended() {
    if (watch_ != nullptr) watch_();
    return current_ != nullptr && current_->stop_.stop_requested();
  }
  // The token of this thread's build, for what has a loop of its own.
  static std::stop_token token() { return current_ != nullptr ? current_->stop_ : std::stop_token(); }

  // Tests count the steps of this thread, and stop a build at one of them.
  using Watch = void (*)();
  static void watch(Watch watch) { watch_ = watch; }

 private:
  std::stop_token stop_;
  Steps* outer_;
  static inline constinit thread_local Steps* current_ = nullptr;
  static inline constinit thread_local Watch watch_ = nullptr;
};

inline base::Unexpected cancelled() { return base::unexpected(base::ErrorKind::cancelled, "the build was stopped"); }

// `cancelled` once the build on this thread is to end.
inline base::Result<void> take_step() {
  if (Steps::ended()) [[unlikely]] return cancelled();
  return {};
}

}  // namespace sluice::kustomize
