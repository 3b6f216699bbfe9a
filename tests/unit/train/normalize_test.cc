#include "worker/train/input/normalize.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <vector>

namespace mead::train {
namespace {

std::vector<uint8_t> EveryValue() {
  std::vector<uint8_t> pixels;
  for (int value = 0; value < 256; ++value)
    pixels.insert(pixels.end(), 3, static_cast<uint8_t>(value));
  return pixels;
}

TEST(Normalize, CpuEqualsTorchvisionsToTensorAndNormalize) {
  const std::vector<uint8_t> pixels = EveryValue();
  at::Tensor out = at::empty({256, 3});
  NormalizeOnCpu(pixels.data(), out.data_ptr<float>(), out.numel());
  const at::Tensor bytes =
      at::from_blob(const_cast<uint8_t*>(pixels.data()), {256, 3}, at::dtype(at::kByte));
  const at::Tensor mean = at::tensor({0.485F, 0.456F, 0.406F});
  const at::Tensor deviation = at::tensor({0.229F, 0.224F, 0.225F});
  EXPECT_TRUE(at::equal(out, (bytes.to(at::kFloat).div(255) - mean).div(deviation)));
}

TEST(Normalize, Bfloat16IsTheRoundedFloat) {
  const std::vector<uint8_t> pixels = EveryValue();
  at::Tensor wide = at::empty({256, 3});
  at::Tensor narrow = at::empty({256, 3}, at::dtype(at::kBFloat16));
  NormalizeOnCpu(pixels.data(), wide.data_ptr<float>(), wide.numel());
  NormalizeOnCpu(pixels.data(), narrow.data_ptr<c10::BFloat16>(), narrow.numel());
  EXPECT_TRUE(at::equal(narrow, wide.to(at::kBFloat16)));
}

TEST(Normalize, LargeBatchesAreSplitAmongThreadsWithoutGaps) {
  const int64_t count = 3 * 100'003;
  std::vector<uint8_t> pixels(static_cast<size_t>(count));
  for (size_t i = 0; i < pixels.size(); ++i) pixels[i] = static_cast<uint8_t>(i * 7);
  std::vector<float> out(pixels.size(), -1000);
  NormalizeOnCpu(pixels.data(), out.data(), count);
  for (size_t i = 0; i < pixels.size(); ++i) {
    ASSERT_EQ(out[i], NormalizedPixel<float>(pixels[i], static_cast<int>(i % 3))) << i;
  }
}

}  // namespace
}  // namespace mead::train
