// The threads for blocking and CPU-bound work, shared fairly between owners. Private to
// this library; safe from any thread.
//
// An owner is whoever work is done for (a namespace; "" is the daemon itself). Of those that
// wait, the one with the least work under way is served first, in turn; one owner's work
// never takes all threads: `threads` of them at most, while there are as many more for other
// owners (fair_shares.hpp), and another one for the daemon alone. So builds of one tenant that
// take for ever, or a server of its that says a byte an hour, stop neither the next tenant
// nor the daemon. Threads are started as they are needed.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "rt/fair_shares.hpp"

namespace sluice::rt {

class FairPool {
 public:
  // `threads` bounds the work of one owner.
  explicit FairPool(std::size_t threads);
  ~FairPool();  // runs what still waits, then joins
  FairPool(const FairPool&) = delete;
  FairPool& operator=(const FairPool&) = delete;

  void post(const std::string& owner, std::function<void()> work);

 private:
  struct Owner {
    std::deque<std::function<void()>> waiting;
    std::size_t running = 0;
    std::uint64_t served = 0;  // when, in turns
  };
  using Owners = std::map<std::string, Owner>;

  std::size_t room_for(const Owners::value_type& entry) const;
  std::size_t runnable() const;
  Owners::iterator next();
  void work_off();

  const std::size_t threads_;  // at most
  FairShares shares_;
  std::mutex mutex_;
  std::condition_variable changed_;
  Owners owners_;  // that have work, waiting or under way
  std::size_t idle_ = 0;
  std::uint64_t turn_ = 0;
  bool stopping_ = false;
  std::vector<std::thread> workers_;
};

}  // namespace sluice::rt
