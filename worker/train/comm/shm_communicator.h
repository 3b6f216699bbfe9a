// Collectives through shared memory: ranks on one host, without GPUs.
//
// A sum is made where the data lie. Each rank adds up its share of the elements,
// over all ranks in their order, and writes the result to every rank's copy: with
// tensors of AllocateBuffer() nothing is copied, and each byte is read and written
// once. A thread of the communicator's own does it while the caller computes. Other
// tensors are copied to and from a staging block, on the calling thread.
#pragma once

#include <memory>

#include "worker/train/comm/communicator.h"
#include "worker/train/comm/shm_meeting.h"

namespace mead::train {

// meeting: one that has come about; store: where, kept for ranks that still read there.
// A peer that ends is noticed at once, by its closed socket. One that answers
// nothing fails the collectives that wait for it after the timeout; the message
// names the ranks that lag and the collective, counted from 1.
// Errors: kPeerLost; kInternal, where ranks call different collectives, or a
//   tensor's type or layout is not one of those above.
std::shared_ptr<Communicator> MakeShmCommunicator(const CommunicatorOptions& options,
                                                  ShmMeeting meeting,
                                                  std::shared_ptr<RendezvousStore> store);

}  // namespace mead::train
