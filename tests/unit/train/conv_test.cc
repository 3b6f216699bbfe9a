// The convolution operator against LibTorch's own, computed in float64.
#include "worker/train/ops/conv.h"

#include <ATen/Parallel.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <ostream>
#include <tuple>
#include <vector>

#include "worker/train/ops/conv_pointwise_cpu.h"
#include "worker/train/ops/conv_weights_cpu.h"
#include "worker/train/ops/conv_winograd_cpu.h"

namespace mead::train {
namespace {

struct Case {
  int64_t n, in_c, out_c, h, w, kernel, stride;

  friend std::ostream& operator<<(std::ostream& out, const Case& c) {
    return out << c.n << 'x' << c.in_c << 'x' << c.h << 'x' << c.w << " to " << c.out_c << ", "
               << c.kernel << 'x' << c.kernel << " stride " << c.stride;
  }
};

// x: [n, in_c, h, w], weight: [out_c, in_c, kernel, kernel], dy: [n, out_c, ...]
struct Problem {
  explicit Problem(const Case& c, at::ScalarType type = at::kBFloat16)
      : stride(c.stride), padding(c.kernel / 2) {
    at::manual_seed(1);
    auto tensor = [&](at::IntArrayRef sizes) {
      return at::randn(sizes).to(type).contiguous(at::MemoryFormat::ChannelsLast);
    };
    x = tensor({c.n, c.in_c, c.h, c.w}).set_requires_grad(true);
    weight = tensor({c.out_c, c.in_c, c.kernel, c.kernel}).set_requires_grad(true);
    dy = tensor({c.n, c.out_c, (c.h + 2 * padding - c.kernel) / stride + 1,
                 (c.w + 2 * padding - c.kernel) / stride + 1});
  }

  void Run() {
    x.mutable_grad().reset();
    weight.mutable_grad().reset();
    y = Convolve(x, weight, stride, padding);
    y.backward(dy);
  }

  // LibTorch's result and gradients of x and weight, in float64.
  std::array<at::Tensor, 3> Reference() const {
    at::NoGradGuard no_grad;
    const at::Tensor wide_x = x.detach().to(at::kDouble);
    const at::Tensor wide_weight = weight.detach().to(at::kDouble);
    const auto [dx, dw, db] = at::convolution_backward(
        dy.to(at::kDouble), wide_x, wide_weight, at::OptionalIntArrayRef(), {stride, stride},
        {padding, padding}, {1, 1}, false, {0, 0}, 1, {true, true, false});
    return {at::conv2d(wide_x, wide_weight, {}, {stride, stride}, {padding, padding}), dx, dw};
  }

  // Terms of an element of the weight's gradient.
  int64_t Pixels() const { return dy.size(0) * dy.size(2) * dy.size(3); }

  ConvShape Shape() const {
    return {.n = x.size(0),
            .in_h = x.size(2),
            .in_w = x.size(3),
            .in_c = x.size(1),
            .out_h = dy.size(2),
            .out_w = dy.size(3),
            .out_c = dy.size(1),
            .kernel = weight.size(2),
            .stride = stride,
            .padding = padding};
  }

  int64_t stride, padding;
  at::Tensor x, weight, dy, y;
};

// A bfloat16 holds 8 bits, so rounding a result once is off by 2^-8 of it at most. The
// float32 sum before it is off by far less, but of the terms' size rather than the
// result's: terms are of size 1, so `floor` is a few float32 roundings of a sum of
// sqrt(terms).
void ExpectRoundedOnce(const at::Tensor& value, const at::Tensor& reference, int64_t terms) {
  ASSERT_EQ(value.sizes(), reference.sizes());
  const double floor = 1e-5 * std::sqrt(static_cast<double>(terms));
  const at::Tensor error = (value.detach().to(at::kDouble) - reference).abs();
  const at::Tensor allowed = reference.abs() / 256 + floor;
  EXPECT_EQ((error > allowed).sum().item<int64_t>(), 0)
      << "largest error " << error.max().item<double>() << ", terms " << terms;
}

// Winograd's transforms are rounded before they are multiplied: the error is half a
// percent of what such sums are, some values of which are next to zero.
void ExpectRoundedBefore(const at::Tensor& value, const at::Tensor& reference) {
  ASSERT_EQ(value.sizes(), reference.sizes());
  const at::Tensor error = value.detach().to(at::kDouble) - reference;
  const double size = reference.norm().item<double>() / std::sqrt(reference.numel());
  EXPECT_LT(error.norm().item<double>() / std::sqrt(reference.numel()), 6e-3 * size);
  EXPECT_LT((error.abs() - reference.abs() / 128).max().item<double>(), 5e-2 * size);
}

// Those that the kernels of ours can compute.
std::vector<Case> OurCases() {
  std::vector<Case> cases;
  for (const int64_t kernel : {1, 3}) {
    for (const int64_t stride : {1, 2}) {
      cases.push_back({2, 64, 64, 56, 56, kernel, stride});   // several ranges of pixels
      cases.push_back({2, 64, 272, 14, 14, kernel, stride});  // unequal blocks of rows
      cases.push_back({1, 1088, 32, 7, 7, kernel, stride});   // several blocks of columns
      cases.push_back({3, 128, 128, 7, 7, kernel, stride});   // an odd number of pixels
      cases.push_back({1, 80, 48, 33, 17, kernel, stride});
      cases.push_back({5, 48, 80, 17, 33, kernel, stride});
      cases.push_back({1, 16, 16, 1, 1, kernel, stride});
      cases.push_back({2, 16, 64, 2, 3, kernel, stride});
    }
  }
  return cases;
}

std::vector<Case> AllCases() {
  std::vector<Case> cases = OurCases();
  cases.push_back({2, 3, 64, 32, 32, 7, 2});      // LibTorch's: a stem
  cases.push_back({2, 24, 40, 9, 9, 3, 1});       // LibTorch's: channels
  cases.push_back({2, 256, 1024, 14, 14, 1, 1});  // enough pixels for our 1x1
  cases.push_back({2, 512, 256, 28, 27, 1, 2});
  return cases;
}

class ConvolveOn : public ::testing::TestWithParam<Case> {};
INSTANTIATE_TEST_SUITE_P(Shapes, ConvolveOn, ::testing::ValuesIn(AllCases()));

TEST_P(ConvolveOn, GivesLibTorchsResultAndGradients) {
  const Case& c = GetParam();
  Problem problem(c);
  problem.Run();
  const auto [y, dx, dw] = problem.Reference();
  if (ActiveWinograd() != nullptr && WinogradWins(problem.Shape())) {
    ExpectRoundedBefore(problem.y, y);
    ExpectRoundedBefore(problem.x.grad(), dx);
    ExpectRoundedBefore(problem.weight.grad(), dw);
    return;
  }
  const int64_t taps = c.kernel * c.kernel;
  ExpectRoundedOnce(problem.y, y, c.in_c * taps);
  ExpectRoundedOnce(problem.x.grad(), dx, c.out_c * taps);
  ExpectRoundedOnce(problem.weight.grad(), dw, problem.Pixels());
}

// The kernels themselves, also for shapes for which LibTorch's are taken.
class ConvWeightsOn : public ::testing::TestWithParam<Case> {};
INSTANTIATE_TEST_SUITE_P(Shapes, ConvWeightsOn, ::testing::ValuesIn(OurCases()));

TEST_P(ConvWeightsOn, KernelsAgreeWhateverTheThreads) {
  const ConvWeightsKernels* kernels = ActiveConvWeights();
  const Case& c = GetParam();
  const Problem problem(c);
  const ConvShape shape = problem.Shape();
  if (kernels == nullptr) GTEST_SKIP() << "LibTorch's kernels are taken on this processor";
  ASSERT_TRUE(ConvWeightsSupported(shape));
  auto gradient = [&](int threads) {
    const int before = at::get_num_threads();
    at::set_num_threads(threads);
    at::Tensor dw = at::full_like(problem.weight.detach(), 1e30);
    ConvWeightsOnCpu(*kernels, problem.x.data_ptr<c10::BFloat16>(),
                     problem.dy.data_ptr<c10::BFloat16>(), shape, dw.data_ptr<c10::BFloat16>());
    at::set_num_threads(before);
    return dw;
  };
  const at::Tensor one = gradient(1);
  ExpectRoundedOnce(one, problem.Reference()[2], problem.Pixels());
  for (const int threads : {2, 3, 5}) EXPECT_TRUE(at::equal(gradient(threads), one)) << threads;
}

std::vector<Case> PointwiseCases() {
  return {{2, 64, 128, 14, 14, 1, 1}, {2, 192, 64, 14, 13, 1, 1}, {3, 64, 64, 5, 5, 1, 1},
          {2, 128, 64, 14, 14, 1, 2}, {2, 64, 128, 13, 14, 1, 2}, {2, 64, 64, 7, 9, 1, 3},
          {1, 1024, 64, 7, 7, 1, 1},  {1, 64, 64, 1, 1, 1, 1}};
}

// The kernels themselves, also where there are too few pixels to win.
class PointwiseOn : public ::testing::TestWithParam<Case> {};
INSTANTIATE_TEST_SUITE_P(Shapes, PointwiseOn, ::testing::ValuesIn(PointwiseCases()));

TEST_P(PointwiseOn, KernelsAgreeWhateverTheThreads) {
  if (ActivePointwise() == nullptr) {
    GTEST_SKIP() << "LibTorch's kernels are taken on this processor";
  }
  const Problem problem(GetParam());
  const ConvShape shape = problem.Shape();
  ASSERT_TRUE(PointwiseSupported(shape));
  auto bits = [](const at::Tensor& tensor) { return tensor.data_ptr<c10::BFloat16>(); };
  const auto [y, dx, dw] = problem.Reference();
  at::Tensor one_y, one_dx;
  for (const int threads : {1, 2, 3, 5}) {
    SCOPED_TRACE(threads);
    const int before = at::get_num_threads();
    at::set_num_threads(threads);
    const at::Tensor our_y = at::full_like(problem.dy, 1e30);
    const at::Tensor our_dx = at::full_like(problem.x.detach(), 1e30);
    PointwiseForward(*ActivePointwise(), bits(problem.x), bits(problem.weight), shape, bits(our_y));
    PointwiseInputGradient(*ActivePointwise(), bits(problem.dy), bits(problem.weight), shape,
                           bits(our_dx));
    at::set_num_threads(before);
    if (threads == 1) {
      ExpectRoundedOnce(our_y, y, shape.in_c);
      ExpectRoundedOnce(our_dx, dx, shape.out_c);
      one_y = our_y;
      one_dx = our_dx;
    }
    EXPECT_TRUE(at::equal(our_y, one_y));
    EXPECT_TRUE(at::equal(our_dx, one_dx));
  }
}

TEST(PointwiseChoice, ForcedDownTakesLibTorchs) {
  EXPECT_EQ(ChoosePointwise(CpuIsa::kAvx2), nullptr);
  EXPECT_EQ(ActivePointwise(), ChoosePointwise(ActiveCpuIsa()));
}

std::vector<Case> WinogradCases() {
  return {{2, 64, 64, 56, 56, 3, 1},   // several lots of tiles, several groups
          {2, 128, 64, 28, 28, 3, 1},  // more channels in than out
          {2, 64, 192, 13, 14, 3, 1},  // more out than in, half tiles below
          {5, 64, 64, 7, 7, 3, 1},     // half tiles on both sides
          {3, 64, 128, 5, 9, 3, 1},    // an odd number of tiles: a pair of one
          {1, 512, 64, 9, 8, 3, 1},    // longer lots
          {1, 64, 512, 8, 9, 3, 1},    // also back
          {1, 256, 256, 9, 8, 3, 1},   // the weight's sums in fewer parts than threads
          {1, 64, 64, 1, 1, 3, 1},     // one tile, mostly padding
          {4, 64, 64, 1, 2, 3, 1}};
}

// Winograd's kernels themselves, also where there are too few pictures to win.
class WinogradOn : public ::testing::TestWithParam<Case> {
 protected:
  // y, dx and dw, computed on so many threads into memory full of nonsense.
  static std::array<at::Tensor, 3> Run(const Problem& problem, int threads) {
    const int before = at::get_num_threads();
    at::set_num_threads(threads);
    std::array<at::Tensor, 3> out;
    const std::array<at::Tensor, 3> like = {problem.dy, problem.x.detach(),
                                            problem.weight.detach()};
    for (size_t i = 0; i < out.size(); ++i) out[i] = at::full_like(like[i], 1e30);
    auto bits = [](const at::Tensor& tensor) { return tensor.data_ptr<c10::BFloat16>(); };
    const ConvShape shape = problem.Shape();
    const WinogradKernels& kernels = *ActiveWinograd();
    WinogradForward(kernels, bits(problem.x), bits(problem.weight), shape, bits(out[0]));
    WinogradInputGradient(kernels, bits(problem.dy), bits(problem.weight), shape, bits(out[1]));
    WinogradWeightGradient(kernels, bits(problem.x), bits(problem.dy), shape, bits(out[2]));
    at::set_num_threads(before);
    return out;
  }
};
INSTANTIATE_TEST_SUITE_P(Shapes, WinogradOn, ::testing::ValuesIn(WinogradCases()));

TEST_P(WinogradOn, KernelsAgreeWhateverTheThreads) {
  if (ActiveWinograd() == nullptr) {
    GTEST_SKIP() << "LibTorch's kernels are taken on this processor";
  }
  const Problem problem(GetParam());
  ASSERT_TRUE(WinogradSupported(problem.Shape()));
  const std::array<at::Tensor, 3> one = Run(problem, 1);
  const std::array<at::Tensor, 3> reference = problem.Reference();
  for (size_t i = 0; i < one.size(); ++i) {
    SCOPED_TRACE(i);
    ExpectRoundedBefore(one[i], reference[i]);
  }
  for (const int threads : {2, 3, 5}) {
    const std::array<at::Tensor, 3> more = Run(problem, threads);
    for (size_t i = 0; i < one.size(); ++i) EXPECT_TRUE(at::equal(more[i], one[i])) << threads;
  }
}

// What a picture gives does not depend on the others of its batch.
TEST(Winograd, PicturesAreApart) {
  if (ActiveWinograd() == nullptr) {
    GTEST_SKIP() << "LibTorch's kernels are taken on this processor";
  }
  Problem whole({8, 64, 64, 14, 14, 3, 1});
  ASSERT_TRUE(WinogradWins(whole.Shape()));
  whole.Run();
  Problem part({8, 64, 64, 14, 14, 3, 1});
  part.x = whole.x.detach().narrow(0, 3, 5).clone(at::MemoryFormat::ChannelsLast);
  part.dy = whole.dy.narrow(0, 3, 5).clone(at::MemoryFormat::ChannelsLast);
  part.x.set_requires_grad(true);
  ASSERT_TRUE(WinogradWins(part.Shape()));
  part.Run();
  EXPECT_TRUE(at::equal(part.y, whole.y.narrow(0, 3, 5)));
  EXPECT_TRUE(at::equal(part.x.grad(), whole.x.grad().narrow(0, 3, 5)));
}

TEST(Winograd, ShapesThatItIsNotForAreRefused) {
  const Problem fits({2, 64, 64, 14, 14, 3, 1});
  EXPECT_TRUE(WinogradSupported(fits.Shape()));
  EXPECT_FALSE(WinogradSupported(Problem({2, 64, 64, 14, 14, 3, 2}).Shape()));
  EXPECT_FALSE(WinogradSupported(Problem({2, 64, 64, 14, 14, 1, 1}).Shape()));
  EXPECT_FALSE(WinogradSupported(Problem({2, 32, 64, 14, 14, 3, 1}).Shape()));
  EXPECT_FALSE(WinogradSupported(Problem({2, 64, 96, 14, 14, 3, 1}).Shape()));
  EXPECT_FALSE(WinogradWins(Problem({1, 64, 64, 14, 14, 3, 1}).Shape()));
}

TEST(Convolve, WeightGradientIsChannelsLast) {
  Problem problem({2, 64, 256, 14, 14, 1, 1});
  problem.Run();
  EXPECT_TRUE(problem.weight.grad().is_contiguous(at::MemoryFormat::ChannelsLast));
}

TEST(Convolve, ContiguousGradientsAndInputsAreTaken) {
  Problem problem({2, 64, 64, 9, 9, 3, 1});
  problem.Run();
  const at::Tensor expected = problem.weight.grad();
  problem.x = problem.x.detach().contiguous().set_requires_grad(true);
  problem.dy = problem.dy.contiguous();
  problem.Run();
  EXPECT_TRUE(at::equal(problem.weight.grad(), expected));
}

TEST(Convolve, OnlyNeededGradientsAreComputed) {
  Problem problem({2, 64, 64, 9, 9, 1, 1});
  problem.x.set_requires_grad(false);
  problem.Run();
  EXPECT_FALSE(problem.x.grad().defined());
  EXPECT_TRUE(problem.weight.grad().defined());
  problem.x.set_requires_grad(true);
  problem.weight.set_requires_grad(false);  // a frozen layer
  problem.Run();
  EXPECT_TRUE(problem.x.grad().defined());
  EXPECT_FALSE(problem.weight.grad().defined());
}

TEST(Convolve, WiderTypesAreLibTorchs) {
  Problem problem({2, 16, 16, 9, 9, 3, 1}, at::kDouble);
  problem.Run();
  const auto [y, dx, dw] = problem.Reference();
  EXPECT_TRUE(at::allclose(problem.y, y));
  EXPECT_TRUE(at::allclose(problem.x.grad(), dx));
  EXPECT_TRUE(at::allclose(problem.weight.grad(), dw));
}

TEST(ConvWeightsChoice, ForcedDownTakesLibTorchs) {
  EXPECT_EQ(ChooseConvWeights(CpuIsa::kAvx2), nullptr);
  EXPECT_EQ(ChooseConvWeights(CpuIsa::kAvx512), nullptr);
  EXPECT_EQ(ActiveConvWeights(), ChooseConvWeights(ActiveCpuIsa()));
}

TEST(WinogradChoice, ForcedDownTakesLibTorchs) {
  EXPECT_EQ(ChooseWinograd(CpuIsa::kAvx2), nullptr);
  EXPECT_EQ(ChooseWinograd(CpuIsa::kAvx512), nullptr);
  EXPECT_EQ(ActiveWinograd(), ChooseWinograd(ActiveCpuIsa()));
}

}  // namespace
}  // namespace mead::train
