#include "worker/train/input/normalize.h"

#include <ATen/Parallel.h>

#include <array>

#ifndef _OPENMP
#error "at::parallel_for would run on one thread: compile with -fopenmp"
#endif

namespace mead::train {
namespace {

// There are only 256 values in each channel: a table instead of divisions.
template <typename Out>
void Normalize(const uint8_t* pixels, Out* out, int64_t count) {
  static const auto table = [] {
    std::array<std::array<Out, 3>, 256> values{};
    for (size_t value = 0; value < values.size(); ++value) {
      for (int channel = 0; channel < 3; ++channel) {
        values[value][static_cast<size_t>(channel)] =
            NormalizedPixel<Out>(static_cast<uint8_t>(value), channel);
      }
    }
    return values;
  }();
  constexpr int64_t kGrain = 16384;  // pixels per task
  at::parallel_for(0, count / 3, kGrain, [&](int64_t begin, int64_t end) {
    for (int64_t i = 3 * begin; i < 3 * end; i += 3) {
      out[i] = table[pixels[i]][0];
      out[i + 1] = table[pixels[i + 1]][1];
      out[i + 2] = table[pixels[i + 2]][2];
    }
  });
}

}  // namespace

void NormalizeOnCpu(const uint8_t* pixels, float* out, int64_t count) {
  Normalize(pixels, out, count);
}

void NormalizeOnCpu(const uint8_t* pixels, c10::BFloat16* out, int64_t count) {
  Normalize(pixels, out, count);
}

}  // namespace mead::train
