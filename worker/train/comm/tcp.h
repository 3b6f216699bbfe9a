// Addresses and connections of the gang's own sockets.
//
// Thread: any.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include "worker/train/comm/descriptor.h"

namespace mead::train {

struct TcpListener {
  Descriptor socket;
  uint16_t port = 0;
  std::string address;  // "HOST:PORT", or "[HOST]:PORT"
};

struct HostAndPort {
  std::string host;
  uint16_t port = 0;
};

// Listens on a free port of `host` and on no other address of the machine.
// Errors: kUserError (no such name, or no address of this machine).
TcpListener ListenOn(const std::string& host);

// "HOST:PORT" or "[HOST]:PORT". Errors: kUserError.
HostAndPort ParseAddress(const std::string& address);

// Errors: kPeerLost (nobody there).
Descriptor ConnectTo(const std::string& address);

// Waits for a connection. Errors: kPeerLost, after `timeout`.
Descriptor AcceptFrom(const TcpListener& listener, std::chrono::milliseconds timeout);

}  // namespace mead::train
