#include "worker/train/comm/broadcast.h"

namespace mead::train {

void BroadcastTensors(Communicator& communicator, const std::vector<NamedTensor>& named) {
  if (communicator.world_size() == 1) return;
  at::NoGradGuard no_grad;
  std::vector<at::Tensor> parts;
  for (const NamedTensor& item : named) {
    if (item.tensor.scalar_type() == at::kFloat) parts.push_back(item.tensor.reshape({-1}));
  }
  at::Tensor flat = at::cat(parts);
  communicator.Broadcast(flat, /*root=*/0);
  int64_t offset = 0;
  for (const NamedTensor& item : named) {
    if (item.tensor.scalar_type() != at::kFloat) continue;
    item.tensor.copy_(flat.narrow(0, offset, item.tensor.numel()).view(item.tensor.sizes()));
    offset += item.tensor.numel();
  }
}

}  // namespace mead::train
