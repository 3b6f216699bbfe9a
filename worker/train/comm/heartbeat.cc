#include "worker/train/comm/heartbeat.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <string>
#include <utility>

#include "worker/train/comm/rendezvous.h"
#include "worker/train/comm/tcp.h"
#include "worker/train/errors.h"

namespace mead::train {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr char kKey[] = "heartbeat/address";

// Often enough that silence of half a timeout is no accident.
milliseconds PeriodOf(milliseconds timeout) {
  return std::clamp<milliseconds>(timeout / 20, milliseconds(10), std::chrono::seconds(1));
}

void SendAll(int socket, const void* data, size_t size) {
  if (send(socket, data, size, MSG_NOSIGNAL) != static_cast<ssize_t>(size)) {
    throw TrainError(ErrorKind::kPeerLost, std::string("greeting rank 0: ") + strerror(errno));
  }
}

}  // namespace

Heartbeat::Heartbeat(const CommunicatorOptions& options, RendezvousStore& store)
    : rank_(options.rank),
      world_size_(options.world_size),
      period_(PeriodOf(options.timeout)),
      roster_(options.rank, options.world_size, Clock::now()),
      ending_(eventfd(0, EFD_CLOEXEC)) {
  if (!ending_) throw TrainError(ErrorKind::kInternal, std::string("eventfd: ") + strerror(errno));
  Meet(options, store);
  beating_ = std::jthread([this] { Beat(); });
}

Heartbeat::~Heartbeat() {
  const uint64_t one = 1;
  // Cannot fail: nobody else writes to it.
  [[maybe_unused]] const ssize_t written = write(ending_.get(), &one, sizeof(one));
}

void Heartbeat::Meet(const CommunicatorOptions& options, RendezvousStore& store) {
  if (rank_ != 0) {
    Link link{.rank = 0, .socket = ConnectTo(store.Get(kKey)), .received = {}};
    const auto mine = static_cast<int32_t>(rank_);
    SendAll(link.socket.get(), &mine, sizeof(mine));
    links_.push_back(std::move(link));
    return;
  }
  const TcpListener listener = ListenOn(options.host);
  store.Set(kKey, listener.address);
  const auto deadline = Clock::now() + options.timeout;
  while (static_cast<int>(links_.size()) + 1 < world_size_) {
    const auto left = std::chrono::duration_cast<milliseconds>(deadline - Clock::now());
    Descriptor socket = AcceptFrom(listener, std::max(left, milliseconds(0)));
    int32_t rank = -1;
    const timeval patience{.tv_sec = 5, .tv_usec = 0};
    setsockopt(socket.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    const bool whole = recv(socket.get(), &rank, sizeof(rank), MSG_WAITALL) == sizeof(rank);
    const bool known = std::any_of(links_.begin(), links_.end(),
                                   [&](const Link& link) { return link.rank == rank; });
    // Whoever else knocks is no rank of ours.
    if (!whole || rank < 1 || rank >= world_size_ || known) continue;
    links_.push_back({.rank = rank, .socket = std::move(socket), .received = {}});
  }
}

void Heartbeat::Accuse(int rank) {
  const std::lock_guard lock(mutex_);
  roster_.Accuse({.rank = rank, .by = rank_});
  TellAll();
}

void Heartbeat::Beat() {
  for (;;) {
    std::vector<pollfd> waited = {{.fd = ending_.get(), .events = POLLIN, .revents = 0}};
    {
      const std::lock_guard lock(mutex_);
      TellAll();
      for (const Link& link : links_) {
        waited.push_back({.fd = link.socket.get(), .events = POLLIN, .revents = 0});
      }
    }
    const auto next = Clock::now() + period_;
    for (;;) {
      const auto left = std::chrono::duration_cast<milliseconds>(next - Clock::now());
      if (left <= milliseconds(0)) break;
      poll(waited.data(), waited.size(), static_cast<int>(left.count()) + 1);
      if (waited.front().revents != 0) return;
      const std::lock_guard lock(mutex_);
      const auto news = roster_.accusation().has_value();
      size_t ended = 0;
      for (size_t i = 0; i < links_.size(); ++i) {
        if (waited[i + 1].revents == 0) continue;
        Receive(links_[i]);
        if (!links_[i].socket) {
          waited[i + 1].fd = -1;  // poll() passes over it
          ++ended;
        }
      }
      // Bad news does not wait for the next beat.
      if (ended > 0 || roster_.accusation().has_value() != news) TellAll();
    }
  }
}

void Heartbeat::Receive(Link& link) {
  std::array<std::byte, 4096> buffer;
  for (;;) {
    const ssize_t count = recv(link.socket.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) break;
    if (count <= 0) {
      roster_.Ended(link.rank, Clock::now());
      link.socket = Descriptor();
      break;
    }
    link.received.insert(link.received.end(), buffer.begin(), buffer.begin() + count);
  }
  std::vector<int64_t> message(2 + 2 * static_cast<size_t>(world_size_));
  const size_t bytes = message.size() * sizeof(int64_t);
  size_t taken = 0;
  for (; link.received.size() - taken >= bytes; taken += bytes) {
    std::memcpy(message.data(), link.received.data() + taken, bytes);
    Take(link, message);
  }
  link.received.erase(link.received.begin(), link.received.begin() + static_cast<ptrdiff_t>(taken));
}

void Heartbeat::Take(const Link& link, const std::vector<int64_t>& message) {
  const auto now = Clock::now();
  if (message[1] >= 0) {
    roster_.Accuse({.rank = static_cast<int>(message[0]), .by = static_cast<int>(message[1])});
  }
  for (int rank = 0; rank < world_size_; ++rank) {
    const int64_t progress = message[2 + 2 * static_cast<size_t>(rank)];
    const int64_t silent_ms = message[3 + 2 * static_cast<size_t>(rank)];
    if (rank == link.rank) {
      roster_.Heard(rank, progress, now);
    } else if (rank_ != 0 && silent_ms < 0) {
      roster_.Ended(rank, now);
    } else if (rank_ != 0) {
      roster_.Heard(rank, progress, now - milliseconds(silent_ms));
    }
  }
}

void Heartbeat::TellAll() {
  const auto now = Clock::now();
  const auto accusation = roster_.accusation().value_or(Roster::Accusation{-1, -1});
  std::vector<int64_t> message = {accusation.rank, accusation.by};
  for (int rank = 0; rank < world_size_; ++rank) {
    const Roster::Entry& entry = roster_.entry(rank);
    const bool mine = rank == rank_;
    message.push_back(mine ? progress() : entry.progress);
    message.push_back(mine ? 0
                      : entry.ended
                          ? -1
                          : std::chrono::duration_cast<milliseconds>(now - entry.heard).count());
  }
  for (Link& link : links_) {
    if (!link.socket) continue;
    const size_t bytes = message.size() * sizeof(int64_t);
    const ssize_t sent =
        send(link.socket.get(), message.data(), bytes, MSG_NOSIGNAL | MSG_DONTWAIT);
    // Who does not read will find the next. Half a message is of no use to anybody: such
    // a connection is over, which the other end will see, too.
    if (sent >= 0 && sent != static_cast<ssize_t>(bytes)) shutdown(link.socket.get(), SHUT_RDWR);
  }
}

}  // namespace mead::train
