// Where the ranks of a gang meet: a small key-value server inside rank 0.
//
// Rank 0 serves on a free port of its own address before the gang starts; the
// coordinator hands that address to the other ranks. One store lives for one
// attempt, so keys of an earlier attempt are never seen.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace mead::train {

// Thread: not thread-safe; the train thread owns it.
// Errors: kPeerLost (cannot be reached in time), kUserError (bad address),
//   kInternal (no socket).
class RendezvousStore {
 public:
  // Serves on a free port of `host` (an IP address or name of this machine) and
  // on no other address of it.
  static std::shared_ptr<RendezvousStore> Serve(const std::string& host,
                                                std::chrono::milliseconds timeout);
  // address: "HOST:PORT" (IPv6: "[HOST]:PORT") as rank 0's address().
  static std::shared_ptr<RendezvousStore> Connect(const std::string& address,
                                                  std::chrono::milliseconds timeout);
  ~RendezvousStore();

  const std::string& address() const { return address_; }
  void Set(const std::string& key, std::string_view value);
  // Waits until another rank has set the key.
  std::string Get(const std::string& key);
  // Every rank's word on `topic`, by rank: all ranks tell theirs, and wait for the others'.
  std::vector<std::string> Exchange(const std::string& topic, int rank, int world_size,
                                    std::string_view word);

  struct Impl;  // holds the c10d store; for this folder only
  Impl& impl() { return *impl_; }

 private:
  RendezvousStore(std::string address, std::unique_ptr<Impl> impl);

  std::string address_;
  std::unique_ptr<Impl> impl_;
};

}  // namespace mead::train
