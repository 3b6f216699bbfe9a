// A made-up training for tests of worker/train/optim: parameters of a network's
// kinds, gradients that depend on the step alone, and an update rule written
// plainly, in double precision, to compare with.
#pragma once

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include "common/base/rng.h"
#include "worker/train/tensors.h"

namespace mead::train {

inline at::Tensor RandomTensor(at::IntArrayRef shape, uint64_t seed) {
  Rng rng(seed);
  at::Tensor tensor = at::empty(shape);
  auto* values = tensor.mutable_data_ptr<float>();
  for (int64_t i = 0; i < tensor.numel(); ++i) {
    values[i] = static_cast<float>(rng.Uniform(-1, 1));
  }
  // As the model keeps them.
  return shape.size() == 4 ? tensor.contiguous(at::MemoryFormat::ChannelsLast) : tensor;
}

struct Problem {
  std::vector<NamedTensor> body = {{"conv.weight", RandomTensor({4, 3, 3, 3}, 1)},
                                   {"bn.weight", RandomTensor({4}, 2)}};
  std::vector<NamedTensor> head = {{"fc.weight", RandomTensor({3, 4}, 3)},
                                   {"fc.bias", RandomTensor({3}, 4)}};

  std::vector<NamedTensor> All() const {
    std::vector<NamedTensor> all = body;
    all.insert(all.end(), head.begin(), head.end());
    return all;
  }

  void SetGradients(int step) {
    uint64_t seed = 100 * static_cast<uint64_t>(step + 1);
    for (NamedTensor& parameter : All()) {
      parameter.tensor.mutable_grad() = RandomTensor(parameter.tensor.sizes(), seed++);
    }
  }
};

// In the order of the indices, whatever the strides.
inline std::vector<double> Values(const at::Tensor& tensor) {
  const at::Tensor flat = tensor.detach().to(at::kDouble).contiguous().view(-1);
  const auto* values = flat.const_data_ptr<double>();
  return {values, values + flat.numel()};
}

inline void ExpectNear(const std::vector<double>& values, const std::vector<double>& expected,
                       const std::string& what) {
  ASSERT_EQ(values.size(), expected.size()) << what;
  for (size_t i = 0; i < values.size(); ++i) {
    ASSERT_NEAR(values[i], expected[i], 2e-6 * (1 + std::abs(expected[i]))) << what << ' ' << i;
  }
}

inline double Norm(const std::vector<double>& values) {
  double sum = 0;
  for (const double value : values) sum += value * value;
  return std::sqrt(sum);
}

}  // namespace mead::train
