// SGD's kernels against LibTorch's fused operator and against double precision.
#include "worker/train/optim/sgd_update.h"

#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

#include "tests/unit/train/guarded.h"
#include "tests/unit/train/optim_problem.h"
#include "worker/train/optim/sgd_cpu.h"

namespace mead::train {
namespace {

std::vector<SgdSettings> AllSettings() {
  std::vector<SgdSettings> all;
  for (const double weight_decay : {0.0, 1e-2}) {
    for (const double momentum : {0.0, 0.9}) {
      for (const bool nesterov : {false, true}) {
        all.push_back({.weight_decay = weight_decay, .momentum = momentum, .nesterov = nesterov});
      }
    }
  }
  return all;
}

std::string Describe(const SgdSettings& settings) {
  return "weight decay " + std::to_string(settings.weight_decay) + ", momentum " +
         std::to_string(settings.momentum) + (settings.nesterov ? ", Nesterov's" : "");
}

// Parameters of these sizes, every other one with a copy.
UpdateGroup MakeGroup(const std::vector<int64_t>& sizes) {
  UpdateGroup group;
  group.state.resize(1);
  uint64_t seed = 1;
  for (const int64_t size : sizes) {
    group.parameters.push_back(RandomTensor({size}, seed++));
    group.gradients.push_back(RandomTensor({size}, seed++));
    group.state[0].push_back(RandomTensor({size}, seed++));
    group.copies.push_back(seed % 2 == 0 ? group.parameters.back().to(at::kBFloat16)
                                         : at::Tensor());
  }
  group.rate = at::full({}, 0.037);
  return group;
}

// Many steps of both; both then have weights, momentum and copies to compare.
struct Race {
  Race(const std::vector<int64_t>& sizes, const SgdSettings& settings, int steps)
      : ours(MakeGroup(sizes)), theirs(MakeGroup(sizes)) {
    const bool momentum = settings.momentum != 0;
    for (int step = 0; step < steps; ++step) {
      SgdUpdate(ours, ours.gradients, ours.rate, settings);
      at::_fused_sgd_(theirs.parameters, theirs.gradients,
                      momentum ? at::TensorList(theirs.state[0]) : at::TensorList(),
                      settings.weight_decay, settings.momentum, theirs.rate, /*dampening=*/0,
                      momentum && settings.nesterov, /*maximize=*/false, /*is_first_step=*/false);
    }
  }
  UpdateGroup ours, theirs;
};

// This program also runs with LibTorch forced down (see CMakeLists.txt).
TEST(SgdUpdate, GivesTheBitsOfLibTorchsWhereVectorsAreFull) {
  for (const SgdSettings& settings : AllSettings()) {
    const Race race({16, 4096, 100000, 48}, settings, 10);
    for (size_t i = 0; i < race.ours.parameters.size(); ++i) {
      EXPECT_TRUE(at::equal(race.ours.parameters[i], race.theirs.parameters[i]))
          << Describe(settings) << ", parameter " << i;
      EXPECT_TRUE(at::equal(race.ours.state[0][i], race.theirs.state[0][i]))
          << Describe(settings) << ", momentum " << i;
    }
  }
}

// at::_fused_sgd_ fuses the momentum's decay into the addition in its last elements
// alone: half a unit in the last place of the larger term.
TEST(SgdUpdate, DiffersFromLibTorchsInTheLastElementsByAUnitInTheLastPlace) {
  for (const SgdSettings& settings : AllSettings()) {
    const Race race({1, 7, 15, 33, 1001}, settings, 1);
    for (size_t i = 0; i < race.ours.parameters.size(); ++i) {
      EXPECT_TRUE(at::allclose(race.ours.parameters[i], race.theirs.parameters[i], /*rtol=*/0,
                               /*atol=*/1.2e-7))
          << Describe(settings) << ", parameter " << i;
      EXPECT_TRUE(at::allclose(race.ours.state[0][i], race.theirs.state[0][i], /*rtol=*/0,
                               /*atol=*/1.2e-7))
          << Describe(settings) << ", momentum " << i;
    }
  }
}

TEST(SgdUpdate, WritesCopiesAsACastWould) {
  for (const SgdSettings& settings : AllSettings()) {
    const UpdateGroup group = Race({1, 16, 33, 100000, 7, 4096}, settings, 3).ours;
    for (size_t i = 0; i < group.parameters.size(); ++i) {
      if (!group.copies[i].defined()) continue;
      EXPECT_TRUE(at::equal(group.copies[i], group.parameters[i].to(at::kBFloat16)))
          << Describe(settings) << ", parameter " << i;
    }
  }
}

TEST(SgdUpdate, WithoutARateStepsByWhatItIsGiven) {
  UpdateGroup group = MakeGroup({16});
  const at::Tensor expected = group.parameters[0] - group.gradients[0];
  SgdUpdate(group, group.gradients, /*rate=*/{}, /*settings=*/{});
  EXPECT_TRUE(at::equal(group.parameters[0], expected));
}

TEST(SgdUpdate, RefusesTensorsOfAnotherLayoutOrType) {
  UpdateGroup group = MakeGroup({16});
  EXPECT_THROW(SgdUpdate(group, {at::zeros({4, 4})}, group.rate, {}), TrainError);
  EXPECT_THROW(SgdUpdate(group, {at::zeros({16}, at::kDouble)}, group.rate, {}), TrainError);
  EXPECT_THROW(SgdUpdate(group, {at::zeros({32}).slice(0, 0, 32, 2)}, group.rate, {}), TrainError);
}

// Every instruction set that runs here, at every length around a vector's.
TEST(SgdIsa, FollowsTheEquationsAndWritesNothingElse) {
  constexpr float kRate = 0.25F;
  for (const CpuIsa isa : kCpuIsas) {
    if (!CpuHas(isa)) continue;
    const SgdCpuTable& kernels = TableOf(kSgdCpuTables, isa);
    for (const SgdSettings& settings : AllSettings()) {
      for (size_t size = 0; size <= 50; ++size) {
        SCOPED_TRACE(std::string(kernels.isa) + ", " + std::to_string(size) + " elements, " +
                     Describe(settings));
        Guarded<float> momentum(size), weight(size);
        Guarded<Bf16Storage> copy(size);
        std::vector<float> gradient(size), old_momentum(size), old_weight(size);
        Rng rng(size + 1);
        for (size_t i = 0; i < size; ++i) {
          gradient[i] = static_cast<float>(rng.Uniform(-1, 1));
          momentum.data()[i] = old_momentum[i] = static_cast<float>(rng.Uniform(-1, 1));
          weight.data()[i] = old_weight[i] = static_cast<float>(rng.Uniform(-1, 1));
        }
        const bool with_momentum = settings.momentum != 0;
        kernels.update({.gradient = gradient.data(),
                        .momentum = with_momentum ? momentum.data() : nullptr,
                        .weight = weight.data(),
                        .copy = copy.data(),
                        .size = static_cast<int64_t>(size)},
                       settings, kRate);
        for (size_t i = 0; i < size; ++i) {
          double step = gradient[i] + settings.weight_decay * static_cast<double>(old_weight[i]);
          double v = old_momentum[i];
          if (with_momentum) {
            v = settings.momentum * v + step;
            step = settings.nesterov ? step + settings.momentum * v : v;
          }
          EXPECT_NEAR(momentum[i], v, 3e-7);
          EXPECT_NEAR(weight[i], old_weight[i] - kRate * step, 3e-7);
          EXPECT_EQ(copy[i].bits, c10::BFloat16(weight[i]).x);
        }
        EXPECT_TRUE(momentum.untouched_around() && weight.untouched_around() &&
                    copy.untouched_around());
        if (HasFailure()) return;
      }
    }
  }
}

}  // namespace
}  // namespace mead::train
