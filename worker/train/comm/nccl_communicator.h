// Collectives among GPUs with NCCL, called directly.
//
// Collectives run on a stream of their own, ordered against the compute stream by
// events, so the host never waits for them; errors are polled from the host, and a
// lost peer aborts the communicator instead of hanging the GPU.
#pragma once

#include <memory>

#include "worker/train/comm/communicator.h"

namespace mead::train {

// All ranks call it. Rank 0 makes the unique id and passes it through the store.
// Errors: kPeerLost (not all ranks came in time), kUserError (a build without CUDA).
std::shared_ptr<Communicator> MakeNcclCommunicator(const CommunicatorOptions& options,
                                                   std::shared_ptr<RendezvousStore> store);

}  // namespace mead::train
