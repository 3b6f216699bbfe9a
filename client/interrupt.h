// Ctrl-C and SIGTERM: seen as a flag, and ending blocked calls and waits.
//
// Thread: one InterruptScope at a time, made and ended on the main thread; its callback
//   runs on a thread of its own.
#pragma once

#include <functional>
#include <thread>

#include "absl/time/time.h"

namespace mead::client {

// From the first scope on, true once SIGINT or SIGTERM has come.
bool Interrupted();

// Takes SIGINT and SIGTERM over for the process until its end; the second Ctrl-C within a
// scope ends the process at once, so a user is never stuck.
void InstallInterruptHandler();

// Waits; false as soon as an interrupt has come.
[[nodiscard]] bool InterruptibleSleep(absl::Duration duration);

// Calls `on_interrupt` once if an interrupt comes while the scope lives.
class InterruptScope {
 public:
  explicit InterruptScope(std::function<void()> on_interrupt);
  ~InterruptScope();
  InterruptScope(const InterruptScope&) = delete;
  InterruptScope& operator=(const InterruptScope&) = delete;

 private:
  int done_fd_;
  std::jthread thread_;  // last: joined first
};

}  // namespace mead::client
