// Collectives over TCP with Gloo: ranks without GPUs.
#pragma once

#include <memory>

#include "worker/train/comm/communicator.h"

namespace mead::train {

// Gloo writes to connections that may be broken: the process must ignore SIGPIPE.
// Connects to every other rank; all ranks call it. A peer's closed connection
// fails the collectives under way at once. Gloo cannot wake its own waiters: after
// Abort() the other ranks fail at once, a call that waits on this rank at its timeout.
// Errors: kPeerLost, kUserError (the host is no address of this machine).
std::shared_ptr<Communicator> MakeGlooCommunicator(const CommunicatorOptions& options,
                                                   std::shared_ptr<RendezvousStore> store);

}  // namespace mead::train
