#include "worker/train/image_size.h"

#include <gtest/gtest.h>

namespace mead::train {
namespace {

TEST(ImageSize, IsThePhasesOrTheTrials) {
  TrainOptions options;
  options.image_size = 224;
  EXPECT_EQ(LargestImageSize(options), 224);
  options.phases = {{.epochs = 1, .image_size = 128}, {.epochs = 1, .image_size = 192}};
  EXPECT_EQ(ImageSizeOf(options, options.phases[0]), 128);
  EXPECT_EQ(ImageSizeOfEpoch(options, 1), 128);
  EXPECT_EQ(ImageSizeOfEpoch(options, 3), 192) << "beyond the last phase";
  EXPECT_EQ(LargestImageSize(options), 192) << "no phase has the trial's";
  options.phases.push_back({.epochs = 1});
  EXPECT_EQ(LargestImageSize(options), 224);
}

}  // namespace
}  // namespace mead::train
