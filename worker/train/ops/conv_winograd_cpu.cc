#include "worker/train/ops/conv_winograd_cpu.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <ATen/ceil_div.h>

#include <algorithm>

#include "worker/train/ops/conv_cpu_isa.h"

#ifndef _OPENMP
#error "at::parallel_for would run on one thread: compile with -fopenmp"
#endif

namespace mead::train {
namespace {

// Tiles that a thread carries from input to output at a time: few, so that they stay in
// its second-level cache of 1 MiB, unless the transformed weight is much larger, which
// is read anew for each lot.
int64_t TilesAtATime(int64_t inner) { return inner <= 256 ? 24 : 66; }
// Tiles whose transforms are multiplied into the weight's gradient at a time, by the
// bytes that both sides take: few, so that they stay in a cache, but no fewer than
// there are sums, which are read and written for each group.
constexpr int64_t kGroupBytes = 3 << 20;
// Below, transforming a weight of 512 x 512 takes as long as it saves.
constexpr int64_t kFewestTiles = 96;

WinogradPictures PicturesOf(const ConvShape& shape) {
  return {.n = shape.n, .h = shape.in_h, .w = shape.in_w};
}

const uint16_t* Bits(const c10::BFloat16* values) {
  return reinterpret_cast<const uint16_t*>(values);
}
uint16_t* Bits(c10::BFloat16* values) { return reinterpret_cast<uint16_t*>(values); }
template <typename T>
T* Memory(const at::Tensor& floats) {
  return reinterpret_cast<T*>(floats.data_ptr<float>());
}

at::Tensor Floats(int64_t count) { return at::empty({count}, at::device(at::kCPU)); }
at::Tensor Zeros(int64_t bfloats) { return at::zeros({bfloats / 2}, at::device(at::kCPU)); }

// y: [n, h, w, columns] from x: [n, h, w, inner].
void Convolve(const WinogradKernels& kernels, const uint16_t* x, const uint16_t* weight,
              bool transposed, const WinogradPictures& pictures, int64_t inner, int64_t columns,
              uint16_t* y) {
  const at::Tensor transformed = Floats(kWinogradPoints * inner * columns / 2);
  auto* u = Memory<uint16_t>(transformed);
  const int64_t panel_size = kWinogradPoints * inner * kConvPanelColumns;
  at::parallel_for(0, columns / kConvPanelColumns, 1, [&](int64_t begin, int64_t end) {
    for (int64_t panel = begin; panel < end; ++panel) {
      kernels.transform_weight(weight, inner, columns, transposed, panel, u + panel * panel_size);
    }
  });
  const at::Tensor zeros = Zeros(inner);
  const int64_t lot = TilesAtATime(inner);
  const int64_t v_size = kWinogradPoints * lot * inner / 2;  // floats
  const int64_t thread_size = v_size + kWinogradPoints * lot * kConvPanelColumns;
  const at::Tensor threads = Floats(at::get_num_threads() * thread_size);
  const int64_t tiles = pictures.tiles();
  at::parallel_for(0, at::ceil_div<int64_t>(tiles, lot), 1, [&](int64_t begin, int64_t end) {
    auto* own = Memory<float>(threads) + at::get_thread_num() * thread_size;
    for (int64_t i = begin; i < end; ++i) {
      const int64_t first = i * lot;
      kernels.convolve(x, pictures, inner, u, columns, first, std::min(first + lot, tiles),
                       Memory<uint16_t>(zeros), reinterpret_cast<uint16_t*>(own), own + v_size, y);
    }
  });
}

}  // namespace

const WinogradKernels* ChooseWinograd(CpuIsa isa) {
#if defined(__x86_64__)
  if (OwnConvolutionsWin(isa)) return &kWinogradAvx512Bf16;
#endif
  static_cast<void>(isa);
  return nullptr;
}

const WinogradKernels* ActiveWinograd() {
  static const WinogradKernels* const kernels = ChooseWinograd(ActiveCpuIsa());
  return kernels;
}

bool WinogradSupported(const ConvShape& s) {
  return s.kernel == 3 && s.stride == 1 && s.padding == 1 && s.in_c > 0 && s.out_c > 0 &&
         s.in_c % kConvPanelColumns == 0 && s.out_c % kConvPanelColumns == 0 &&
         s.n * s.in_h * s.in_w > 0;
}

bool WinogradWins(const ConvShape& shape) {
  return WinogradSupported(shape) && PicturesOf(shape).tiles() >= kFewestTiles;
}

void WinogradForward(const WinogradKernels& kernels, const c10::BFloat16* x,
                     const c10::BFloat16* weight, const ConvShape& shape, c10::BFloat16* y) {
  Convolve(kernels, Bits(x), Bits(weight), /*transposed=*/false, PicturesOf(shape), shape.in_c,
           shape.out_c, Bits(y));
}

void WinogradInputGradient(const WinogradKernels& kernels, const c10::BFloat16* dy,
                           const c10::BFloat16* weight, const ConvShape& shape, c10::BFloat16* dx) {
  Convolve(kernels, Bits(dy), Bits(weight), /*transposed=*/true, PicturesOf(shape), shape.out_c,
           shape.in_c, Bits(dx));
}

void WinogradWeightGradient(const WinogradKernels& kernels, const c10::BFloat16* x,
                            const c10::BFloat16* dy, const ConvShape& shape, c10::BFloat16* dw) {
  const WinogradPictures pictures = PicturesOf(shape);
  const int64_t in_c = shape.in_c;
  const int64_t out_c = shape.out_c;
  const int64_t panels = in_c / kConvPanelColumns;
  const int64_t tiles = pictures.tiles();
  // Groups of like size, of whole pairs of tiles.
  const int64_t pair_bytes = kWinogradPoints * 4 * (in_c + out_c);
  const int64_t all_pairs = at::ceil_div<int64_t>(tiles, 2);
  const int64_t sum_bytes = kWinogradPoints * 4 * in_c * out_c;
  const int64_t groups =
      at::ceil_div<int64_t>(all_pairs * pair_bytes, std::max(kGroupBytes, sum_bytes));
  const int64_t group_pairs = at::ceil_div<int64_t>(all_pairs, groups);
  // [points][panels][pairs][64, 2] and [points][out_c / 16][pairs][16, 2]
  const at::Tensor input = Floats(kWinogradPoints * group_pairs * in_c);
  const at::Tensor gradient = Floats(kWinogradPoints * group_pairs * out_c);
  const at::Tensor sums = Floats(kWinogradPoints * in_c * out_c);  // [points][panels][out_c][64]
  const at::Tensor zeros = Zeros(std::max(in_c, out_c));
  const auto* zero = Memory<uint16_t>(zeros);
  for (int64_t first = 0; first < all_pairs; first += group_pairs) {
    const int64_t pairs = std::min(group_pairs, all_pairs - first);
    constexpr int64_t kPairsAtATime = 8;
    at::parallel_for(0, at::ceil_div<int64_t>(pairs, kPairsAtATime), 1,
                     [&](int64_t begin, int64_t end) {
                       const int64_t from = begin * kPairsAtATime;
                       const int64_t to = std::min(end * kPairsAtATime, pairs);
                       const int64_t first_tile = 2 * (first + from);
                       const int64_t last_tile = std::min(2 * (first + to), tiles);
                       kernels.pack_input(Bits(x), pictures, in_c, first_tile, last_tile, zero,
                                          from, pairs, Memory<uint32_t>(input));
                       kernels.pack_gradient(Bits(dy), pictures, out_c, first_tile, last_tile, zero,
                                             from, pairs, Memory<uint32_t>(gradient));
                     });
    at::parallel_for(0, kWinogradPoints * panels, 1, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        kernels.accumulate(Memory<uint32_t>(input) + i * pairs * kConvPanelColumns,
                           Memory<uint32_t>(gradient) + i / panels * pairs * out_c, pairs, out_c,
                           first == 0, Memory<float>(sums) + i * out_c * kConvPanelColumns);
      }
    });
  }
  constexpr int64_t kRowsAtATime = 16;
  const int64_t row_blocks = out_c / kRowsAtATime;
  at::parallel_for(0, panels * row_blocks, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t panel = i / row_blocks;
      const int64_t row = i % row_blocks * kRowsAtATime;
      kernels.finish_weight(Memory<float>(sums) + panel * out_c * kConvPanelColumns, in_c * out_c,
                            in_c, panel, row, row + kRowsAtATime, Bits(dw));
    }
  });
}

}  // namespace mead::train
