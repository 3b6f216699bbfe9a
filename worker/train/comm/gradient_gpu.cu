#include <cuda_runtime_api.h>

#include <algorithm>

#include "worker/train/comm/gradient_gpu.h"

namespace mead::train {
namespace {

constexpr int kThreads = 256;
constexpr int kQuad = 4;  // elements that a thread moves at a time

__device__ __forceinline__ float ToFloat(float value) { return value; }
__device__ __forceinline__ float ToFloat(Bf16Storage value) {
  return __uint_as_float(static_cast<unsigned>(value.bits) << 16);
}

template <typename T>
struct alignas(kQuad * sizeof(T)) Quad {
  T values[kQuad];
};

// Writes, and says whether it is finite.
template <bool kAdd, typename T>
__device__ __forceinline__ bool TakeOne(T from, float& to) {
  const float value = kAdd ? to + ToFloat(from) : ToFloat(from);
  to = value;
  return isfinite(value);
}

template <bool kAdd, typename T>
__global__ void __launch_bounds__(kThreads)
    TakeKernel(const T* __restrict__ from, int64_t size, int64_t quads, float* __restrict__ to,
               float* not_finite) {
  const int64_t stride = static_cast<int64_t>(gridDim.x) * kThreads;
  const int64_t first = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  bool finite = true;
  for (int64_t q = first; q < quads; q += stride) {
    const Quad<T> in = reinterpret_cast<const Quad<T>*>(from)[q];
    Quad<float> out;
    if constexpr (kAdd) out = reinterpret_cast<const Quad<float>*>(to)[q];
#pragma unroll
    for (int i = 0; i < kQuad; ++i) finite &= TakeOne<kAdd>(in.values[i], out.values[i]);
    reinterpret_cast<Quad<float>*>(to)[q] = out;
  }
  for (int64_t i = quads * kQuad + first; i < size; i += stride) {
    finite &= TakeOne<kAdd>(from[i], to[i]);
  }
  if (!finite) *not_finite = 1;  // by however many threads: it is the same word
}

template <typename T>
int Launch(const T* from, int64_t size, bool add, float* to, float* not_finite, void* stream) {
  if (size == 0) return cudaSuccess;
  constexpr int64_t kMostBlocks = 2048;  // enough for any GPU; the loop does the rest
  const bool aligned = reinterpret_cast<uintptr_t>(from) % sizeof(Quad<T>) == 0 &&
                       reinterpret_cast<uintptr_t>(to) % sizeof(Quad<float>) == 0;
  const int64_t quads = aligned ? size / kQuad : 0;
  const int64_t items = aligned ? quads + size % kQuad : size;
  const auto blocks =
      static_cast<unsigned>(std::min((items + kThreads - 1) / kThreads, kMostBlocks));
  auto* kernel = add ? &TakeKernel<true, T> : &TakeKernel<false, T>;
  kernel<<<blocks, kThreads, 0, static_cast<cudaStream_t>(stream)>>>(from, size, quads, to,
                                                                     not_finite);
  return cudaGetLastError();
}

}  // namespace

int TakeGradientOnGpu(const float* from, int64_t size, bool add, float* to, float* not_finite,
                      void* stream) {
  return Launch(from, size, add, to, not_finite, stream);
}

int TakeGradientOnGpu(const Bf16Storage* from, int64_t size, bool add, float* to, float* not_finite,
                      void* stream) {
  return Launch(from, size, add, to, not_finite, stream);
}

}  // namespace mead::train
