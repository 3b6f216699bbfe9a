#include "worker/train/optim/sgd_cpu.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <iterator>

#ifndef _OPENMP
#error "at::parallel_for would run on one thread: compile with -fopenmp"
#endif

namespace mead::train {
namespace {

SgdTensor Stretch(const SgdTensor& tensor, int64_t begin, int64_t size) {
  return {.gradient = tensor.gradient + begin,
          .momentum = tensor.momentum == nullptr ? nullptr : tensor.momentum + begin,
          .weight = tensor.weight + begin,
          .copy = tensor.copy == nullptr ? nullptr : tensor.copy + begin,
          .size = size};
}

}  // namespace

void SgdUpdateOnCpu(const std::vector<SgdTensor>& tensors, SgdSettings settings, float rate) {
  // All parameters are one range: few large tensors and many small ones share threads alike.
  constexpr int64_t kGrain = 32768;
  std::vector<int64_t> ends;  // of each tensor in the range
  int64_t total = 0;
  for (const SgdTensor& tensor : tensors) ends.push_back(total += tensor.size);
  const SgdCpuTable& kernels = TableOf(kSgdCpuTables, ActiveCpuIsa());
  at::parallel_for(0, total, kGrain, [&](int64_t begin, int64_t end) {
    auto i = static_cast<size_t>(
        std::distance(ends.begin(), std::upper_bound(ends.begin(), ends.end(), begin)));
    for (; begin < end; ++i) {
      const int64_t first = ends[i] - tensors[i].size;
      const int64_t size = std::min(end, ends[i]) - begin;
      kernels.update(Stretch(tensors[i], begin - first, size), settings, rate);
      begin += size;
    }
  });
}

}  // namespace mead::train
