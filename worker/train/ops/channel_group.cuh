// Eight neighbouring channels of one row: what a thread of the normalisation kernels
// works on. They are moved in accesses of 16 bytes (one for bfloat16, two for float,
// four for double), and their mask is one byte whatever the type.
#pragma once

#include <c10/util/BFloat16.h>
#include <cuda_bf16.h>
#include <cuda_runtime_api.h>

#include <cstdint>

#include "worker/train/ops/norm_kernels.h"

namespace mead::train {

inline constexpr int kGroupChannels = 8;

// As it lies in memory; few registers, so many can be in flight.
template <typename T>
struct ChannelGroup {
  static constexpr int kParts = kGroupChannels * static_cast<int>(sizeof(T) / 2) / 8;
  uint4 parts[kParts];
};
static_assert(sizeof(ChannelGroup<c10::BFloat16>) == 16 && sizeof(ChannelGroup<double>) == 64);

// kOnce: nobody reads it again soon, so it should not displace what somebody does.
enum class Reuse { kSoon, kOnce };

// group: index from base, in groups.
template <Reuse kReuse, typename T>
__device__ __forceinline__ ChannelGroup<T> LoadGroup(const T* base, int64_t group) {
  const uint4* from = reinterpret_cast<const uint4*>(base) + group * ChannelGroup<T>::kParts;
  ChannelGroup<T> result;
#pragma unroll
  for (int i = 0; i < ChannelGroup<T>::kParts; ++i) {
    result.parts[i] = kReuse == Reuse::kOnce ? __ldcs(from + i) : __ldg(from + i);
  }
  return result;
}

template <Reuse kReuse, typename T>
__device__ __forceinline__ void StoreGroup(T* base, int64_t group, const ChannelGroup<T>& value) {
  uint4* to = reinterpret_cast<uint4*>(base) + group * ChannelGroup<T>::kParts;
#pragma unroll
  for (int i = 0; i < ChannelGroup<T>::kParts; ++i) {
    if constexpr (kReuse == Reuse::kOnce) {
      __stcs(to + i, value.parts[i]);
    } else {
      to[i] = value.parts[i];
    }
  }
}

// One 32-bit word is two bfloat16, one float, or half a double.
__device__ __forceinline__ void UnpackPart(const uint4& part, float* out, c10::BFloat16) {
  const unsigned words[4] = {part.x, part.y, part.z, part.w};
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    out[2 * i] = __uint_as_float(words[i] << 16);
    out[2 * i + 1] = __uint_as_float(words[i] & 0xffff0000U);
  }
}
__device__ __forceinline__ void UnpackPart(const uint4& part, float* out, float) {
  out[0] = __uint_as_float(part.x);
  out[1] = __uint_as_float(part.y);
  out[2] = __uint_as_float(part.z);
  out[3] = __uint_as_float(part.w);
}
__device__ __forceinline__ void UnpackPart(const uint4& part, double* out, double) {
  out[0] = __hiloint2double(static_cast<int>(part.y), static_cast<int>(part.x));
  out[1] = __hiloint2double(static_cast<int>(part.w), static_cast<int>(part.z));
}

__device__ __forceinline__ unsigned PackPair(float low, float high) {
  const __nv_bfloat162 pair = __floats2bfloat162_rn(low, high);  // low: the first in memory
  return *reinterpret_cast<const unsigned*>(&pair);
}
__device__ __forceinline__ uint4 PackPart(const float* in, c10::BFloat16) {
  return {PackPair(in[0], in[1]), PackPair(in[2], in[3]), PackPair(in[4], in[5]),
          PackPair(in[6], in[7])};
}
__device__ __forceinline__ uint4 PackPart(const float* in, float) {
  return {__float_as_uint(in[0]), __float_as_uint(in[1]), __float_as_uint(in[2]),
          __float_as_uint(in[3])};
}
__device__ __forceinline__ uint4 PackPart(const double* in, double) {
  return {
      static_cast<unsigned>(__double2loint(in[0])), static_cast<unsigned>(__double2hiint(in[0])),
      static_cast<unsigned>(__double2loint(in[1])), static_cast<unsigned>(__double2hiint(in[1]))};
}

template <typename T>
__device__ __forceinline__ void Unpack(const ChannelGroup<T>& group,
                                       NormAccumulate<T> (&out)[kGroupChannels]) {
  constexpr int kParts = ChannelGroup<T>::kParts;
#pragma unroll
  for (int i = 0; i < kParts; ++i) {
    UnpackPart(group.parts[i], out + i * (kGroupChannels / kParts), T{});
  }
}

// Rounds to T.
template <typename T>
__device__ __forceinline__ ChannelGroup<T> Pack(const NormAccumulate<T> (&in)[kGroupChannels]) {
  constexpr int kParts = ChannelGroup<T>::kParts;
  ChannelGroup<T> group;
#pragma unroll
  for (int i = 0; i < kParts; ++i) {
    group.parts[i] = PackPart(in + i * (kGroupChannels / kParts), T{});
  }
  return group;
}

// Values per channel, such as gamma, of one group of channels. They may be views into
// a bucket of gradients and lie at any address.
template <typename A>
__device__ __forceinline__ void LoadPerChannel(const A* values, int64_t group,
                                               A (&out)[kGroupChannels]) {
  if (reinterpret_cast<uintptr_t>(values) % sizeof(uint4) == 0) {
    Unpack<A>(LoadGroup<Reuse::kSoon>(values, group), out);
  } else {
#pragma unroll
    for (int i = 0; i < kGroupChannels; ++i) out[i] = __ldg(values + group * kGroupChannels + i);
  }
}

}  // namespace mead::train
