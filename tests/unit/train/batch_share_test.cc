#include "worker/train/batch_share.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <string>

#include "common/base/epoch_plan.h"
#include "worker/train/errors.h"

namespace mead::train {
namespace {

using ::testing::HasSubstr;

TrainOptions Options(int batch_size, int virtual_ranks = 0) {
  TrainOptions options;
  options.num_classes = 3;
  options.batch_size = batch_size;
  options.virtual_ranks = virtual_ranks;
  return options;
}

// What f says is wrong; "" where nothing is.
std::string ComplaintOf(const std::function<void()>& f) {
  try {
    f();
  } catch (const TrainError& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kInternal);
    return error.what();
  }
  return "";
}

// As EpochPlan deals batches out.
TEST(LargestShare, IsThatOfThePlan) {
  for (const int virtual_ranks : {0, 4, 8}) {
    for (const int world_size : {1, 2, 4}) {
      for (int batch = 1; batch <= 40; ++batch) {
        SCOPED_TRACE(std::to_string(batch) + " to " + std::to_string(virtual_ranks) + " on " +
                     std::to_string(world_size));
        const int dealt_to = std::max(virtual_ranks, world_size);
        const EpochPlan plan({.num_samples = static_cast<uint64_t>(batch),
                              .seed = 5,
                              .batch_size = static_cast<uint64_t>(batch),
                              .world_size = static_cast<uint32_t>(dealt_to)});
        const int each_has = dealt_to / world_size;
        int64_t largest = 0;
        for (int rank = 0; rank < world_size; ++rank) {
          int64_t share = 0;
          for (int i = 0; i < each_has; ++i) {
            share += std::ssize(plan.Slice(0, static_cast<uint32_t>(rank * each_has + i)));
          }
          largest = std::max(largest, share);
        }
        const int64_t bound = LargestShare(Options(batch, virtual_ranks), world_size);
        EXPECT_GE(bound, largest);
        EXPECT_LE(bound, std::min<int64_t>(batch, largest + each_has));
        if (virtual_ranks == 0) {
          EXPECT_EQ(bound, largest);
        }
      }
    }
  }
}

TEST(CheckShare, SaysWhatCameWhereItIsNoShareOfTheBatch) {
  const TrainOptions options = Options(8);
  EXPECT_EQ(ComplaintOf([&] { CheckShare(options, 4, 8, 8); }), "");
  EXPECT_EQ(ComplaintOf([&] { CheckShare(options, 0, 8, 8); }), "");
  EXPECT_EQ(ComplaintOf([&] { CheckShare(options, 5, 4, 8); }),
            "a slice of 5 pictures of a global batch of 4");
  EXPECT_EQ(ComplaintOf([&] { CheckShare(options, 0, 0, 8); }),
            "a slice of 0 pictures of a global batch of 0");
  EXPECT_EQ(ComplaintOf([&] { CheckShare(options, 9, 9, 8); }),
            "a slice of 9 pictures, where a batch of 8 gives 8 at most");
}

TEST(CheckLabels, NamesTheFirstOutsideTheClasses) {
  const std::vector<int32_t> good = {0, 2, 1};
  const std::vector<int32_t> bad = {0, -1, 3};
  EXPECT_EQ(ComplaintOf([&] { CheckLabels(Options(8), good); }), "");
  EXPECT_EQ(ComplaintOf([&] { CheckLabels(Options(8), bad); }),
            "label -1 at place 1 of the batch is not in [0, 3)");
}

TEST(CheckMix, WantsAPartnerForEachPictureExactlyWhereTheOptionsMix) {
  TrainOptions options = Options(8);
  BatchMix mix;
  mix.partners = {1, 0};
  mix.pictures = 2;
  EXPECT_EQ(ComplaintOf([&] { CheckMix(options, 2, nullptr); }), "");
  EXPECT_THAT(ComplaintOf([&] { CheckMix(options, 2, &mix); }), HasSubstr("do not say"));
  options.mixes = true;
  EXPECT_EQ(ComplaintOf([&] { CheckMix(options, 2, &mix); }), "");
  EXPECT_THAT(ComplaintOf([&] { CheckMix(options, 2, nullptr); }), HasSubstr("came without"));
  EXPECT_THAT(ComplaintOf([&] { CheckMix(options, 3, &mix); }),
              HasSubstr("2 partners of 3 pictures, in a batch of 2"));
  mix.partners = {1, 2};
  EXPECT_THAT(ComplaintOf([&] { CheckMix(options, 2, &mix); }), HasSubstr("2 partners"));
}

TEST(PiecesOfShare, OfVirtualRanksMustBeWhatCame) {
  const TrainOptions options = Options(8, 4);
  const std::vector<Piece> pieces = PiecesOfShare(options, 0, 1, 2, 4, 8);
  ASSERT_EQ(pieces.size(), 2);
  EXPECT_EQ(pieces[1].begin + pieces[1].count, 4);
  EXPECT_EQ(ComplaintOf([&] { PiecesOfShare(options, 0, 1, 2, 3, 8); }),
            "this rank's virtual ranks have 4 pictures of the batch, 3 came");
}

TEST(PiecesOfShare, AreMicroBatchesWithoutVirtualRanks) {
  EXPECT_EQ(PiecesOfShare(Options(8), 0, 0, 1, 8, 8).size(), 1);
  EXPECT_EQ(PiecesOfShare(Options(8), 3, 0, 1, 8, 8).size(), 3);
}

}  // namespace
}  // namespace mead::train
