#include "worker/train/comm/tcp.h"

#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>

#include <cerrno>
#include <charconv>
#include <cstring>
#include <memory>

#include "worker/train/errors.h"

namespace mead::train {
namespace {

constexpr int kBacklog = 256;

using AddressList = std::unique_ptr<addrinfo, decltype(&freeaddrinfo)>;

AddressList Resolve(const std::string& host, const std::string& port, int flags, int* error) {
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = flags;
  addrinfo* found = nullptr;
  *error = getaddrinfo(host.c_str(), port.c_str(), &hints, &found);
  return {found, &freeaddrinfo};
}

Descriptor SocketFor(const addrinfo& info) {
  return Descriptor(socket(info.ai_family, info.ai_socktype | SOCK_CLOEXEC, 0));
}

}  // namespace

TcpListener ListenOn(const std::string& host) {
  int error = 0;
  const AddressList found = Resolve(host, "0", AI_PASSIVE, &error);
  if (error != 0) {
    throw TrainError(ErrorKind::kUserError, "the worker's address '" + host +
                                                "' cannot be resolved: " + gai_strerror(error) +
                                                "; start the worker with --address");
  }
  std::string problem;
  for (const addrinfo* info = found.get(); info != nullptr; info = info->ai_next) {
    Descriptor socket = SocketFor(*info);
    sockaddr_storage bound{};
    socklen_t length = sizeof(bound);
    if (!socket || bind(socket.get(), info->ai_addr, info->ai_addrlen) != 0 ||
        listen(socket.get(), kBacklog) != 0 ||
        getsockname(socket.get(), reinterpret_cast<sockaddr*>(&bound), &length) != 0) {
      problem = std::strerror(errno);
      continue;
    }
    const uint16_t port =
        ntohs(bound.ss_family == AF_INET6 ? reinterpret_cast<const sockaddr_in6*>(&bound)->sin6_port
                                          : reinterpret_cast<const sockaddr_in*>(&bound)->sin_port);
    const bool v6 = host.find(':') != std::string::npos;
    return {.socket = std::move(socket),
            .port = port,
            .address = (v6 ? "[" + host + "]" : host) + ":" + std::to_string(port)};
  }
  throw TrainError(ErrorKind::kUserError, "cannot listen on '" + host + "': " + problem +
                                              "; it must be an address of this machine");
}

HostAndPort ParseAddress(const std::string& address) {
  const size_t colon = address.rfind(':');
  HostAndPort parsed;
  bool valid = colon != std::string::npos && colon > 0;
  if (valid) {
    const char* end = address.data() + address.size();
    const auto number = std::from_chars(address.data() + colon + 1, end, parsed.port);
    valid = number.ec == std::errc() && number.ptr == end && parsed.port != 0;
  }
  if (!valid) {
    throw TrainError(ErrorKind::kUserError,
                     "rendezvous address '" + address + "' is not HOST:PORT");
  }
  parsed.host = address.substr(0, colon);
  if (parsed.host.front() == '[' && parsed.host.back() == ']') {
    parsed.host = parsed.host.substr(1, parsed.host.size() - 2);
  }
  return parsed;
}

Descriptor ConnectTo(const std::string& address) {
  const HostAndPort to = ParseAddress(address);
  int error = 0;
  const AddressList found = Resolve(to.host, std::to_string(to.port), 0, &error);
  std::string problem = error != 0 ? gai_strerror(error) : "";
  for (const addrinfo* info = found.get(); info != nullptr; info = info->ai_next) {
    Descriptor socket = SocketFor(*info);
    if (socket && connect(socket.get(), info->ai_addr, info->ai_addrlen) == 0) {
      const int yes = 1;
      setsockopt(socket.get(), IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes));
      return socket;
    }
    problem = std::strerror(errno);
  }
  throw TrainError(ErrorKind::kPeerLost, "cannot connect to " + address + ": " + problem);
}

Descriptor AcceptFrom(const TcpListener& listener, std::chrono::milliseconds timeout) {
  pollfd waiting{.fd = listener.socket.get(), .events = POLLIN, .revents = 0};
  const int ready = poll(&waiting, 1, static_cast<int>(timeout.count()));
  Descriptor socket(ready == 1 ? accept4(waiting.fd, nullptr, nullptr, SOCK_CLOEXEC) : -1);
  if (!socket) {
    throw TrainError(ErrorKind::kPeerLost, "nobody connected to " + listener.address + " within " +
                                               std::to_string(timeout.count()) + " ms");
  }
  const int yes = 1;
  setsockopt(socket.get(), IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes));
  return socket;
}

}  // namespace mead::train
