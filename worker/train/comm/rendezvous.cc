#include "worker/train/comm/rendezvous.h"

#include <c10/util/Logging.h>

#include <utility>

#include "worker/train/comm/rendezvous_impl.h"
#include "worker/train/comm/tcp.h"
#include "worker/train/tensors.h"

namespace mead::train {
namespace {

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
  TcpListener listener = ListenOn(host);
  c10d::TCPStoreOptions options;
  options.port = listener.port;
  options.isServer = true;
  options.waitWorkers = false;
  options.timeout = timeout;
  // The store's own would listen on every address of the machine.
  options.masterListenFd = listener.socket.release();
  return AskingPeer(listener.address, "starting", [&] {
    auto store = c10::make_intrusive<c10d::TCPStore>(host, options);
    return std::shared_ptr<RendezvousStore>(
        new RendezvousStore(listener.address, std::make_unique<Impl>(Impl{std::move(store)})));
  });
}

std::shared_ptr<RendezvousStore> RendezvousStore::Connect(const std::string& address,
                                                          std::chrono::milliseconds timeout) {
  const HostAndPort to = ParseAddress(address);
  KeepC10dQuiet();
  c10d::TCPStoreOptions options;
  options.port = to.port;
  options.waitWorkers = false;
  options.timeout = timeout;
  return AskingPeer(address, "connecting to", [&] {
    auto store = c10::make_intrusive<c10d::TCPStore>(to.host, options);
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
