// The kernels that take gradients against LibTorch's cast and addition.
#include "worker/train/comm/gradient.h"

#include <c10/util/BFloat16.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "common/base/rng.h"
#include "tests/unit/train/guarded.h"

namespace mead::train {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

const auto kTypes = {at::kFloat, at::kBFloat16};

TEST(TakeGradient, StoresAndAddsAsLibTorchDoes) {
  const at::Tensor not_finite = at::zeros({});
  for (const at::ScalarType type : kTypes) {
    for (const int64_t size : {0, 1, 15, 16, 33, 100000}) {
      const at::Tensor first = at::randn({size}).to(type);
      const at::Tensor second = at::randn({size}).to(type);
      const at::Tensor place = at::full({size}, kNan);
      TakeGradient(first, /*add=*/false, place, not_finite);
      EXPECT_TRUE(at::equal(place, first.to(at::kFloat)));
      TakeGradient(second, /*add=*/true, place, not_finite);
      EXPECT_TRUE(at::equal(place, first.to(at::kFloat) + second));
      EXPECT_EQ(not_finite.item<float>(), 0);
    }
  }
}

TEST(TakeGradient, TellsOfAnElementThatIsNotFiniteWhereverItIs) {
  for (const at::ScalarType type : kTypes) {
    for (const float bad : {kInfinity, -kInfinity, kNan}) {
      for (const int64_t at : {0, 15, 16, 40, 49999, 99999, 100000}) {
        const at::Tensor not_finite = at::zeros({});
        const at::Tensor gradient = at::zeros({100001}, type);
        gradient[at].fill_(bad);
        const at::Tensor place = at::empty({100001});
        TakeGradient(gradient, /*add=*/false, place, not_finite);
        EXPECT_EQ(not_finite.item<float>(), 1) << bad << " at " << at;
        // It is told of once, and not taken back.
        TakeGradient(at::zeros({100001}, type), /*add=*/false, place, not_finite);
        EXPECT_EQ(not_finite.item<float>(), 1);
      }
    }
  }
}

TEST(TakeGradient, TellsOfASumThatOverflows) {
  const at::Tensor large = at::full({20}, 3e38);
  const at::Tensor place = at::zeros({20});
  const at::Tensor not_finite = at::zeros({});
  TakeGradient(large, /*add=*/true, place, not_finite);
  EXPECT_EQ(not_finite.item<float>(), 0);
  TakeGradient(large, /*add=*/true, place, not_finite);
  EXPECT_EQ(not_finite.item<float>(), 1);
}

// oneDNN may leave a weight's gradient in another order than the weight.
TEST(TakeGradient, FollowsTheIndicesWhereLayoutsDiffer) {
  for (const at::ScalarType type : kTypes) {
    const at::Tensor gradient = at::randn({8, 6, 3, 3}).to(type);
    const at::Tensor place = at::empty({8, 6, 3, 3}, at::MemoryFormat::ChannelsLast);
    const at::Tensor not_finite = at::zeros({});
    TakeGradient(gradient, /*add=*/false, place, not_finite);
    EXPECT_TRUE(at::equal(place, gradient.to(at::kFloat)));
    TakeGradient(gradient, /*add=*/true, place, not_finite);
    EXPECT_TRUE(at::equal(place, gradient.to(at::kFloat) * 2));
    EXPECT_EQ(not_finite.item<float>(), 0);
    gradient[7][5][2][2].fill_(kInfinity);
    TakeGradient(gradient, /*add=*/true, place, not_finite);
    EXPECT_EQ(not_finite.item<float>(), 1);
  }
}

TEST(TakeGradient, RefusesOtherTypes) {
  EXPECT_THROW(
      TakeGradient(at::zeros({3}, at::kDouble), /*add=*/false, at::zeros({3}), at::zeros({})),
      TrainError);
}

// Every instruction set that runs here, at every length around a vector's.
TEST(GradientIsa, WritesItsStretchAndNothingElse) {
  for (const CpuIsa isa : kCpuIsas) {
    if (!CpuHas(isa)) continue;
    const GradientCpuTable& kernels = TableOf(kGradientCpuTables, isa);
    for (size_t size = 0; size <= 50; ++size) {
      SCOPED_TRACE(std::string(kernels.isa) + ", " + std::to_string(size) + " elements");
      Rng rng(size + 1);
      std::vector<float> from(size);
      std::vector<Bf16Storage> half(size);
      for (size_t i = 0; i < size; ++i) {
        from[i] = c10::BFloat16(static_cast<float>(rng.Uniform(-1, 1)));
        half[i].bits = c10::BFloat16(from[i]).x;
      }
      const auto n = static_cast<int64_t>(size);
      Guarded<float> of_float(size), of_half(size);
      EXPECT_TRUE(kernels.take_fp32(from.data(), n, /*add=*/false, of_float.data()));
      EXPECT_TRUE(kernels.take_bf16(half.data(), n, /*add=*/false, of_half.data()));
      EXPECT_TRUE(kernels.take_fp32(from.data(), n, /*add=*/true, of_float.data()));
      EXPECT_TRUE(kernels.take_bf16(half.data(), n, /*add=*/true, of_half.data()));
      for (size_t i = 0; i < size; ++i) {
        EXPECT_EQ(of_float[i], 2 * from[i]);
        EXPECT_EQ(of_half[i], 2 * from[i]);
      }
      EXPECT_TRUE(of_float.untouched_around() && of_half.untouched_around());
      for (size_t i = 0; i < size; ++i) {
        const Bf16Storage kept = half[i];
        half[i].bits = 0xff80;  // minus infinity
        EXPECT_FALSE(kernels.take_bf16(half.data(), n, /*add=*/false, of_half.data()));
        half[i] = kept;
      }
    }
  }
}

}  // namespace
}  // namespace mead::train
