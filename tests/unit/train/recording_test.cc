#include "worker/train/recording.h"

#include <gtest/gtest.h>

namespace mead::train {
namespace {

constexpr RecordingSite kNcclGang{.gpu = true, .capturable = true};

TEST(Recording, GpusRecordWhatTheirGangsSumsAllow) {
  TrainOptions options;
  EXPECT_TRUE(RecordsSteps(options, kNcclGang));
  EXPECT_FALSE(RecordsSteps(options, {.gpu = true, .capturable = false}));
  EXPECT_FALSE(RecordsSteps(options, {.gpu = false, .capturable = true}));
}

TEST(Recording, SumsInAFixedOrderAndWhoDoesNotWantItRunStepByStep) {
  TrainOptions options;
  options.virtual_ranks = 4;
  EXPECT_FALSE(RecordsSteps(options, kNcclGang));
  options.virtual_ranks = 0;
  options.record_steps = false;
  EXPECT_FALSE(RecordsSteps(options, kNcclGang));
}

// 65 pictures on 2 ranks: 33 and 32. Both record, or neither.
TEST(Recording, OfWholeBatchesWhateverARanksShare) {
  TrainOptions options;
  options.batch_size = 65;
  EXPECT_TRUE(RecordsStepOf(options, 65));
  EXPECT_FALSE(RecordsStepOf(options, 64));
  EXPECT_FALSE(RecordsStepOf(options, 1));
}

}  // namespace
}  // namespace mead::train
