#include "client/interrupt.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <utility>

namespace mead::client {
namespace {

std::atomic<int> interrupts = 0;
// Readable from the first interrupt on; nobody reads it, so every waiter sees it.
std::atomic<int> interrupt_fd = -1;

void Handle(int) {
  const int saved_errno = errno;
  if (interrupts.fetch_add(1) > 0) _exit(130);
  const uint64_t one = 1;
  [[maybe_unused]] const ssize_t written = write(interrupt_fd, &one, sizeof one);
  errno = saved_errno;
}

}  // namespace

void InstallInterruptHandler() {
  if (interrupt_fd >= 0) return;
  interrupt_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  struct sigaction action {};
  action.sa_handler = Handle;
  action.sa_flags = SA_RESTART;
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
}

bool Interrupted() { return interrupts > 0; }

bool InterruptibleSleep(absl::Duration duration) {
  const int milliseconds = static_cast<int>(absl::ToInt64Milliseconds(duration));
  pollfd wait{interrupt_fd, POLLIN, 0};  // a descriptor of -1 only waits
  poll(&wait, 1, milliseconds);
  return !Interrupted();
}

InterruptScope::InterruptScope(std::function<void()> on_interrupt)
    : done_fd_(eventfd(0, EFD_CLOEXEC)), thread_([this, callback = std::move(on_interrupt)] {
        pollfd waits[2] = {{interrupt_fd, POLLIN, 0}, {done_fd_, POLLIN, 0}};
        while (poll(waits, 2, -1) < 0 && errno == EINTR) {
        }
        if ((waits[0].revents & POLLIN) != 0) callback();
      }) {}

InterruptScope::~InterruptScope() {
  const uint64_t one = 1;
  [[maybe_unused]] const ssize_t written = write(done_fd_, &one, sizeof one);
  thread_.join();
  close(done_fd_);
}

}  // namespace mead::client
