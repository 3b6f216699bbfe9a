// SGD's update of a group of parameters, their bfloat16 copies included, in one pass
// over memory.
//
//   d = g + weight_decay w;   v = momentum v + d;   w -= rate (nesterov ? d + momentum v : v)
//   copy = w, to nearest even
//
// The update is bound by memory: it reads g, v and w and writes v and w, 20 bytes per
// weight. A cast afterwards would read w again, 4 more; here it only writes its 2.
// Source: at::_fused_sgd_, whose bits these are (on a CPU but for the last few
//         elements of a thread's stretch, which at::_fused_sgd_ rounds otherwise).
// Thread: any; on a GPU it is queued on the current stream and waits for nothing.
#pragma once

#include <vector>

#include "worker/train/optim/sgd_kernels.h"
#include "worker/train/optim/update_rule.h"

namespace mead::train {

// gradients: by parameter, in place of the group's. rate: [], float32, or undefined: 1.
// The group's first state is the momentum, if settings has one.
// Errors: kInternal (a tensor is not float32, or not laid out as its parameter is).
void SgdUpdate(const UpdateGroup& group, const std::vector<at::Tensor>& gradients,
               const at::Tensor& rate, const SgdSettings& settings);

}  // namespace mead::train
