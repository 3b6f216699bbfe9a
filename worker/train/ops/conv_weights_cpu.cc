#include "worker/train/ops/conv_weights_cpu.h"

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

// A block's sums take half a second-level cache of 1 MiB; what it packs lies in the rest.
constexpr int64_t kBlockRows = 256;
constexpr int64_t kBlockElements = 128 * 1024;
// Enough tasks for the threads that a rank has, and their ranges of pixels long
// enough that adding up the parts is next to nothing.
constexpr int64_t kTasks = 16;
constexpr int64_t kPartPixels = 8 * kConvChunkPixels;

// The product cut into rows x columns x ranges of pixels, all by the shape alone.
struct Plan {
  explicit Plan(const ConvShape& s)
      : pixels(s.n * s.out_h * s.out_w),
        out_c(s.out_c),
        panels(s.kernel * s.kernel * at::ceil_div<int64_t>(s.in_c, kConvPanelColumns)),
        rows(at::ceil_div<int64_t>(at::ceil_div<int64_t>(out_c, 16),
                                   at::ceil_div<int64_t>(out_c, kBlockRows)) *
             16),
        row_blocks(at::ceil_div<int64_t>(out_c, rows)) {
    const int64_t most = std::max<int64_t>(kBlockElements / (rows * kConvPanelColumns), 1);
    block_panels = at::ceil_div<int64_t>(panels, at::ceil_div<int64_t>(panels, most));
    column_blocks = at::ceil_div<int64_t>(panels, block_panels);
    const int64_t wanted =
        std::clamp<int64_t>(at::ceil_div<int64_t>(kTasks, row_blocks * column_blocks), 1,
                            at::ceil_div<int64_t>(pixels, kPartPixels));
    part_pixels = at::ceil_div<int64_t>(at::ceil_div<int64_t>(pixels, wanted), 2) * 2;
    parts = at::ceil_div<int64_t>(pixels, part_pixels);
  }

  int64_t blocks() const { return row_blocks * column_blocks; }
  // Floats that a block's sums take.
  int64_t block_size() const { return rows * block_panels * kConvPanelColumns; }

  ConvBlock Block(int64_t block, int64_t part) const {
    const int64_t row = block % row_blocks * rows;
    const int64_t panel = block / row_blocks * block_panels;
    return {.pixel_begin = part * part_pixels,
            .pixel_end = std::min((part + 1) * part_pixels, pixels),
            .out_c_begin = row,
            .out_c_end = std::min(row + rows, out_c),
            .panel_begin = panel,
            .panel_end = std::min(panel + block_panels, panels)};
  }

  int64_t pixels, out_c, panels;
  int64_t rows, row_blocks;             // of out_c
  int64_t block_panels, column_blocks;  // of panels
  int64_t part_pixels, parts;           // of pixels
};

template <typename T>
T* Floats(const at::Tensor& memory, int64_t offset) {
  return reinterpret_cast<T*>(memory.data_ptr<float>() + offset);
}

}  // namespace

const ConvWeightsKernels* ChooseConvWeights(CpuIsa isa) {
#if defined(__x86_64__)
  if (OwnConvolutionsWin(isa)) return &kConvWeightsAvx512Bf16;
#endif
  static_cast<void>(isa);
  return nullptr;
}

const ConvWeightsKernels* ActiveConvWeights() {
  static const ConvWeightsKernels* const kernels = ChooseConvWeights(ActiveCpuIsa());
  return kernels;
}

bool ConvWeightsSupported(const ConvShape& s) {
  return s.in_c % 16 == 0 && s.out_c % 16 == 0 && s.in_c > 0 && s.out_c > 0 &&
         s.n * s.out_h * s.out_w > 0;
}

void ConvWeightsOnCpu(const ConvWeightsKernels& kernels, const c10::BFloat16* x,
                      const c10::BFloat16* dy, const ConvShape& shape, c10::BFloat16* dw) {
  const Plan plan(shape);
  const auto* x_bits = reinterpret_cast<const uint16_t*>(x);
  const auto* dy_bits = reinterpret_cast<const uint16_t*>(dy);
  auto* dw_bits = reinterpret_cast<uint16_t*>(dw);
  const auto floats = at::device(at::kCPU).dtype(at::kFloat);
  const int64_t zeros_size = std::max(shape.in_c, shape.out_c) / 2;
  const at::Tensor zeros = at::zeros({zeros_size}, floats);
  // Every thread's: packed x, packed dy, and sums where nobody else's are added.
  const int64_t x_size = plan.block_panels * kConvPackedX;
  const int64_t dy_size = at::ceil_div<int64_t>(plan.rows, 16) * kConvPackedDy;
  const bool whole = plan.parts == 1;
  const int64_t thread_size = x_size + dy_size + (whole ? plan.block_size() : 0);
  const at::Tensor threads = at::empty({at::get_num_threads() * thread_size}, floats);
  // [blocks, parts, block_size]
  const at::Tensor parts =
      at::empty({whole ? 0 : plan.blocks() * plan.parts * plan.block_size()}, floats);
  at::parallel_for(0, plan.blocks() * plan.parts, 1, [&](int64_t begin, int64_t end) {
    const int64_t own = at::get_thread_num() * thread_size;
    const ConvScratch scratch{.zeros = Floats<uint16_t>(zeros, 0),
                              .packed_x = Floats<uint32_t>(threads, own),
                              .packed_dy = Floats<uint32_t>(threads, own + x_size)};
    for (int64_t task = begin; task < end; ++task) {
      const ConvBlock block = plan.Block(task / plan.parts, task % plan.parts);
      float* sums = whole ? Floats<float>(threads, own + x_size + dy_size)
                          : Floats<float>(parts, task * plan.block_size());
      kernels.accumulate(x_bits, dy_bits, shape, block, scratch, sums);
      if (whole) kernels.round(sums, 1, 0, shape, block, dw_bits);
    }
  });
  if (whole) return;
  // By panels rather than blocks: there may be one block alone.
  at::parallel_for(0, plan.blocks() * plan.block_panels, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      ConvBlock block = plan.Block(i / plan.block_panels, 0);
      const int64_t panel = i % plan.block_panels;
      if (block.panel_begin + panel >= block.panel_end) continue;
      const int64_t rows = block.out_c_end - block.out_c_begin;
      block.panel_begin += panel;
      block.panel_end = block.panel_begin + 1;
      kernels.round(Floats<float>(parts, i / plan.block_panels * plan.parts * plan.block_size() +
                                             panel * rows * kConvPanelColumns),
                    plan.parts, plan.block_size(), shape, block, dw_bits);
    }
  });
}

}  // namespace mead::train
