// The c10d store inside a RendezvousStore, for the communicators.
#pragma once

#include <torch/csrc/distributed/c10d/TCPStore.hpp>

#include "worker/train/comm/rendezvous.h"

namespace mead::train {

struct RendezvousStore::Impl {
  c10::intrusive_ptr<c10d::TCPStore> store;
};

}  // namespace mead::train
