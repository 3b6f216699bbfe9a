#include "worker/trainer/yield_request.h"

#include <signal.h>
#include <unistd.h>

#include <atomic>

namespace mead::trainer {
namespace {

// A handler may touch nothing else.
static_assert(std::atomic<bool>::is_always_lock_free);
std::atomic<bool> training = false;
std::atomic<bool> asked_to_end = false;

void OnSigterm(int) {
  if (!training) _exit(128 + SIGTERM);
  asked_to_end = true;
}

}  // namespace

void YieldRequest::HandleSigterm() {
  struct sigaction action = {};
  action.sa_handler = OnSigterm;
  action.sa_flags = SA_RESTART;
  sigemptyset(&action.sa_mask);
  sigaction(SIGTERM, &action, nullptr);
}

YieldRequest::Scope::Scope() {
  asked_to_end = false;
  training = true;
}

YieldRequest::Scope::~Scope() { training = false; }

bool YieldRequest::asked() { return asked_to_end; }

}  // namespace mead::trainer
