// The kernels of gradient_cpu_isa.h.
#include "worker/train/comm/gradient_cpu_isa.h"
#include "worker/train/simd/lanes.h"

namespace mead::train {
namespace {

constexpr int32_t kInfinity = 0x7f800000;  // as bits; NaN's are larger

// Collects the largest magnitude seen, as bits.
MEAD_INLINE void Look(V<float> v, M<float>& largest) {
  const M<float> magnitude = reinterpret_cast<M<float>>(v) & 0x7fffffff;
  largest = magnitude > largest ? magnitude : largest;
}

template <bool add, typename T>
bool Take(const T* from, int64_t size, float* to) {
  M<float> largest{};
  int64_t i = 0;
  for (; i + kLanes <= size; i += kLanes) {
    V<float> v = Load(from + i);
    if constexpr (add) v += Load(to + i);
    Look(v, largest);
    Store(v, to + i);
  }
  if (const int64_t rest = size - i; rest > 0) {
    V<float> v = LoadFirst(from + i, rest);
    if constexpr (add) v += LoadFirst(to + i, rest);
    Look(v, largest);
    StoreFirst(v, to + i, rest);
  }
  bool finite = true;
  for (int lane = 0; lane < kLanes; ++lane) finite = finite && largest[lane] < kInfinity;
  return finite;
}

template <typename T>
bool Choose(const T* from, int64_t size, bool add, float* to) {
  return add ? Take<true>(from, size, to) : Take<false>(from, size, to);
}

}  // namespace

const GradientCpuTable MEAD_TABLE(kGradientCpu) = {
    .isa = MEAD_ISA_NAME, .take_fp32 = Choose<float>, .take_bf16 = Choose<Bf16Storage>};

}  // namespace mead::train
