// Collectives among GPUs with NCCL, called directly.
//
// Collectives run on a stream of their own, ordered against the compute stream by
// events, so the host never waits for them. A stream that a CUDA graph is recorded on
// takes that stream into the recording, and back at the collective's Wait(); nothing of
// the host's is then left in the step. Where the host waits for the device, it looks for
// lost peers (watchdog.h), and a loss aborts the communicator instead of hanging the GPU.
#pragma once

#include <memory>

#include "worker/train/comm/communicator.h"

namespace mead::train {

// All ranks call it. Rank 0 makes the unique id and passes it through the store.
// Errors: kPeerLost (not all ranks came in time), kUserError (a build without CUDA).
std::shared_ptr<Communicator> MakeNcclCommunicator(const CommunicatorOptions& options,
                                                   std::shared_ptr<RendezvousStore> store);

}  // namespace mead::train
