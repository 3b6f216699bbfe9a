#include "worker/train/comm/rendezvous.h"

#include <c10/util/Logging.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstring>
#include <utility>

#include "worker/train/comm/rendezvous_impl.h"
#include "worker/train/tensors.h"

namespace mead::train {
namespace {

constexpr int kBacklog = 256;

struct Listener {
  int descriptor = -1;
  uint16_t port = 0;
};

// A listening socket on a free port of one address; TCPStore's own would listen
// on every address of the machine.
Listener ListenOn(const std::string& host) {
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE;
  addrinfo* found = nullptr;
  if (const int error = getaddrinfo(host.c_str(), "0", &hints, &found); error != 0) {
    throw TrainError(ErrorKind::kUserError, "the worker's address '" + host +
                                                "' cannot be resolved: " + gai_strerror(error) +
                                                "; start the worker with --address");
  }
  Listener listener;
  std::string problem;
  for (const addrinfo* info = found; info != nullptr && listener.descriptor < 0;
       info = info->ai_next) {
    const int descriptor = socket(info->ai_family, info->ai_socktype | SOCK_CLOEXEC, 0);
    sockaddr_storage bound{};
    socklen_t length = sizeof(bound);
    if (descriptor >= 0 && bind(descriptor, info->ai_addr, info->ai_addrlen) == 0 &&
        listen(descriptor, kBacklog) == 0 &&
        getsockname(descriptor, reinterpret_cast<sockaddr*>(&bound), &length) == 0) {
      const uint16_t port = bound.ss_family == AF_INET6
                                ? reinterpret_cast<const sockaddr_in6*>(&bound)->sin6_port
                                : reinterpret_cast<const sockaddr_in*>(&bound)->sin_port;
      listener = {.descriptor = descriptor, .port = ntohs(port)};
    } else {
      problem = std::strerror(errno);
      if (descriptor >= 0) close(descriptor);
    }
  }
  freeaddrinfo(found);
  if (listener.descriptor < 0) {
    throw TrainError(ErrorKind::kUserError, "cannot listen on '" + host + "': " + problem +
                                                "; it must be an address of this machine");
  }
  return listener;
}

// c10d logs every failed connection with its C++ stack; ours say it in a line.
void KeepC10dQuiet() {
  constexpr int kFatal = 3;
  FLAGS_caffe2_log_level = kFatal;
}

std::vector<uint8_t> Bytes(std::string_view text) { return {text.begin(), text.end()}; }

// A store that does not answer means that rank 0 is gone.
template <typename F>
auto AskingPeer(const std::string& address, const char* doing, F&& f) -> decltype(f()) {
  try {
    return f();
  } catch (const std::exception& error) {
    throw TrainError(ErrorKind::kPeerLost, std::string(doing) + " rank 0's store at " + address +
                                               " failed: " + FirstLine(error.what()));
  }
}

}  // namespace

RendezvousStore::RendezvousStore(std::string address, std::unique_ptr<Impl> impl)
    : address_(std::move(address)), impl_(std::move(impl)) {}

RendezvousStore::~RendezvousStore() = default;

std::shared_ptr<RendezvousStore> RendezvousStore::Serve(const std::string& host,
                                                        std::chrono::milliseconds timeout) {
  KeepC10dQuiet();
  const Listener listener = ListenOn(host);
  c10d::TCPStoreOptions options;
  options.port = listener.port;
  options.isServer = true;
  options.waitWorkers = false;
  options.timeout = timeout;
  options.masterListenFd = listener.descriptor;  // owned by the store from here on
  const bool v6 = host.find(':') != std::string::npos;
  const std::string address = (v6 ? "[" + host + "]" : host) + ":" + std::to_string(listener.port);
  return AskingPeer(address, "starting", [&] {
    auto store = c10::make_intrusive<c10d::TCPStore>(host, options);
    return std::shared_ptr<RendezvousStore>(
        new RendezvousStore(address, std::make_unique<Impl>(Impl{std::move(store)})));
  });
}

std::shared_ptr<RendezvousStore> RendezvousStore::Connect(const std::string& address,
                                                          std::chrono::milliseconds timeout) {
  const size_t colon = address.rfind(':');
  uint16_t port = 0;
  bool valid = colon != std::string::npos && colon > 0;
  if (valid) {
    const char* end = address.data() + address.size();
    const auto parsed = std::from_chars(address.data() + colon + 1, end, port);
    valid = parsed.ec == std::errc() && parsed.ptr == end && port != 0;
  }
  if (!valid) {
    throw TrainError(ErrorKind::kUserError,
                     "rendezvous address '" + address + "' is not HOST:PORT");
  }
  std::string host = address.substr(0, colon);
  if (host.front() == '[' && host.back() == ']') host = host.substr(1, host.size() - 2);
  KeepC10dQuiet();
  c10d::TCPStoreOptions options;
  options.port = port;
  options.waitWorkers = false;
  options.timeout = timeout;
  return AskingPeer(address, "connecting to", [&] {
    auto store = c10::make_intrusive<c10d::TCPStore>(host, options);
    return std::shared_ptr<RendezvousStore>(
        new RendezvousStore(address, std::make_unique<Impl>(Impl{std::move(store)})));
  });
}

void RendezvousStore::Set(const std::string& key, std::string_view value) {
  AskingPeer(address_, "writing to", [&] { impl_->store->set(key, Bytes(value)); });
}

std::string RendezvousStore::Get(const std::string& key) {
  return AskingPeer(address_, "reading from", [&] {
    const std::vector<uint8_t> value = impl_->store->get(key);
    return std::string(value.begin(), value.end());
  });
}

std::vector<std::string> RendezvousStore::Exchange(const std::string& topic, int rank,
                                                   int world_size, std::string_view word) {
  const auto key = [&](int of) { return topic + "/" + std::to_string(of); };
  Set(key(rank), word);
  std::vector<std::string> words;
  for (int of = 0; of < world_size; ++of) words.push_back(Get(key(of)));
  return words;
}

}  // namespace mead::train
