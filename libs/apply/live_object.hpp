// What is on record of one object that we have applied, or that carries an owner's labels. Pure.
//
// A record is in one of these states, told by its fields; `writes` counts requests of ours that
// are on. What the cluster does while one is on is taken for our own doing, and judged when the
// last one has ended.
//
//   state     what it means                                        fields
//   --------  ---------------------------------------------------  ------------------------------------
//   expected  a write is on, and nothing was seen yet              resource_version empty
//   foreign   seen; this process has not left it                   left == 0
//   standing  seen; as we left it                                  left != 0 and stands()
//   released  seen; switched off in the cluster, whatever it is    switched_off
//   drifted   seen; somebody else has changed it                   left != 0 and none of these
//   gone      deletion seen while a write is on                    gone
//   (none)    no record
//
//   event                  expected   foreign       standing, released, drifted   gone
//   ---------------------  ---------  ------------  ----------------------------  ----------------
//   see(), same UID        foreign    foreign       by its fields *               -> as expected
//   see(), taken over      foreign    foreign       foreign *                     -> as expected
//   see(), another UID     foreign    foreign       foreign *                     -> as expected
//   see(), older           -          ignored       ignored                       ignored
//   lose(), a write on     -          gone          gone                          gone
//   lose(), none on        (none)     (none) *      (none) *                      (none)
//   begin_write()          expected   same          same                          gone
//   end_write(), the last  (none)     same          same *                        (none) *
//   leave()                expected+  standing      standing                      gone
//   confirm()              -          standing      standing                      -
//   await_return()         expected   same          same                          gone
//   disown()               expected   foreign       foreign                       gone
//
//   *  is drift, unless a write is on: if it ends as drifted, or if what was left (left != 0), or is
//      to return, is gone, or has become another object.
//      Of an object whose work has ended and that may vanish, its end is none (Effect::vanished).
//   +  `left` is noted, and counts when the object is seen.
//
// `left` and `left_by` outlive a deletion while a write is on: a write that fails after it has left
// less than there was. await_return() makes that so of what we ourselves delete to create it anew.
//
// Drift is the business of whoever has left the object (`left_by`), whatever its labels say now: a hand
// edit may change them, too. It is taken over if other owner labels are on it and our field manager has
// applied them, which nobody does by hand: then another daemon of our kind has applied it for another
// owner (in this process that is a write, and leave() names the new one). The new owner is told, and
// nothing is left there any more, so that the two do not answer each other for ever.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "api/object_meta.hpp"
#include "apply/readiness.hpp"
#include "kube/reflector.hpp"

namespace sluice::apply {

struct LiveObject {
  enum class State { expected, foreign, standing, released, drifted, gone };
  // What a transition means for the owner.
  enum class Effect {
    none,      // nothing was learned
    changed,   // the record says something new
    drifted,   // and somebody else did that to what we left
    vanished,  // what we left is gone as it has to be: its work has ended
  };

  std::string resource_version;
  std::string uid;
  api::ObjectKey owner;       // from the owner labels, as they are now
  std::uint64_t owned = 0;    // owned_hash() of it
  std::uint64_t content = 0;  // content_hash() of it
  Health health = Health::in_progress;
  std::string message;          // of its readiness, unless it is current
  bool switched_off = false;    // `reconcile: disabled` or `ssa: Ignore` in the cluster, as label or annotation
  bool to_take_over = false;    // needs_takeover()
  bool may_vanish = false;      // its work is done, and its absence no drift
  bool has_failed = false;      // its work, of which `message` then tells
  bool unreadable = false;      // too large: nothing but its metadata is known, and the server must be asked
  bool labels_applied = false;  // the owner labels are as our field manager has applied them
  // What we left there: hash of the manifest, and owned_hash() of the server's
  // answer. 0 when this process has not applied it.
  std::uint64_t desired = 0;
  std::uint64_t left = 0;
  api::ObjectKey left_by;   // for whom that was, or who is about to create it anew
  bool to_return = false;   // we delete it, to create it anew for `left_by`
  int writes = 0;           // requests of ours that are on
  bool gone = false;        // deleted while such a request is on; resource_version is that of the deletion
  kube::ListMark mark = 0;  // of the last list that told of it

  // As we left it, for all that we know.
  bool stands() const noexcept { return left != 0 && owned == left && !to_take_over && !unreadable; }
  State state() const noexcept;
  // Who is to be told of what has become of it.
  const api::ObjectKey& concerned() const noexcept { return left_by.name.empty() ? owner : left_by; }
  // Something of it is in the cluster.
  bool is_there() const noexcept { return !gone && !resource_version.empty(); }

  // --- events ---
  // `now` is a record made from the object alone.
  Effect see(LiveObject now);
  // It is deleted, or was not in a list, of this version. True in `forget`: the record goes.
  Effect lose(std::string_view version, bool& forget);
  void begin_write() noexcept { ++writes; }
  Effect end_write(bool& forget);
  // Our write for `by` was answered with an object whose owned_hash() is `owned_then`.
  void leave(api::ObjectKey by, std::uint64_t desired_then, std::uint64_t owned_then) noexcept;
  // We are about to delete it, to create it anew for `by`: until that is done, its absence is drift.
  void await_return(api::ObjectKey by) noexcept;
  // The server would change nothing, and with it not the labels of its owner.
  void confirm(std::uint64_t desired_then);
  // Versions have gone back: whatever is told next is newer.
  void forget_version() noexcept { resource_version.clear(); }
  // It is no business of ours any more, or about to be deleted by us.
  void disown() noexcept;

 private:
  Effect judge() noexcept;
  bool is_missed() const noexcept { return left != 0 || to_return; }
  Effect loss() const noexcept;  // that what was left is there no more
};

}  // namespace sluice::apply
