#include "worker/trainer/inference_speed.h"

#include <gtest/gtest.h>

#include <vector>

namespace mead::trainer {
namespace {

// A machine that decodes a picture in 0.125 s and answers for a batch in 0.5 s.
struct Machine {
  InferenceSteps Steps(double seconds) {
    return {.images = 3,
            .seconds = seconds,
            .now = [this] { return now; },
            .load =
                [this](size_t image, int place) {
                  now += 0.125;
                  loaded.push_back(image);
                  EXPECT_EQ(place, static_cast<int>((loaded.size() - 1) % 4));
                },
            .answer =
                [this](int n) {
                  now += 0.5;
                  EXPECT_EQ(n, 4);
                }};
  }
  double now = 100;
  std::vector<size_t> loaded;
};

TEST(InferenceSpeed, CountsDecodingInTheOneFigureAndNotInTheOther) {
  Machine machine;
  const InferenceSpeed speed = MeasureInference(machine.Steps(9.5), 4);
  EXPECT_DOUBLE_EQ(speed.decode_to_answer, 4);
  EXPECT_DOUBLE_EQ(speed.network, 8);
  EXPECT_EQ(speed.images, 40) << "ten batches of a second each";
  EXPECT_EQ(machine.loaded.size(), 44u) << "one batch goes before";
}

TEST(InferenceSpeed, UsesItsImagesInTurnAndMeasuresTwoBatchesAtLeast) {
  Machine machine;
  const InferenceSpeed speed = MeasureInference(machine.Steps(0), 4);
  EXPECT_EQ(speed.images, 8);
  EXPECT_EQ(machine.loaded, (std::vector<size_t>{0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 1, 2}));
}

}  // namespace
}  // namespace mead::trainer
