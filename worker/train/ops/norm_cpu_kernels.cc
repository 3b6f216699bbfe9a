// The kernels of norm_cpu_isa.h.
//
// All of them are bound by memory, so a kernel goes once over its rows, a few at a
// time so that per-channel values are loaded once for them, and keeps per-channel
// sums in the first-level cache. What is too large for the caches is written past them.
#include "worker/train/ops/norm_cpu_isa.h"
#include "worker/train/simd/lanes.h"

namespace mead::train {
namespace {

constexpr int64_t kRowsAtOnce = 4;

// Zero where ReLU stops the value. NaN passes, as in torch.
template <typename A>
MEAD_INLINE M<A> Passes(V<A> z) {
  return ~(z <= V<A>{});
}

template <typename A>
MEAD_INLINE V<A> Keep(V<A> v, M<A> mask) {
  return reinterpret_cast<V<A>>(reinterpret_cast<M<A>>(v) & mask);
}

// One bit per lane, lane 0 the lowest.
MEAD_INLINE uint16_t PackMask(M<float> mask) {
#if defined(__AVX512DQ__)
  return _mm512_movepi32_mask(reinterpret_cast<__m512i>(mask));
#elif defined(__SSE2__)
  __m128 parts[4];
  __builtin_memcpy(parts, &mask, sizeof(parts));
  return static_cast<uint16_t>(_mm_movemask_ps(parts[0]) | _mm_movemask_ps(parts[1]) << 4 |
                               _mm_movemask_ps(parts[2]) << 8 | _mm_movemask_ps(parts[3]) << 12);
#else
  int bits = 0;
  for (int i = 0; i < kLanes; ++i) bits |= static_cast<int>(mask[i] & 1) << i;
  return static_cast<uint16_t>(bits);
#endif
}

MEAD_INLINE uint16_t PackMask(M<double> mask) {
  int bits = 0;
  for (int i = 0; i < kLanes; ++i) bits |= static_cast<int>(mask[i] & 1) << i;
  return static_cast<uint16_t>(bits);
}

template <typename A>
MEAD_INLINE M<A> UnpackMask(uint16_t bits) {
  const M<A> lane_bit = {1,      1 << 1, 1 << 2,  1 << 3,  1 << 4,  1 << 5,  1 << 6,  1 << 7,
                         1 << 8, 1 << 9, 1 << 10, 1 << 11, 1 << 12, 1 << 13, 1 << 14, 1 << 15};
  return (lane_bit & bits) != 0;
}

MEAD_INLINE uint16_t LoadMask(const uint8_t* mask, int64_t element) {
  uint16_t bits;
  __builtin_memcpy(&bits, mask + element / 8, sizeof(bits));
  return bits;
}

// Where the gradient passes: told by the mask, or by x again, or everywhere.
enum class Gate { kOpen, kFromInput, kFromMask };

template <Gate gate, typename A>
MEAD_INLINE V<A> Gated(V<A> dy, V<A> centred, V<A> scale, V<A> beta, const uint8_t* mask,
                       int64_t element) {
  if constexpr (gate == Gate::kOpen) return dy;
  if constexpr (gate == Gate::kFromInput) return Keep<A>(dy, Passes<A>(centred * scale + beta));
  return Keep<A>(dy, UnpackMask<A>(LoadMask(mask, element)));
}

// Asks for the part of a later group of rows that matches step c of this one. The
// processor's own prefetcher follows one stream of addresses well, and not the
// kRowsAtOnce short ones that a group is read in.
template <int write = 0, typename T>
MEAD_INLINE void PrefetchAhead(const T* group, int64_t channels, int64_t c) {
  constexpr int64_t kMinAhead = 4096 / sizeof(T);
  constexpr int64_t kLine = 64 / sizeof(T);
  const int64_t size = kRowsAtOnce * channels;
  const T* at = group + (size > kMinAhead ? size : kMinAhead) + kRowsAtOnce * c;
  for (int64_t i = 0; i < kRowsAtOnce * kLanes; i += kLine) __builtin_prefetch(at + i, write);
}

// Calls body.template operator()<R>(row) for groups of kRowsAtOnce rows, then for single ones.
template <typename F>
MEAD_INLINE void ForRows(int64_t rows, F&& body) {
  int64_t row = 0;
  for (; row + kRowsAtOnce <= rows; row += kRowsAtOnce) body.template operator()<kRowsAtOnce>(row);
  for (; row < rows; ++row) body.template operator()<1>(row);
}

template <typename T, typename A>
void Moments(const T* x, int64_t rows, int64_t channels, const A* shift, A* sum, A* square_sum) {
  ForRows(rows, [=]<int64_t R>(int64_t row) {
    const T* from = x + row * channels;
    for (int64_t c = 0; c < channels; c += kLanes) {
      const V<A> k = Load(shift + c);
      V<A> s = Load(sum + c);
      V<A> q = Load(square_sum + c);
      if constexpr (R > 1) PrefetchAhead(from, channels, c);
      for (int64_t r = 0; r < R; ++r) {
        const V<A> d = Load(from + r * channels + c) - k;
        s += d;
        q += d * d;
      }
      Store(s, sum + c);
      Store(q, square_sum + c);
    }
  });
}

template <bool relu, bool add, bool past_caches, typename T, typename A>
void Apply(const T* x, const T* residual, int64_t rows, int64_t channels, const A* mean,
           const A* scale, const A* beta, T* y, uint8_t* mask) {
  ForRows(rows, [=]<int64_t R>(int64_t row) {
    for (int64_t c = 0; c < channels; c += kLanes) {
      const V<A> m = Load(mean + c);
      const V<A> a = Load(scale + c);
      const V<A> b = Load(beta + c);
      if constexpr (R > 1) {
        PrefetchAhead(x + row * channels, channels, c);
        if constexpr (add) PrefetchAhead(residual + row * channels, channels, c);
        if constexpr (!past_caches) PrefetchAhead<1>(y + row * channels, channels, c);
      }
      for (int64_t r = 0; r < R; ++r) {
        const int64_t i = (row + r) * channels + c;
        V<A> z = (Load(x + i) - m) * a + b;
        if constexpr (add) z += Load(residual + i);
        if constexpr (relu) {
          const M<A> passes = Passes<A>(z);
          z = Keep<A>(z, passes);
          if constexpr (add) {
            const uint16_t bits = PackMask(passes);
            __builtin_memcpy(mask + i / 8, &bits, sizeof(bits));
          }
        }
        StoreOrStream<past_caches, T, A>(z, y + i);
      }
    }
  });
  if constexpr (past_caches) StreamsEnd();
}

template <Gate gate, bool fork, bool past_caches, typename T, typename A>
void BackwardSums(const T* dy, const T* dy2, const T* x, const uint8_t* mask, int64_t rows,
                  int64_t channels, const A* mean, const A* scale, const A* beta, A* sum,
                  A* product_sum, T* dz) {
  ForRows(rows, [=]<int64_t R>(int64_t row) {
    for (int64_t c = 0; c < channels; c += kLanes) {
      const V<A> m = Load(mean + c);
      const V<A> a = Load(scale + c);
      const V<A> b = Load(beta + c);
      V<A> s = Load(sum + c);
      V<A> p = Load(product_sum + c);
      if constexpr (R > 1) {
        PrefetchAhead(dy + row * channels, channels, c);
        PrefetchAhead(x + row * channels, channels, c);
        if constexpr (fork) {
          PrefetchAhead(dy2 + row * channels, channels, c);
          if constexpr (!past_caches) PrefetchAhead<1>(dz + row * channels, channels, c);
        }
      }
      for (int64_t r = 0; r < R; ++r) {
        const int64_t i = (row + r) * channels + c;
        const V<A> centred = Load(x + i) - m;
        V<A> gradient = Load(dy + i);
        if constexpr (fork) gradient += Load(dy2 + i);
        gradient = Gated<gate, A>(gradient, centred, a, b, mask, i);
        s += gradient;
        p += gradient * centred;
        if constexpr (fork) StoreOrStream<past_caches, T, A>(gradient, dz + i);
      }
      Store(s, sum + c);
      Store(p, product_sum + c);
    }
  });
  if constexpr (past_caches) StreamsEnd();
}

template <Gate gate, bool add, typename T, typename A>
void BackwardApply(const T* dy, const T* x, const uint8_t* mask, int64_t rows, int64_t channels,
                   const A* mean, const A* scale, const A* beta, const A* slope, const A* offset,
                   T* dx, T* dresidual) {
  ForRows(rows, [=]<int64_t R>(int64_t row) {
    for (int64_t c = 0; c < channels; c += kLanes) {
      const V<A> m = Load(mean + c);
      const V<A> a = Load(scale + c);
      const V<A> b = Load(beta + c);
      const V<A> p = Load(slope + c);
      const V<A> q = Load(offset + c);
      if constexpr (R > 1) {
        PrefetchAhead(dy + row * channels, channels, c);
        PrefetchAhead(x + row * channels, channels, c);
        PrefetchAhead<1>(dx + row * channels, channels, c);
        if constexpr (add) PrefetchAhead<1>(dresidual + row * channels, channels, c);
      }
      for (int64_t r = 0; r < R; ++r) {
        const int64_t i = (row + r) * channels + c;
        const V<A> centred = Load(x + i) - m;
        const V<A> dz = Gated<gate, A>(Load(dy + i), centred, a, b, mask, i);
        Store(dz * a + (centred * p + q), dx + i);
        if constexpr (add) Store(dz, dresidual + i);
      }
    }
  });
}

// Calls f with the gate as a template argument.
template <typename F>
void WithGate(bool relu, const uint8_t* mask, F&& f) {
  if (!relu) {
    f.template operator()<Gate::kOpen>();
  } else if (mask != nullptr) {
    f.template operator()<Gate::kFromMask>();
  } else {
    f.template operator()<Gate::kFromInput>();
  }
}

// The tables hold one function per pass; its variants are chosen here, once per range of rows.
template <typename T, typename A>
void ChooseApply(const T* x, const T* residual, int64_t rows, int64_t channels, const A* mean,
                 const A* scale, const A* beta, bool relu, bool past_caches, T* y, uint8_t* mask) {
  const auto choose = [&]<bool streams>() {
    const bool add = residual != nullptr;
    return relu ? (add ? Apply<true, true, streams, T, A> : Apply<true, false, streams, T, A>)
                : (add ? Apply<false, true, streams, T, A> : Apply<false, false, streams, T, A>);
  };
  auto* pass =
      past_caches ? choose.template operator()<true>() : choose.template operator()<false>();
  pass(x, residual, rows, channels, mean, scale, beta, y, mask);
}

template <typename T, typename A>
void ChooseBackwardSums(const T* dy, const T* dy2, const T* x, const uint8_t* mask, int64_t rows,
                        int64_t channels, const A* mean, const A* scale, const A* beta, bool relu,
                        bool past_caches, A* sum, A* product_sum, T* dz) {
  WithGate(relu, mask, [&]<Gate gate>() {
    auto* pass = dz == nullptr ? BackwardSums<gate, false, false, T, A>
                 : past_caches ? BackwardSums<gate, true, true, T, A>
                               : BackwardSums<gate, true, false, T, A>;
    pass(dy, dy2, x, mask, rows, channels, mean, scale, beta, sum, product_sum, dz);
  });
}

template <typename T, typename A>
void ChooseBackwardApply(const T* dy, const T* x, const uint8_t* mask, int64_t rows,
                         int64_t channels, const A* mean, const A* scale, const A* beta, bool relu,
                         const A* slope, const A* offset, T* dx, T* dresidual) {
  WithGate(relu, mask, [&]<Gate gate>() {
    auto* pass = dresidual ? BackwardApply<gate, true, T, A> : BackwardApply<gate, false, T, A>;
    pass(dy, x, mask, rows, channels, mean, scale, beta, slope, offset, dx, dresidual);
  });
}

template <typename T, typename A>
constexpr NormCpuKernels<T, A> kKernels = {
    .moments = Moments<T, A>,
    .apply = ChooseApply<T, A>,
    .backward_sums = ChooseBackwardSums<T, A>,
    .backward_apply = ChooseBackwardApply<T, A>,
};

}  // namespace

const NormCpuTable MEAD_TABLE(kNormCpu) = {
    .isa = MEAD_ISA_NAME,
    .fp32 = kKernels<float, float>,
    .bf16 = kKernels<Bf16Storage, float>,
    .fp64 = kKernels<double, double>,
};

}  // namespace mead::train
