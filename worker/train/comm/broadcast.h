// Gives every rank rank 0's tensors, as one message for many small ones.
//
// Thread: the train thread; all ranks call it together, with tensors of the same shapes.
// Errors: those of Communicator::Broadcast.
#pragma once

#include <vector>

#include "worker/train/comm/communicator.h"
#include "worker/train/tensors.h"

namespace mead::train {

// Those of float32; others are left as they are. Nothing is sent where a rank is alone.
void BroadcastTensors(Communicator& communicator, const std::vector<NamedTensor>& named);

}  // namespace mead::train
