// The arithmetic that a GPU's kernels use, compiled for the CPU.
#include "worker/train/ops/norm_math.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "common/base/rng.h"
#include "worker/train/ops/norm_cpu.h"

namespace mead::train {
namespace {

// Float32's rounding error, of a value around one, a few times over.
constexpr double kRounding = 2e-6;

struct Layer {
  static constexpr int64_t kRows = 37, kChannels = 16;
  static constexpr size_t kSize = kRows * kChannels;

  explicit Layer(double mean_of_x) {
    Rng rng(11);
    for (size_t i = 0; i < kSize; ++i) {
      x.push_back(static_cast<float>(mean_of_x + rng.Normal()));
      dy.push_back(static_cast<float>(rng.Normal()));
    }
    for (int64_t c = 0; c < kChannels; ++c) {
      gamma.push_back(static_cast<float>(rng.Uniform(0.5, 1.5)));
      beta.push_back(static_cast<float>(rng.Uniform(-0.5, 0.5)));
    }
    mean.resize(kChannels);
    inverse_deviation.resize(kChannels);
    NormStatisticsOnCpu(x.data(), shape, 1e-5F, {}, mean.data(), inverse_deviation.data());
  }

  NormCoefficients<float> coefficients() const {
    return {.mean = mean.data(),
            .inverse_deviation = inverse_deviation.data(),
            .gamma = gamma.data(),
            .beta = beta.data()};
  }
  NormForward<float> Forward(size_t c) const {
    return {mean[c], inverse_deviation[c], gamma[c], beta[c]};
  }
  // In double, from the same float32 statistics.
  double Z(size_t i) const {
    const size_t c = i % kChannels;
    return (double{x[i]} - double{mean[c]}) * double{inverse_deviation[c]} * double{gamma[c]} +
           double{beta[c]};
  }

  NormShape shape = {.rows = kRows, .channels = kChannels};
  std::vector<float> x, dy;                                 // [rows, channels]
  std::vector<float> mean, inverse_deviation, gamma, beta;  // [channels]
};

// The mean is folded into the shift, so rounding grows with it.
double Tolerance(double mean) { return kRounding * (1 + 0.2 * mean); }

TEST(NormMath, ForwardAgreesWithDoubleAndWithTheCpuPasses) {
  for (const double mean : {0.0, 100.0}) {
    const Layer layer(mean);
    std::vector<float> y(Layer::kSize);
    NormApplyOnCpu<float>(layer.x.data(), nullptr, layer.shape, layer.coefficients(),
                          /*relu=*/true, y.data(), nullptr);
    for (size_t i = 0; i < Layer::kSize; ++i) {
      const float z = layer.Forward(i % Layer::kChannels)(layer.x[i]);
      EXPECT_NEAR(z, layer.Z(i), Tolerance(mean));
      EXPECT_NEAR(NormRelu(z), y[i], Tolerance(mean));
    }
  }
}

TEST(NormMath, BackwardAgreesWithDoubleAndWithTheCpuPasses) {
  for (const double mean : {0.0, 100.0}) {
    for (const bool frozen : {false, true}) {
      SCOPED_TRACE(std::to_string(mean) + (frozen ? " frozen" : ""));
      const Layer layer(mean);
      std::vector<float> dgamma(Layer::kChannels), dbeta(Layer::kChannels), dx(Layer::kSize);
      NormBackwardSumsOnCpu<float>(layer.dy.data(), nullptr, layer.x.data(), nullptr, layer.shape,
                                   layer.coefficients(), /*relu=*/true, dgamma.data(), dbeta.data(),
                                   nullptr);
      NormBackwardApplyOnCpu<float>(layer.dy.data(), layer.x.data(), nullptr, layer.shape,
                                    layer.coefficients(), /*relu=*/true,
                                    frozen ? nullptr : dgamma.data(),
                                    frozen ? nullptr : dbeta.data(), dx.data(), nullptr);
      std::vector<double> dgamma_of_math(Layer::kChannels), dbeta_of_math(Layer::kChannels);
      for (size_t i = 0; i < Layer::kSize; ++i) {
        const size_t c = i % Layer::kChannels;
        if (!NormPasses(layer.Forward(c)(layer.x[i]))) continue;
        dbeta_of_math[c] += double{layer.dy[i]};
        dgamma_of_math[c] += double{layer.dy[i]} * (double{layer.x[i]} - double{layer.mean[c]}) *
                             double{layer.inverse_deviation[c]};
      }
      for (size_t i = 0; i < Layer::kSize; ++i) {
        const size_t c = i % Layer::kChannels;
        EXPECT_NEAR(dbeta_of_math[c], dbeta[c], 1e-4);
        EXPECT_NEAR(dgamma_of_math[c], dgamma[c], 1e-4);
        const float sum_g = frozen ? 0 : dgamma[c];
        const float sum_b = frozen ? 0 : dbeta[c];
        const float dz = NormPasses(layer.Forward(c)(layer.x[i])) ? layer.dy[i] : 0.0F;
        const NormBackward<float> backward(layer.mean[c], layer.inverse_deviation[c],
                                           layer.gamma[c], sum_g, sum_b, 1.0F / Layer::kRows);
        const double xhat =
            (double{layer.x[i]} - double{layer.mean[c]}) * double{layer.inverse_deviation[c]};
        const double expected =
            double{layer.gamma[c]} * double{layer.inverse_deviation[c]} *
            (double{dz} - (double{sum_b} + xhat * double{sum_g}) / Layer::kRows);
        EXPECT_NEAR(backward(dz, layer.x[i]), expected, Tolerance(mean));
        EXPECT_NEAR(backward(dz, layer.x[i]), dx[i], Tolerance(mean));
      }
    }
  }
}

TEST(NormMath, DoublePrecisionAgreesToItsOwnRounding) {
  const NormForward<double> forward(0.3, 1.7, 0.9, -0.2);
  EXPECT_NEAR(forward(1.1), (1.1 - 0.3) * 1.7 * 0.9 - 0.2, 1e-15);
  const NormBackward<double> backward(0.3, 1.7, 0.9, 0.4, -0.6, 0.125);
  EXPECT_NEAR(backward(0.7, 1.1), 0.9 * 1.7 * (0.7 + 0.6 * 0.125 - (1.1 - 0.3) * 1.7 * 0.4 * 0.125),
              1e-15);
}

TEST(NormMath, ReluAndItsGateTreatZeroInfinityAndNanAsTheCpuPassesDo) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  const float nan = std::numeric_limits<float>::quiet_NaN();
  for (const float z : {-kInfinity, -1.0F, -0.0F, 0.0F, 1.0F, kInfinity, nan}) {
    const std::vector<float> x(16, z), zero(16, 0.0F), one(16, 1.0F);
    const NormCoefficients<float> identity = {.mean = zero.data(),
                                              .inverse_deviation = one.data(),
                                              .gamma = one.data(),
                                              .beta = zero.data()};
    const NormShape shape = {.rows = 1, .channels = 16};
    std::vector<float> y(16), dx(16), dz(16);
    NormApplyOnCpu<float>(x.data(), nullptr, shape, identity, /*relu=*/true, y.data(), nullptr);
    NormBackwardApplyOnCpu<float>(one.data(), x.data(), nullptr, shape, identity, /*relu=*/true,
                                  nullptr, nullptr, dx.data(), dz.data());
    if (std::isnan(z)) {
      EXPECT_TRUE(std::isnan(NormRelu(z)) && std::isnan(y[0]));
    } else {
      EXPECT_EQ(NormRelu(z), y[0]) << z;
    }
    EXPECT_EQ(NormPasses(z), dz[0] == 1) << z;
  }
}

}  // namespace
}  // namespace mead::train
