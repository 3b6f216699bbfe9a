#include "worker/train/ops/conv_winograd_cpu.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <ATen/ceil_div.h>

#include <algorithm>

#include "worker/train/ops/conv_cpu_isa.h"
#include "worker/train/ops/conv_lots.h"

namespace mead::train {
namespace {

// Tiles that a thread carries from input to output at a time: few, so that they stay in
// its second-level cache of 1 MiB, unless the transformed weight is much larger, which
// is read anew for each lot.
int64_t TilesAtATime(int64_t inner) { return inner < 256 ? 24 : 66; }
// The weight's gradient is summed up in parts, each by one thread: what one core has packed
// another would fetch from its cache, which takes as long as the multiplication. As many
// parts as their sums have room for.
constexpr int64_t kPartsBytes = 8 << 20;
constexpr int64_t kMostParts = 8;
// Within a part, tiles whose transforms are multiplied at a time, by the bytes that both
// sides take: few, so that they stay in a cache, but no fewer than there are sums, which
// are read and written for each group.
constexpr int64_t kGroupBytes = 1 << 20;
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

// How the weight's gradient is summed up, by the shape alone: then sums are the same
// however many threads there are.
struct WeightPlan {
  WeightPlan(int64_t tiles, int64_t in_c, int64_t out_c) : pairs(at::ceil_div<int64_t>(tiles, 2)) {
    const int64_t sum_bytes = kWinogradPoints * 4 * in_c * out_c;
    const int64_t wanted = std::clamp<int64_t>(kPartsBytes / sum_bytes, 1, kMostParts);
    part_pairs = at::ceil_div<int64_t>(pairs, wanted);
    parts = at::ceil_div<int64_t>(pairs, part_pairs);
    const int64_t pair_bytes = kWinogradPoints * 4 * (in_c + out_c);
    const int64_t groups =
        at::ceil_div<int64_t>(part_pairs * pair_bytes, std::max(kGroupBytes, sum_bytes));
    group_pairs = at::ceil_div<int64_t>(part_pairs, groups);
  }

  int64_t pairs;  // of tiles
  int64_t part_pairs, parts;
  int64_t group_pairs;  // within a part
};

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
  ForLots(pictures.tiles(), lot, [&](int64_t first, int64_t last) {
    float* const own = Memory<float>(threads) + at::get_thread_num() * thread_size;
    kernels.convolve(x, pictures, inner, u, columns, first, last, Memory<uint16_t>(zeros),
                     reinterpret_cast<uint16_t*>(own), own + v_size, y);
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
  const WeightPlan plan(pictures.tiles(), in_c, out_c);
  const int64_t input_size = kWinogradPoints * plan.group_pairs * in_c;
  const int64_t thread_size = input_size + kWinogradPoints * plan.group_pairs * out_c;
  const int64_t sums_size = kWinogradPoints * in_c * out_c;
  const bool by_parts = plan.parts >= at::get_num_threads();
  const at::Tensor threads = Floats((by_parts ? at::get_num_threads() : 1) * thread_size);
  const at::Tensor sums = Floats(plan.parts * sums_size);  // [parts][points][panels][out_c][64]
  const at::Tensor zeros = Zeros(std::max(in_c, out_c));
  const auto* zero = Memory<uint16_t>(zeros);

  // Within a part's thread, its own loops are not divided further.
  const auto sum_up = [&](int64_t part, float* own) {
    auto* input = reinterpret_cast<uint32_t*>(own);  // [points][panels][pairs][64, 2]
    auto* gradient =
        reinterpret_cast<uint32_t*>(own + input_size);  // [points][out_c / 16][pairs][16, 2]
    const int64_t part_end = std::min((part + 1) * plan.part_pairs, plan.pairs);
    for (int64_t first = part * plan.part_pairs; first < part_end; first += plan.group_pairs) {
      const int64_t pairs = std::min(plan.group_pairs, part_end - first);
      constexpr int64_t kPairsAtATime = 8;
      at::parallel_for(0, at::ceil_div<int64_t>(pairs, kPairsAtATime), 1,
                       [&](int64_t begin, int64_t end) {
                         const int64_t from = begin * kPairsAtATime;
                         const int64_t to = std::min(end * kPairsAtATime, pairs);
                         const int64_t first_tile = 2 * (first + from);
                         const int64_t last_tile = std::min(2 * (first + to), pictures.tiles());
                         kernels.pack_input(Bits(x), pictures, in_c, first_tile, last_tile, zero,
                                            from, pairs, input);
                         kernels.pack_gradient(Bits(dy), pictures, out_c, first_tile, last_tile,
                                               zero, from, pairs, gradient);
                       });
      at::parallel_for(0, kWinogradPoints * panels, 1, [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) {
          kernels.accumulate(
              input + i * pairs * kConvPanelColumns, gradient + i / panels * pairs * out_c, pairs,
              out_c, first == part * plan.part_pairs,
              Memory<float>(sums) + part * sums_size + i * out_c * kConvPanelColumns);
        }
      });
    }
  };
  if (by_parts) {
    at::parallel_for(0, plan.parts, 1, [&](int64_t begin, int64_t end) {
      float* own = Memory<float>(threads) + at::get_thread_num() * thread_size;
      for (int64_t part = begin; part < end; ++part) sum_up(part, own);
    });
  } else {
    for (int64_t part = 0; part < plan.parts; ++part) sum_up(part, Memory<float>(threads));
  }

  constexpr int64_t kRowsAtATime = 16;
  const int64_t row_blocks = out_c / kRowsAtATime;
  at::parallel_for(0, panels * row_blocks, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t panel = i / row_blocks;
      const int64_t row = i % row_blocks * kRowsAtATime;
      kernels.finish_weight(Memory<float>(sums) + panel * out_c * kConvPanelColumns, plan.parts,
                            sums_size, in_c * out_c, in_c, panel, row, row + kRowsAtATime,
                            Bits(dw));
    }
  });
}

}  // namespace mead::train
