// The kernels of pool_norm_cpu_isa.h.
#include "worker/train/ops/pool_norm_cpu_isa.h"
#include "worker/train/simd/lanes.h"

namespace mead::train {
namespace {

// `chosen` where the mask is set.
template <typename Value, typename Mask>
MEAD_INLINE Value Select(Mask mask, Value chosen, Value other) {
  return reinterpret_cast<Value>((reinterpret_cast<Mask>(chosen) & mask) |
                                 (reinterpret_cast<Mask>(other) & ~mask));
}

// A line of y: its own place, and that of the line of x which is the middle one of its windows.
struct Line {
  int64_t y;    // element of y's first
  int64_t x;    // element of x's first
  int64_t row;  // of y, in its image

  MEAD_INLINE Line(const PoolNormShape& s, int64_t index) {
    const int64_t image = index / s.pooled_height();
    row = index - image * s.pooled_height();
    y = index * s.pooled_width() * s.channels;
    x = (image * s.height + 2 * row) * s.width * s.channels;
  }
};

template <typename T, typename A>
void Apply(const T* x, const PoolNormShape& s, int64_t begin, int64_t end, const A* mean,
           const A* scale, const A* beta, T* y, uint8_t* winner) {
  for (int64_t index = begin; index < end; ++index) {
    const Line line(s, index);
    const int64_t first_row = line.row == 0 ? 1 : 0;
    const int64_t last_row = 2 * line.row + 1 < s.height ? 2 : 1;
    for (int64_t column = 0; column < s.pooled_width(); ++column) {
      const int64_t first_column = column == 0 ? 1 : 0;
      const int64_t last_column = 2 * column + 1 < s.width ? 2 : 1;
      const T* middle = x + line.x + 2 * column * s.channels;
      const int64_t to = line.y + column * s.channels;
      for (int64_t c = 0; c < s.channels; c += kLanes) {
        const V<A> m = Load(mean + c);
        const V<A> a = Load(scale + c);
        const V<A> b = Load(beta + c);
        V<A> best = {};  // ReLU: nothing below 0 wins
        M<A> winners = M<A>{} + kNoWinner;
        for (int64_t i = first_row; i <= last_row; ++i) {
          for (int64_t j = first_column; j <= last_column; ++j) {
            const T* from = middle + ((i - 1) * s.width + j - 1) * s.channels + c;
            const V<A> z = (Load(from) - m) * a + b;
            const M<A> wins = ~(z <= best);  // NaN does, and is seen
            best = Select(wins, z, best);
            winners = Select(wins, M<A>{} + static_cast<int>(3 * i + j), winners);
          }
        }
        Store(best, y + to + c);
        StoreBytes<A>(winners, winner + to + c);
      }
    }
  }
}

// The gradients of the four windows that reach into a 2x2 square of x, 16 channels: its
// own, the next in the line, and the two below.
template <typename T, typename A>
struct Windows {
  V<A> dy[4];
  M<A> winners[4];

  // at: of the square's own window. right, below: whether y goes on there.
  MEAD_INLINE Windows(const T* gradient, const uint8_t* winner, int64_t at, int64_t channels,
                      int64_t line_size, bool right, bool below) {
    for (int64_t w = 0; w < 4; ++w) {
      if ((w % 2 == 1 && !right) || (w / 2 == 1 && !below)) {
        dy[w] = V<A>{};
        winners[w] = M<A>{} + kNoWinner;
        continue;
      }
      const int64_t from = at + w / 2 * line_size + w % 2 * channels;
      dy[w] = Load(gradient + from);
      winners[w] = LoadBytes<A>(winner + from);
    }
  }

  // dz of the square's element (row, column), each 0 or 1.
  template <int row, int column>
  MEAD_INLINE V<A> Sum() const {
    V<A> dz = {};
    for (int w = 0; w < 4; ++w) {
      if (w / 2 > row || w % 2 > column) continue;
      const int k = (row + 1 - 2 * (w / 2)) * 3 + column + 1 - 2 * (w % 2);
      dz += Select(winners[w] == k, dy[w], V<A>{});
    }
    return dz;
  }
};

// For every 2x2 square of x that belongs to the lines, 16 channels from c on at a time:
// use = make(c), then use(element, dz) for each of its elements.
template <typename T, typename A, typename Make>
MEAD_INLINE void ForSquares(const T* dy, const uint8_t* winner, const PoolNormShape& s,
                            int64_t begin, int64_t end, Make&& make) {
  const int64_t line_size = s.pooled_width() * s.channels;
  for (int64_t index = begin; index < end; ++index) {
    const Line line(s, index);
    const bool below = line.row + 1 < s.pooled_height();
    const bool x_below = 2 * line.row + 1 < s.height;
    for (int64_t column = 0; column < s.pooled_width(); ++column) {
      const bool right = column + 1 < s.pooled_width();
      const bool x_right = 2 * column + 1 < s.width;
      const int64_t corner = line.x + 2 * column * s.channels;
      for (int64_t c = 0; c < s.channels; c += kLanes) {
        auto use = make(c);
        const Windows<T, A> windows(dy, winner, line.y + column * s.channels + c, s.channels,
                                    line_size, right, below);
        const int64_t at = corner + c;
        use(at, windows.template Sum<0, 0>());
        if (x_right) use(at + s.channels, windows.template Sum<0, 1>());
        if (!x_below) continue;
        const int64_t under = at + s.width * s.channels;
        use(under, windows.template Sum<1, 0>());
        if (x_right) use(under + s.channels, windows.template Sum<1, 1>());
      }
    }
  }
}

// Adds up a square; memory has its sums only once it is done.
template <typename T, typename A>
struct SquareSums {
  const T* x;
  V<A> mean;
  A* sum_to;
  A* product_to;
  V<A> sum = Load(sum_to);
  V<A> product_sum = Load(product_to);

  MEAD_INLINE void operator()(int64_t element, V<A> dz) {
    sum += dz;
    product_sum += dz * (Load(x + element) - mean);
  }
  MEAD_INLINE ~SquareSums() {
    Store(sum, sum_to);
    Store(product_sum, product_to);
  }
};

template <typename T, typename A>
void BackwardSums(const T* dy, const uint8_t* winner, const T* x, const PoolNormShape& s,
                  int64_t begin, int64_t end, const A* mean, A* sum, A* product_sum) {
  ForSquares<T, A>(dy, winner, s, begin, end, [=](int64_t c) {
    return SquareSums<T, A>{
        .x = x, .mean = Load(mean + c), .sum_to = sum + c, .product_to = product_sum + c};
  });
}

template <typename T, typename A>
void BackwardApply(const T* dy, const uint8_t* winner, const T* x, const PoolNormShape& s,
                   int64_t begin, int64_t end, const A* mean, const A* scale, const A* slope,
                   const A* offset, T* dx) {
  ForSquares<T, A>(dy, winner, s, begin, end, [=](int64_t c) {
    return [=, m = Load(mean + c), a = Load(scale + c), p = Load(slope + c), q = Load(offset + c)](
               int64_t element, V<A> dz) {
      Store(dz * a + ((Load(x + element) - m) * p + q), dx + element);
    };
  });
}

template <typename T, typename A>
constexpr PoolNormCpuKernels<T, A> kKernels = {.apply = Apply<T, A>,
                                               .backward_sums = BackwardSums<T, A>,
                                               .backward_apply = BackwardApply<T, A>};

}  // namespace

const PoolNormCpuTable MEAD_TABLE(kPoolNormCpu) = {.fp32 = kKernels<float, float>,
                                                   .bf16 = kKernels<Bf16Storage, float>,
                                                   .fp64 = kKernels<double, double>};

}  // namespace mead::train
