// Every pass of norm_gpu.h and pool_norm_gpu.h against ATen in double precision on the CPU.
//
// norm_gpu_check [--quick]
// Prints a line per group of cases, what failed, and "N passed, N failed". Exit status 1
// where something failed, 77 where there is no GPU.
//
// A pass is given what the pass before it gave, and its reference the same numbers: a
// gradient near ReLU's corner is then not held against the wrong pass. Outputs are full
// of NaN before each pass.
#include <ATen/ATen.h>
#include <cuda_runtime_api.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <limits>
#include <stdexcept>
#include <string>
#include <vector>

#include "tests/gpu/tally.h"
#include "worker/train/ops/norm_gpu.h"
#include "worker/train/ops/pool_norm_gpu.h"

namespace mead::train {
namespace {

using at::Tensor;

constexpr double kEpsilon = 1e-5;
constexpr double kMomentum = 0.1;

struct ErrorTally : Tally {
  double worst = 0;  // error over tolerance, of the group

  void Add(const std::string& what, double error, double tolerance) {
    worst = std::max(
        worst, std::isfinite(error) ? error / tolerance : std::numeric_limits<double>::infinity());
    if (error <= tolerance) {  // false for NaN
      ++passed;
      return;
    }
    ++failed;
    std::printf("FAILED %s: error %.3g, at most %.3g expected\n", what.c_str(), error, tolerance);
  }
  void AddExact(const std::string& what, bool same) { Add(what, same ? 0 : 1, 0.5); }
  void EndGroup(const std::string& name) {
    std::printf("%-44s worst error %5.1f %% of its tolerance\n", name.c_str(), 100 * worst);
    std::fflush(stdout);
    worst = 0;
  }
};

void Check(int error) {
  if (error == cudaSuccess) error = cudaDeviceSynchronize();
  if (error != cudaSuccess) {
    throw std::runtime_error(cudaGetErrorString(static_cast<cudaError_t>(error)));
  }
}

// ||out - expected|| over the larger of ||expected|| and yardstick.
double Error(const Tensor& out, const Tensor& expected, double yardstick = 0) {
  const double distance = (out.cpu().to(at::kDouble) - expected).norm().item<double>();
  const double size = std::max(expected.norm().item<double>(), yardstick);
  return distance == 0 ? 0 : distance / size;
}

template <typename T>
struct Kind;
template <>
struct Kind<float> {
  static constexpr const char* kName = "float";
  static constexpr double kTolerance = 2e-6;
};
template <>
struct Kind<c10::BFloat16> {
  static constexpr const char* kName = "bfloat16";
  static constexpr double kTolerance =
      4e-3;  // of tensors in bfloat16: half a unit in the last place is 2^-8
};
template <>
struct Kind<double> {
  static constexpr const char* kName = "double";
  static constexpr double kTolerance = 1e-13;
};

// Tensors of the device, of T or of what T accumulates in, and back in double.
template <typename T>
struct Device {
  using A = NormAccumulate<T>;
  static constexpr at::ScalarType kType = c10::CppTypeToScalarType<T>::value;
  static constexpr at::ScalarType kSumType = c10::CppTypeToScalarType<A>::value;

  static Tensor Poisoned(at::IntArrayRef shape, at::ScalarType type) {
    return at::full(shape, std::numeric_limits<double>::quiet_NaN(),
                    at::dtype(type).device(at::kCUDA));
  }
  static Tensor Poisoned(at::IntArrayRef shape) { return Poisoned(shape, kType); }
  static Tensor PoisonedSums(int64_t channels) { return Poisoned({channels}, kSumType); }
  static Tensor Upload(const Tensor& cpu) { return cpu.to(at::kCUDA, kType); }
  static Tensor UploadSums(const Tensor& cpu) { return cpu.to(at::kCUDA, kSumType); }
  static Tensor Reference(const Tensor& gpu) { return gpu.cpu().to(at::kDouble); }
  static T* Data(const Tensor& tensor) { return tensor.data_ptr<T>(); }
  static A* Sums(const Tensor& tensor) { return tensor.data_ptr<A>(); }
};

// Per channel: on the device and, the same numbers, in double.
template <typename T>
struct Coefficients {
  using D = Device<T>;
  Tensor mean, inverse_deviation, gamma, beta;  // [channels], device

  NormCoefficients<NormAccumulate<T>> pointers() const {
    return {D::Sums(mean), D::Sums(inverse_deviation), D::Sums(gamma), D::Sums(beta)};
  }
  Tensor Xhat(const Tensor& x) const {  // x: double, channels last
    return (x - D::Reference(mean)) * D::Reference(inverse_deviation);
  }
  Tensor Z(const Tensor& x) const { return Xhat(x) * D::Reference(gamma) + D::Reference(beta); }
  // x * scale and shift cancel where the mean is many deviations: their rounding weighs
  // that much more.
  double Tolerance() const {
    if (sizeof(T) == 2) return Kind<T>::kTolerance;
    const Tensor deviations = D::Reference(mean) * D::Reference(inverse_deviation);
    return Kind<T>::kTolerance * (1 + deviations.abs().max().template item<double>());
  }
};

template <typename T>
class NormCheck {
 public:
  using A = NormAccumulate<T>;
  using D = Device<T>;

  // offset: mean of x in deviations.
  NormCheck(ErrorTally& tally, int64_t rows, int64_t channels, double offset, const Tensor& scratch)
      : tally_(tally),
        shape_{rows, channels},
        offset_(offset),
        scratch_(scratch),
        x_(D::Upload(2 * at::randn({rows, channels}, at::kDouble) + 2 * offset)),
        name_(std::string(Kind<T>::kName) + " " + std::to_string(rows) + "x" +
              std::to_string(channels) + (offset != 0 ? " far from 0" : "")) {}

  void Run() {
    const Tensor gamma = D::UploadSums(at::randn({shape_.channels}, at::kDouble) + 0.5);
    const Tensor beta = D::UploadSums(at::randn({shape_.channels}, at::kDouble));
    Coefficients<T> batch = Statistics();
    batch.gamma = gamma;
    batch.beta = beta;
    Coefficients<T> frozen;
    frozen.mean = D::UploadSums(at::randn({shape_.channels}, at::kDouble) + 2 * offset_);
    frozen.inverse_deviation = D::UploadSums(at::rand({shape_.channels}, at::kDouble) + 0.5);
    frozen.gamma = gamma;
    frozen.beta = beta;
    for (bool relu : {false, true}) {
      for (bool residual : {false, true}) {
        for (bool is_frozen : {false, true}) {
          for (bool two : {false, true}) {
            // Large tensors find what depends on size: the commonest four will do.
            const bool large = shape_.rows * shape_.channels > (1 << 22);
            if (large && (is_frozen || two != residual)) continue;
            Passes(is_frozen ? frozen : batch, relu, residual, is_frozen, two);
          }
        }
      }
    }
    tally_.EndGroup(name_);
  }

 private:
  Coefficients<T> Statistics() {
    const int64_t channels = shape_.channels;
    const Tensor old_mean = D::UploadSums(at::randn({channels}, at::kDouble));
    const Tensor old_var = D::UploadSums(at::rand({channels}, at::kDouble) + 0.5);
    Tensor mean[2], inverse[2], running_mean[2], running_var[2];
    for (int run : {0, 1}) {
      mean[run] = D::PoisonedSums(channels);
      inverse[run] = D::PoisonedSums(channels);
      running_mean[run] = old_mean.clone();
      running_var[run] = old_var.clone();
      Check(NormStatisticsOnGpu<T>(
          D::Data(x_), shape_, static_cast<A>(kEpsilon),
          {D::Sums(running_mean[run]), D::Sums(running_var[run]), static_cast<A>(kMomentum)},
          D::Sums(mean[run]), D::Sums(inverse[run]), scratch_.data_ptr(), nullptr));
    }
    tally_.AddExact(name_ + " statistics, twice the same bits",
                    at::equal(mean[0], mean[1]) && at::equal(inverse[0], inverse[1]) &&
                        at::equal(running_mean[0], running_mean[1]) &&
                        at::equal(running_var[0], running_var[1]));

    const Tensor x = D::Reference(x_);
    const Tensor expected_mean = x.mean(0);
    const Tensor expected_var = (x - expected_mean).square().mean(0);
    const bool single = sizeof(A) == sizeof(float);
    // The largest over the channels: one bad channel must not hide among the others.
    const double of_mean = ((D::Reference(mean[0]) - expected_mean).abs() /
                            (expected_mean.abs() + expected_var.sqrt()))
                               .max()
                               .template item<double>();
    tally_.Add(name_ + " mean", of_mean, single ? 1e-6 : 1e-14);
    const Tensor ratio = D::Reference(inverse[0]) * (expected_var + kEpsilon).sqrt();
    tally_.Add(name_ + " inverse deviation", (ratio - 1).abs().max().template item<double>(),
               single ? 5e-6 : 1e-11);  // half the variance's relative error
    const auto rows = static_cast<double>(shape_.rows);
    const Tensor unbiased = expected_var * (rows / std::max(rows - 1, 1.0));
    tally_.Add(name_ + " running mean",
               Error(running_mean[0],
                     D::Reference(old_mean) * (1 - kMomentum) + expected_mean * kMomentum),
               single ? 1e-6 : 1e-13);
    tally_.Add(
        name_ + " running variance",
        Error(running_var[0], D::Reference(old_var) * (1 - kMomentum) + unbiased * kMomentum),
        single ? 1e-5 : 1e-11);
    Coefficients<T> result;
    result.mean = mean[0];
    result.inverse_deviation = inverse[0];
    return result;
  }

  // two: the gradient comes as two tensors.
  void Passes(const Coefficients<T>& coefficients, bool relu, bool residual, bool frozen,
              bool two) {
    const int64_t rows = shape_.rows;
    const int64_t channels = shape_.channels;
    const std::string name = name_ + (relu ? " relu" : "") + (residual ? " residual" : "") +
                             (frozen ? " frozen" : "") + (two ? " two gradients" : "");
    const double tolerance = coefficients.Tolerance();
    const Tensor x = D::Reference(x_);

    const Tensor added = D::Upload(at::randn({rows, channels}, at::kDouble));
    const Tensor y = D::Poisoned({rows, channels});
    const bool masked = residual && relu;
    const Tensor mask =
        at::full({rows * channels / 8}, 0xA5, at::dtype(at::kByte).device(at::kCUDA));
    uint8_t* mask_data = masked ? mask.data_ptr<uint8_t>() : nullptr;
    Check(NormApplyOnGpu<T>(D::Data(x_), residual ? D::Data(added) : nullptr, shape_,
                            coefficients.pointers(), relu, D::Data(y), mask_data, nullptr));
    Tensor z = coefficients.Z(x);
    if (residual) z = z + D::Reference(added);
    tally_.Add(name + " y", Error(y, relu ? z.relu() : z, z.norm().template item<double>()),
               tolerance);
    const Tensor passed = relu ? D::Reference(y) > 0 : at::ones({rows, channels}, at::kBool);
    if (masked) {
      const Tensor bits = at::bitwise_right_shift(mask.cpu().unsqueeze(1), at::arange(8, at::kByte))
                              .bitwise_and(1)
                              .reshape({rows, channels});
      tally_.AddExact(name + " mask", at::equal(bits.to(at::kBool), passed));
      const Tensor evaluated = D::Poisoned({rows, channels});
      Check(NormApplyOnGpu<T>(D::Data(x_), D::Data(added), shape_, coefficients.pointers(), relu,
                              D::Data(evaluated), nullptr, nullptr));
      tally_.AddExact(name + " y without a mask", at::equal(evaluated, y));
    }

    const Tensor dy = D::Upload(at::randn({rows, channels}, at::kDouble) + 0.1);
    const Tensor dy2 = D::Upload(at::randn({rows, channels}, at::kDouble));
    const Tensor dz = two ? D::Poisoned({rows, channels}) : Tensor();
    Tensor dgamma[2], dbeta[2];
    for (int run : {0, 1}) {
      dgamma[run] = D::PoisonedSums(channels);
      dbeta[run] = D::PoisonedSums(channels);
      Check(NormBackwardSumsOnGpu<T>(D::Data(dy), two ? D::Data(dy2) : nullptr, D::Data(x_),
                                     mask_data, shape_, coefficients.pointers(), relu,
                                     D::Sums(dgamma[run]), D::Sums(dbeta[run]),
                                     two ? D::Data(dz) : nullptr, scratch_.data_ptr(), nullptr));
    }
    tally_.AddExact(name + " sums, twice the same bits",
                    at::equal(dgamma[0], dgamma[1]) && at::equal(dbeta[0], dbeta[1]));
    const Tensor expected_dz = at::where(
        passed, D::Reference(dy) + (two ? D::Reference(dy2) : at::zeros({}, at::kDouble)), 0.0);
    if (two) tally_.Add(name + " dz", Error(dz, expected_dz), Kind<T>::kTolerance);
    const Tensor summed = two ? D::Reference(dz) : expected_dz;  // dz, as rounded
    const Tensor xhat = coefficients.Xhat(x);
    const double sum_tolerance = sizeof(A) == sizeof(float) ? 5e-6 : 1e-12;
    tally_.Add(name + " dbeta",
               Error(dbeta[0], summed.sum(0), summed.norm().template item<double>()),
               sum_tolerance);
    const Tensor products = summed * xhat;
    tally_.Add(name + " dgamma",
               Error(dgamma[0], products.sum(0), products.norm().template item<double>()),
               sum_tolerance);

    const Tensor dx = D::Poisoned({rows, channels});
    const Tensor dresidual = D::Poisoned({rows, channels});
    const Tensor& incoming = two ? dz : dy;
    const bool gated = relu && !two;
    Check(NormBackwardApplyOnGpu<T>(D::Data(incoming), D::Data(x_), gated ? mask_data : nullptr,
                                    shape_, coefficients.pointers(), gated,
                                    frozen ? nullptr : D::Sums(dgamma[0]),
                                    frozen ? nullptr : D::Sums(dbeta[0]), D::Data(dx),
                                    residual ? D::Data(dresidual) : nullptr, nullptr));
    const Tensor scale =
        D::Reference(coefficients.gamma) * D::Reference(coefficients.inverse_deviation);
    Tensor inner = summed;
    if (!frozen) {
      const auto count = static_cast<double>(rows);
      inner = inner - D::Reference(dbeta[0]) / count - xhat * (D::Reference(dgamma[0]) / count);
    }
    tally_.Add(name + " dx",
               Error(dx, inner * scale, (summed * scale).norm().template item<double>()),
               tolerance);
    if (residual) {
      tally_.AddExact(name + " dresidual", at::equal(D::Reference(dresidual), summed));
    }
    const Tensor in_place = incoming.clone();
    Check(NormBackwardApplyOnGpu<T>(
        D::Data(in_place), D::Data(x_), gated ? mask_data : nullptr, shape_,
        coefficients.pointers(), gated, frozen ? nullptr : D::Sums(dgamma[0]),
        frozen ? nullptr : D::Sums(dbeta[0]), D::Data(in_place), nullptr, nullptr));
    tally_.AddExact(name + " dx in place of dy", at::equal(in_place, dx));
  }

  ErrorTally& tally_;
  const NormShape shape_;
  const double offset_;
  const Tensor scratch_;
  const Tensor x_;  // [rows, channels], device
  const std::string name_;
};

// The elements of padded [N, H + 3, W + 3, C] that are number k of their windows.
Tensor WindowElement(const Tensor& padded, int64_t k, int64_t height, int64_t width) {
  return padded.slice(1, k / 3, k / 3 + 2 * height - 1, 2)
      .slice(2, k % 3, k % 3 + 2 * width - 1, 2);
}

template <typename T>
void CheckPool(ErrorTally& tally, PoolNormShape shape, const Tensor& scratch) {
  using D = Device<T>;
  const int64_t pooled_height = (shape.height + 1) / 2;
  const int64_t pooled_width = (shape.width + 1) / 2;
  const int64_t channels = shape.channels;
  const std::vector<int64_t> full = {shape.images, shape.height, shape.width, channels};
  const std::vector<int64_t> pooled = {shape.images, pooled_height, pooled_width, channels};
  const std::string name = std::string(Kind<T>::kName) + " pool " + std::to_string(shape.images) +
                           "x" + std::to_string(shape.height) + "x" + std::to_string(shape.width) +
                           "x" + std::to_string(channels);
  const Tensor x_device = D::Upload(at::randn(full, at::kDouble));
  const Tensor x = D::Reference(x_device);
  Coefficients<T> coefficients;
  coefficients.mean = D::UploadSums(0.1 * at::randn({channels}, at::kDouble));
  coefficients.inverse_deviation = D::UploadSums(at::rand({channels}, at::kDouble) + 0.5);
  coefficients.gamma = D::UploadSums(at::randn({channels}, at::kDouble));
  coefficients.beta = D::UploadSums(at::randn({channels}, at::kDouble) - 1);  // some windows: none

  const Tensor y = D::Poisoned(pooled);
  const Tensor winner = at::full(pooled, 0xA5, at::dtype(at::kByte).device(at::kCUDA));
  Check(PoolNormApplyOnGpu<T>(D::Data(x_device), shape, coefficients.pointers(), D::Data(y),
                              winner.data_ptr<uint8_t>(), nullptr));
  const Tensor z = coefficients.Z(x);
  Tensor padded = at::full({shape.images, 2 * pooled_height + 1, 2 * pooled_width + 1, channels},
                           -std::numeric_limits<double>::infinity(), at::kDouble);
  padded.slice(1, 1, 1 + shape.height).slice(2, 1, 1 + shape.width).copy_(z);
  std::vector<Tensor> elements;
  for (int64_t k = 0; k < 9; ++k) {
    elements.push_back(WindowElement(padded, k, pooled_height, pooled_width));
  }
  elements.push_back(at::zeros(pooled, at::kDouble));  // kNoWinner
  const Tensor candidates = at::stack(elements);       // [10, N, H / 2, W / 2, C]
  const Tensor expected = std::get<0>(candidates.max(0));
  tally.Add(name + " y", Error(y, expected), Kind<T>::kTolerance);
  const Tensor winners = winner.cpu().to(at::kLong);
  tally.AddExact(name + " winner in range", winners.max().item<int64_t>() <= kNoWinner);
  const Tensor won = candidates.gather(0, winners.clamp_max(kNoWinner).unsqueeze(0)).squeeze(0);
  tally.Add(name + " winner's value", (won - expected).abs().max().item<double>(),
            sizeof(NormAccumulate<T>) == sizeof(float) ? 1e-5 : 1e-12);

  const Tensor dy = D::Upload(at::randn(pooled, at::kDouble) + 0.1);
  Tensor dgamma[2], dbeta[2];
  for (int run : {0, 1}) {
    dgamma[run] = D::PoisonedSums(channels);
    dbeta[run] = D::PoisonedSums(channels);
    Check(PoolNormBackwardSumsOnGpu<T>(D::Data(dy), winner.data_ptr<uint8_t>(), D::Data(x_device),
                                       shape, coefficients.pointers(), D::Sums(dgamma[run]),
                                       D::Sums(dbeta[run]), scratch.data_ptr(), nullptr));
  }
  tally.AddExact(name + " sums, twice the same bits",
                 at::equal(dgamma[0], dgamma[1]) && at::equal(dbeta[0], dbeta[1]));
  Tensor padded_dz = at::zeros_like(padded);
  for (int64_t k = 0; k < 9; ++k) {
    WindowElement(padded_dz, k, pooled_height, pooled_width)
        .add_(at::where(winners == k, D::Reference(dy), 0.0));
  }
  const Tensor dz = padded_dz.slice(1, 1, 1 + shape.height).slice(2, 1, 1 + shape.width);
  const double sum_tolerance = sizeof(NormAccumulate<T>) == sizeof(float) ? 5e-6 : 1e-12;
  const Tensor products = dz * coefficients.Xhat(x);
  tally.Add(name + " dbeta", Error(dbeta[0], dz.sum({0, 1, 2}), dz.norm().item<double>()),
            sum_tolerance);
  tally.Add(name + " dgamma",
            Error(dgamma[0], products.sum({0, 1, 2}), products.norm().item<double>()),
            sum_tolerance);

  const Tensor scale =
      D::Reference(coefficients.gamma) * D::Reference(coefficients.inverse_deviation);
  const auto rows = static_cast<double>(shape.images * shape.height * shape.width);
  for (bool frozen : {false, true}) {
    const Tensor dx = D::Poisoned(full);
    Check(PoolNormBackwardApplyOnGpu<T>(
        D::Data(dy), winner.data_ptr<uint8_t>(), D::Data(x_device), shape, coefficients.pointers(),
        frozen ? nullptr : D::Sums(dgamma[0]), frozen ? nullptr : D::Sums(dbeta[0]), D::Data(dx),
        nullptr));
    Tensor inner = dz;
    if (!frozen) {
      inner = dz - D::Reference(dbeta[0]) / rows -
              coefficients.Xhat(x) * (D::Reference(dgamma[0]) / rows);
    }
    tally.Add(name + (frozen ? " frozen dx" : " dx"),
              Error(dx, inner * scale, (dz * scale).norm().template item<double>()),
              Kind<T>::kTolerance);
  }
  tally.EndGroup(name);
}

template <typename T>
void CheckAll(ErrorTally& tally, bool quick) {
  // One for all, as a network's layers share it.
  const Tensor scratch = at::zeros({static_cast<int64_t>(NormGpuScratchBytes(2048))},
                                   at::dtype(at::kByte).device(at::kCUDA));
  const std::vector<int64_t> channels = {16, 48, 64, 80, 128, 256, 512, 1024, 2048};
  for (int64_t count : channels) {
    for (int64_t rows : {1, 7, 49, 1023}) NormCheck<T>(tally, rows, count, 0, scratch).Run();
  }
  NormCheck<T>(tally, 12545, 64, 0, scratch).Run();
  NormCheck<T>(tally, 12545, 64, 100, scratch).Run();
  NormCheck<T>(tally, 3137, 512, -100, scratch).Run();
  if (!quick) {
    NormCheck<T>(tally, 12545, 256, 0, scratch).Run();
    NormCheck<T>(tally, 6273, 2048, 0, scratch).Run();
    NormCheck<T>(tally, 200705, 64, 0, scratch).Run();  // several rounds of every thread
  }
  CheckPool<T>(tally, {1, 1, 1, 16}, scratch);
  CheckPool<T>(tally, {3, 8, 8, 64}, scratch);
  CheckPool<T>(tally, {2, 7, 9, 48}, scratch);
  CheckPool<T>(tally, {5, 56, 33, 128}, scratch);
  if (!quick) CheckPool<T>(tally, {8, 112, 112, 64}, scratch);
}

// What the headers refuse.
void CheckRefusals(ErrorTally& tally) {
  const NormCoefficients<float> none;
  tally.AddExact("channels that are no multiple of 16 are refused",
                 NormApplyOnGpu<float>(nullptr, nullptr, {4, 24}, none, false, nullptr, nullptr,
                                       nullptr) == cudaErrorInvalidValue);
  tally.AddExact("statistics of nothing are refused",
                 NormStatisticsOnGpu<float>(nullptr, {0, 16}, 0, {}, nullptr, nullptr, nullptr,
                                            nullptr) == cudaErrorInvalidValue);
  tally.EndGroup("refusals");
}

}  // namespace
}  // namespace mead::train

int main(int argc, char** argv) {
  const bool quick = argc > 1 && std::string(argv[1]) == "--quick";
  mead::train::ErrorTally tally;
  return mead::train::RunOnGpu(tally, [&] {
    at::manual_seed(1);
    mead::train::CheckRefusals(tally);
    mead::train::CheckAll<float>(tally, quick);
    mead::train::CheckAll<c10::BFloat16>(tally, quick);
    mead::train::CheckAll<double>(tally, quick);
  });
}
