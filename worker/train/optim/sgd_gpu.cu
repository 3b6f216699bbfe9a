#include <cuda_bf16.h>
#include <cuda_runtime_api.h>

#include <algorithm>

#include "worker/train/optim/sgd_gpu.h"

namespace mead::train {
namespace {

constexpr int kThreads = 256;
constexpr int64_t kBlockSize = 4096;  // elements of one parameter that a block moves
constexpr int kMostTensors = 512;     // in one launch

// A launch's parameters, as an argument: nothing to copy to the device, and a graph
// keeps it. Block b belongs to the last tensor whose first block is not after b.
struct Batch {
  SgdTensor tensors[kMostTensors];
  int first_block[kMostTensors];
  int count = 0;
};
static_assert(sizeof(Batch) < 32 * 1024 - 256, "more than a kernel's arguments may be");

// In double, as at::_fused_sgd_ has it on a GPU: rounded once per line. Bound by memory all the
// same.
struct Rule {
  double weight_decay, momentum, rate;
  bool has_momentum, nesterov;

  __device__ void operator()(float g, float& v, float& w) const {
    if (weight_decay != 0) g = static_cast<float>(g + weight_decay * w);
    if (has_momentum) {
      v = static_cast<float>(momentum * v + g);
      g = nesterov ? static_cast<float>(g + momentum * v) : v;
    }
    w = static_cast<float>(w - rate * g);
  }
};

__device__ __forceinline__ uint16_t Rounded(float value) {
  return __bfloat16_as_ushort(__float2bfloat16_rn(value));
}

__device__ bool Aligned(const SgdTensor& t) {
  const auto bits = reinterpret_cast<uintptr_t>(t.gradient) |
                    reinterpret_cast<uintptr_t>(t.momentum) |
                    reinterpret_cast<uintptr_t>(t.weight) | reinterpret_cast<uintptr_t>(t.copy) * 2;
  return bits % 16 == 0;
}

__global__ void __launch_bounds__(kThreads)
    UpdateKernel(const __grid_constant__ Batch batch, Rule rule, const float* rate,
                 const float* found_inf) {
  if (found_inf != nullptr && *found_inf == 1) return;
  rule.rate = rate != nullptr ? *rate : 1;
  int i = 0;
  for (int step = kMostTensors / 2; step > 0; step /= 2) {
    if (i + step < batch.count && batch.first_block[i + step] <= static_cast<int>(blockIdx.x)) {
      i += step;
    }
  }
  const SgdTensor& t = batch.tensors[i];
  const int64_t begin = (blockIdx.x - batch.first_block[i]) * kBlockSize;
  const int64_t end = begin + kBlockSize < t.size ? begin + kBlockSize : t.size;
  int64_t single = begin;
  if (Aligned(t)) {
    const int64_t quads = end / 4;
    for (int64_t q = begin / 4 + threadIdx.x; q < quads; q += kThreads) {
      const float4 g = reinterpret_cast<const float4*>(t.gradient)[q];
      float4 w = reinterpret_cast<float4*>(t.weight)[q];
      float4 v = rule.has_momentum ? reinterpret_cast<float4*>(t.momentum)[q] : float4{};
      rule(g.x, v.x, w.x);
      rule(g.y, v.y, w.y);
      rule(g.z, v.z, w.z);
      rule(g.w, v.w, w.w);
      reinterpret_cast<float4*>(t.weight)[q] = w;
      if (rule.has_momentum) reinterpret_cast<float4*>(t.momentum)[q] = v;
      if (t.copy != nullptr) {
        reinterpret_cast<ushort4*>(t.copy)[q] = {Rounded(w.x), Rounded(w.y), Rounded(w.z),
                                                 Rounded(w.w)};
      }
    }
    single = quads * 4;
  }
  for (int64_t e = single + threadIdx.x; e < end; e += kThreads) {
    float w = t.weight[e];
    float v = rule.has_momentum ? t.momentum[e] : 0;
    rule(t.gradient[e], v, w);
    t.weight[e] = w;
    if (rule.has_momentum) t.momentum[e] = v;
    if (t.copy != nullptr) t.copy[e].bits = Rounded(w);
  }
}

}  // namespace

int SgdUpdateOnGpu(const SgdTensor* tensors, int64_t count, SgdSettings settings, const float* rate,
                   const float* found_inf, void* stream) {
  const Rule rule{.weight_decay = settings.weight_decay,
                  .momentum = settings.momentum,
                  .rate = 1,
                  .has_momentum = settings.momentum != 0,
                  .nesterov = settings.nesterov};
  for (int64_t begin = 0; begin < count; begin += kMostTensors) {
    Batch batch;
    int64_t blocks = 0;
    batch.count = static_cast<int>(std::min<int64_t>(count - begin, kMostTensors));
    for (int i = 0; i < batch.count; ++i) {
      batch.tensors[i] = tensors[begin + i];
      batch.first_block[i] = static_cast<int>(blocks);
      blocks += (tensors[begin + i].size + kBlockSize - 1) / kBlockSize;
    }
    if (blocks == 0) continue;
    UpdateKernel<<<static_cast<unsigned>(blocks), kThreads, 0, static_cast<cudaStream_t>(stream)>>>(
        batch, rule, rate, found_inf);
    if (const cudaError_t error = cudaGetLastError(); error != cudaSuccess) return error;
  }
  return cudaSuccess;
}

}  // namespace mead::train
