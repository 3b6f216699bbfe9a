#include "worker/train/comm/shm_meeting.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdio>
#include <cstring>
#include <exception>
#include <fstream>
#include <random>
#include <system_error>
#include <utility>

#include "worker/train/errors.h"

namespace mead::train {
namespace {

using Clock = std::chrono::steady_clock;

// Ranks of different builds must not read one another's memory.
constexpr const char* kLayout = "shm-1";
constexpr const char* kYes = "yes";

[[noreturn]] void ThrowErrno(const char* doing) {
  throw std::system_error(errno, std::generic_category(), doing);
}

// Runs f; what it throws is a reason not to share, which the other ranks are told.
template <typename F>
std::string Trying(F&& f) {
  try {
    f();
    return kYes;
  } catch (const std::exception& error) {
    return error.what();
  }
}

// Every rank's word on `topic`, by rank.
std::vector<std::string> Exchange(RendezvousStore& store, const CommunicatorOptions& options,
                                  const std::string& topic, const std::string& mine) {
  return store.Exchange("shm/" + topic, options.rank, options.world_size, mine);
}

// The first rank's reason against sharing; empty if all said yes.
std::string FirstReason(const std::vector<std::string>& words) {
  for (size_t rank = 0; rank < words.size(); ++rank) {
    if (words[rank] != kYes) return "rank " + std::to_string(rank) + ": " + words[rank];
  }
  return "";
}

// What ranks that can share have in common: the running kernel.
std::string HostWord(const CommunicatorOptions& options) {
  const std::string rank = std::to_string(options.rank);
  if (options.transport == Transport::kGloo) return "told to use Gloo, rank " + rank;
  std::string boot;
  std::ifstream("/proc/sys/kernel/random/boot_id") >> boot;
  return boot.empty() ? "no boot id, rank " + rank : std::string(kLayout) + " " + boot;
}

// A name that nobody can guess: abstract sockets have no permissions.
std::string RandomName() {
  std::random_device device;
  std::string name = "mead-gang-";
  for (int i = 0; i < 4; ++i) {
    char part[9];
    std::snprintf(part, sizeof(part), "%08x", device());
    name += part;
  }
  return name;
}

struct Address {
  explicit Address(const std::string& name) {
    un.sun_family = AF_UNIX;
    name.copy(un.sun_path + 1, sizeof(un.sun_path) - 1);  // a leading zero: abstract
    length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name.size());
  }
  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&un); }

  sockaddr_un un{};
  socklen_t length = 0;
};

Descriptor NewSocket() {
  Descriptor made(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
  if (!made) ThrowErrno("socket");
  return made;
}

// A peer that says nothing for too long is an error, not a hang.
void LimitWaiting(const Descriptor& socket, std::chrono::milliseconds timeout) {
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(timeout);
  const auto rest = std::chrono::duration_cast<std::chrono::microseconds>(timeout - seconds);
  const timeval limit{.tv_sec = seconds.count(), .tv_usec = rest.count()};
  if (setsockopt(socket.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)) != 0) {
    ThrowErrno("setsockopt");
  }
}

bool IsOurOwn(const Descriptor& socket) {
  ucred peer{};
  socklen_t length = sizeof(peer);
  return getsockopt(socket.get(), SOL_SOCKET, SO_PEERCRED, &peer, &length) == 0 &&
         peer.uid == geteuid();
}

Descriptor Listen(const std::string& name, int world_size) {
  Descriptor listener = NewSocket();
  const Address address(name);
  if (bind(listener.get(), address.get(), address.length) != 0) ThrowErrno("bind");
  if (listen(listener.get(), world_size) != 0) ThrowErrno("listen");
  return listener;
}

// Returns once the connection waits in rank 0's backlog, with our rank in it.
Descriptor Connect(const std::string& name, const CommunicatorOptions& options) {
  Descriptor link = NewSocket();
  LimitWaiting(link, options.timeout);
  const Address address(name);
  if (connect(link.get(), address.get(), address.length) != 0) ThrowErrno("connecting to rank 0");
  const int32_t rank = options.rank;
  if (send(link.get(), &rank, sizeof(rank), MSG_NOSIGNAL) != sizeof(rank)) {
    ThrowErrno("writing to rank 0");
  }
  return link;
}

// All of them have connected already; strangers are turned away.
std::vector<ShmMeeting::Link> AcceptAll(const Descriptor& listener,
                                        const CommunicatorOptions& options) {
  const auto deadline = Clock::now() + options.timeout;
  std::vector<ShmMeeting::Link> links;
  while (static_cast<int>(links.size()) < options.world_size - 1) {
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now());
    pollfd waiting{.fd = listener.get(), .events = POLLIN, .revents = 0};
    const int ready = poll(&waiting, 1, std::max(0, static_cast<int>(left.count())));
    if (ready < 0 && errno == EINTR) continue;
    if (ready <= 0) throw std::runtime_error("a rank's connection did not arrive");
    Descriptor socket(accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
    if (!socket) ThrowErrno("accept");
    if (!IsOurOwn(socket)) continue;
    LimitWaiting(socket, options.timeout);
    int32_t rank = 0;
    if (recv(socket.get(), &rank, sizeof(rank), 0) != sizeof(rank)) continue;
    links.push_back({.rank = rank, .socket = std::move(socket)});
  }
  return links;
}

// An ancillary message that carries one descriptor, beside one byte of data.
struct DescriptorMessage {
  DescriptorMessage() {
    header.msg_iov = &data;
    header.msg_iovlen = 1;
    header.msg_control = control.data();
    header.msg_controllen = control.size();
  }

  char byte = 0;
  iovec data{.iov_base = &byte, .iov_len = 1};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control{};
  msghdr header{};
};

void SendDescriptor(const Descriptor& socket, int descriptor) {
  DescriptorMessage message;
  cmsghdr* part = CMSG_FIRSTHDR(&message.header);
  part->cmsg_level = SOL_SOCKET;
  part->cmsg_type = SCM_RIGHTS;
  part->cmsg_len = CMSG_LEN(sizeof(descriptor));
  std::memcpy(CMSG_DATA(part), &descriptor, sizeof(descriptor));
  if (sendmsg(socket.get(), &message.header, MSG_NOSIGNAL) != 1) ThrowErrno("passing the segment");
}

Descriptor ReceiveDescriptor(const Descriptor& socket) {
  DescriptorMessage message;
  const ssize_t got = recvmsg(socket.get(), &message.header, MSG_CMSG_CLOEXEC);
  if (got < 0) ThrowErrno("receiving the segment");
  const cmsghdr* part = got == 1 ? CMSG_FIRSTHDR(&message.header) : nullptr;
  if (part == nullptr || part->cmsg_type != SCM_RIGHTS) {
    throw std::runtime_error("rank 0 closed the connection without passing the segment");
  }
  int descriptor = -1;
  std::memcpy(&descriptor, CMSG_DATA(part), sizeof(descriptor));
  return Descriptor(descriptor);
}

ShmMeeting Apart(std::string why_not) {
  return {.segment = nullptr, .links = {}, .why_not = std::move(why_not)};
}

// Rank 0's side, once all ranks have told the same host.
ShmMeeting Host(const CommunicatorOptions& options, RendezvousStore& store) {
  ShmMeeting meeting;
  Descriptor listener;
  const std::string name = RandomName();
  const std::string opened = Trying([&] {
    meeting.segment = ShmSegment::Create(options.world_size);
    listener = Listen(name, options.world_size);
  });
  store.Set("shm/name", name);
  std::string reason = FirstReason(Exchange(store, options, "connected", opened));
  if (!reason.empty()) return Apart(reason);

  const std::string passed = Trying([&] {
    meeting.links = AcceptAll(listener, options);
    for (const ShmMeeting::Link& link : meeting.links) {
      SendDescriptor(link.socket, meeting.segment->descriptor());
    }
  });
  // Nobody waits for a descriptor that will not come.
  listener = Descriptor();
  if (passed != kYes) meeting.links.clear();
  reason = FirstReason(Exchange(store, options, "mapped", passed));
  return reason.empty() ? std::move(meeting) : Apart(reason);
}

// The other ranks' side.
ShmMeeting Join(const CommunicatorOptions& options, RendezvousStore& store) {
  ShmMeeting meeting;
  Descriptor link;
  const std::string name = store.Get("shm/name");
  const std::string connected = Trying([&] {
    link = Connect(name, options);
    if (!IsOurOwn(link)) throw std::runtime_error("rank 0's socket is another user's");
  });
  std::string reason = FirstReason(Exchange(store, options, "connected", connected));
  if (!reason.empty()) return Apart(reason);

  const std::string mapped = Trying(
      [&] { meeting.segment = ShmSegment::Attach(ReceiveDescriptor(link), options.world_size); });
  reason = FirstReason(Exchange(store, options, "mapped", mapped));
  if (!reason.empty()) return Apart(reason);
  meeting.links.push_back({.rank = 0, .socket = std::move(link)});
  return meeting;
}

}  // namespace

ShmMeeting MeetOnOneHost(const CommunicatorOptions& options, RendezvousStore& store) {
  const std::vector<std::string> hosts = Exchange(store, options, "host", HostWord(options));
  for (size_t rank = 1; rank < hosts.size(); ++rank) {
    if (hosts[rank] != hosts[0]) {
      return Apart("rank 0 is on '" + hosts[0] + "' and rank " + std::to_string(rank) + " on '" +
                   hosts[rank] + "'");
    }
  }
  return options.rank == 0 ? Host(options, store) : Join(options, store);
}

}  // namespace mead::train
