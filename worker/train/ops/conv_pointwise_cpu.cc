#include "worker/train/ops/conv_pointwise_cpu.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <cstring>

#include "worker/train/ops/conv_cpu_isa.h"
#include "worker/train/ops/conv_lots.h"

namespace mead::train {
namespace {

// Pixels that a thread multiplies with every panel of the weight at a time.
constexpr int64_t kPixelsAtATime = 48;

at::Tensor Bfloats(int64_t count) {
  return at::empty({count}, at::device(at::kCPU).dtype(at::kBFloat16));
}
uint16_t* Bits(const at::Tensor& tensor) {
  return reinterpret_cast<uint16_t*>(tensor.data_ptr<c10::BFloat16>());
}

at::Tensor PackedWeight(const PointwiseKernels& kernels, const c10::BFloat16* weight, int64_t inner,
                        int64_t columns, bool transposed) {
  at::Tensor packed = Bfloats(inner * columns);
  const auto* bits = reinterpret_cast<const uint16_t*>(weight);
  at::parallel_for(0, columns / kConvPanelColumns, 1, [&](int64_t begin, int64_t end) {
    for (int64_t panel = begin; panel < end; ++panel) {
      kernels.pack_weight(bits, inner, columns, transposed, panel,
                          Bits(packed) + panel * inner * kConvPanelColumns);
    }
  });
  return packed;
}

// Pixels [begin, end) of the smaller picture, and where they lie in the larger one.
struct Places {
  explicit Places(const ConvShape& shape) : s(shape) {}

  int64_t Of(int64_t pixel) const {
    const int64_t row = pixel / s.out_w;
    const int64_t image = row / s.out_h;
    return ((image * s.in_h + (row - image * s.out_h) * s.stride) * s.in_w +
            (pixel - row * s.out_w) * s.stride);
  }

  const ConvShape& s;
};

// Where each thread keeps a lot's pixels that lie apart: [pixels, channels] of its own.
class PixelsAside {
 public:
  explicit PixelsAside(int64_t channels)
      : thread_size_(kPixelsAtATime * channels),
        memory_(Bfloats(at::get_num_threads() * thread_size_)) {}

  uint16_t* Own() const { return Bits(memory_) + at::get_thread_num() * thread_size_; }

 private:
  int64_t thread_size_;
  at::Tensor memory_;
};

}  // namespace

const PointwiseKernels* ChoosePointwise(CpuIsa isa) {
#if defined(__x86_64__)
  if (OwnConvolutionsWin(isa)) return &kPointwiseAvx512Bf16;
#endif
  static_cast<void>(isa);
  return nullptr;
}

const PointwiseKernels* ActivePointwise() {
  static const PointwiseKernels* const kernels = ChoosePointwise(ActiveCpuIsa());
  return kernels;
}

bool PointwiseSupported(const ConvShape& s) {
  return s.kernel == 1 && s.padding == 0 && s.in_c > 0 && s.out_c > 0 &&
         s.in_c % kConvPanelColumns == 0 && s.out_c % kConvPanelColumns == 0 &&
         s.n * s.out_h * s.out_w > 0;
}

bool PointwiseWins(const ConvShape& s) {
  constexpr int64_t kFewestPixels = 256;  // for packing the weight
  return PointwiseSupported(s) && s.n * s.out_h * s.out_w >= kFewestPixels;
}

void PointwiseForward(const PointwiseKernels& kernels, const c10::BFloat16* x,
                      const c10::BFloat16* weight, const ConvShape& s, c10::BFloat16* y) {
  const at::Tensor packed = PackedWeight(kernels, weight, s.in_c, s.out_c, /*transposed=*/false);
  const auto* from = reinterpret_cast<const uint16_t*>(x);
  auto* to = reinterpret_cast<uint16_t*>(y);
  const bool dense = s.stride == 1;
  const Places places(s);
  const PixelsAside pixels_aside(dense ? 0 : s.in_c);
  ForLots(s.n * s.out_h * s.out_w, kPixelsAtATime, [&](int64_t first, int64_t last) {
    uint16_t* const aside = pixels_aside.Own();
    for (int64_t pixel = first; !dense && pixel < last; ++pixel) {
      std::memcpy(aside + (pixel - first) * s.in_c, from + places.Of(pixel) * s.in_c,
                  static_cast<size_t>(s.in_c) * sizeof(uint16_t));
    }
    kernels.multiply(dense ? from + first * s.in_c : aside, last - first, s.in_c, Bits(packed),
                     s.out_c, to + first * s.out_c);
  });
}

void PointwiseInputGradient(const PointwiseKernels& kernels, const c10::BFloat16* dy,
                            const c10::BFloat16* weight, const ConvShape& s, c10::BFloat16* dx) {
  const at::Tensor packed = PackedWeight(kernels, weight, s.out_c, s.in_c, /*transposed=*/true);
  const auto* from = reinterpret_cast<const uint16_t*>(dy);
  auto* to = reinterpret_cast<uint16_t*>(dx);
  const bool dense = s.stride == 1;
  const Places places(s);
  if (!dense) {  // what no output pixel has seen
    constexpr int64_t kRowsAtATime = 8;
    const int64_t row_size = s.in_w * s.in_c;
    at::parallel_for(0, s.n * s.in_h, kRowsAtATime, [&](int64_t begin, int64_t end) {
      std::memset(to + begin * row_size, 0,
                  static_cast<size_t>((end - begin) * row_size) * sizeof(uint16_t));
    });
  }
  const PixelsAside pixels_aside(dense ? 0 : s.in_c);
  ForLots(s.n * s.out_h * s.out_w, kPixelsAtATime, [&](int64_t first, int64_t last) {
    uint16_t* const aside = pixels_aside.Own();
    kernels.multiply(from + first * s.out_c, last - first, s.out_c, Bits(packed), s.in_c,
                     dense ? to + first * s.in_c : aside);
    for (int64_t pixel = first; !dense && pixel < last; ++pixel) {
      std::memcpy(to + places.Of(pixel) * s.in_c, aside + (pixel - first) * s.in_c,
                  static_cast<size_t>(s.in_c) * sizeof(uint16_t));
    }
  });
}

}  // namespace mead::train
