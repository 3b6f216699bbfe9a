// Gradients taken into buckets on a GPU, against LibTorch's cast and addition.
//
// gradient_gpu_check
// Prints what differs and "N passed, N failed". Exit status 1 where something failed,
// 77 where there is no GPU.
#include <ATen/ATen.h>
#include <cuda_runtime_api.h>

#include <cstdio>
#include <limits>
#include <string>

#include "tests/gpu/tally.h"
#include "worker/train/comm/gradient.h"

namespace mead::train {
namespace {

// offset: of the gradient and its place from where an allocation begins, in elements.
void CheckSize(at::ScalarType type, int64_t size, int64_t offset, Tally& tally) {
  const std::string name = std::string(c10::toString(type)) + ", " + std::to_string(size) +
                           " elements from " + std::to_string(offset);
  const at::TensorOptions on_gpu = at::device(at::kCUDA).dtype(at::kFloat);
  const at::Tensor place = at::zeros({offset + size}, on_gpu).narrow(0, offset, size);
  const at::Tensor first = at::randn({offset + size}, on_gpu).to(type).narrow(0, offset, size);
  const at::Tensor second = at::randn({size}, on_gpu).to(type);
  const at::Tensor not_finite = at::zeros({}, on_gpu);
  TakeGradient(first, /*add=*/false, place, not_finite);
  tally.Add(name + ": stored", at::equal(place, first.to(at::kFloat)));
  TakeGradient(second, /*add=*/true, place, not_finite);
  tally.Add(name + ": added", at::equal(place, first.to(at::kFloat) + second));
  tally.Add(name + ": finite", not_finite.item<float>() == 0);
  for (const float bad :
       {std::numeric_limits<float>::infinity(), std::numeric_limits<float>::quiet_NaN()}) {
    for (const int64_t at : {int64_t{0}, size / 2, size - 1}) {
      not_finite.zero_();
      second[at].fill_(bad);
      TakeGradient(second, /*add=*/false, place, not_finite);
      tally.Add(name + ": not finite at " + std::to_string(at), not_finite.item<float>() == 1);
      second[at].zero_();
    }
  }
}

}  // namespace
}  // namespace mead::train

int main() {
  mead::train::Tally tally;
  return mead::train::RunOnGpu(tally, [&] {
    for (const at::ScalarType type : {at::kFloat, at::kBFloat16}) {
      for (const int64_t size : {1, 3, 4, 1000, 1001, 5000000, 5000003}) {
        for (const int64_t offset : {0, 1}) mead::train::CheckSize(type, size, offset, tally);
      }
    }
  });
}
