#include "worker/train/micro_batch.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "worker/train/errors.h"

namespace mead::train {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

TrainOptions Options(int virtual_ranks = 0) {
  TrainOptions options;
  options.model = "resnet18";
  options.image_size = 64;
  options.batch_size = 32;
  options.virtual_ranks = virtual_ranks;
  return options;
}

// A memory that passes of that many pictures fit into.
struct Memory {
  int64_t fits;
  std::vector<int64_t> tried = {};

  void Try(int64_t pictures) {
    tried.push_back(pictures);
    if (pictures > fits) throw TrainError(ErrorKind::kOutOfMemory, "none left");
  }
};

TEST(FitMicroBatch, IsTheWholeShareWhereThatFits) {
  Memory memory{.fits = 32};
  EXPECT_EQ(FitMicroBatch(Options(), 0, 2, [&](int64_t n) { memory.Try(n); }), 0);
  EXPECT_THAT(memory.tried, ElementsAre(16));
}

TEST(FitMicroBatch, HalvesUntilAPassFits) {
  Memory memory{.fits = 5};
  EXPECT_EQ(FitMicroBatch(Options(), 0, 1, [&](int64_t n) { memory.Try(n); }), 4);
  EXPECT_THAT(memory.tried, ElementsAre(32, 16, 8, 4));
}

TEST(FitMicroBatch, BeginsWithWhatIsGiven) {
  Memory memory{.fits = 32};
  EXPECT_EQ(FitMicroBatch(Options(), 6, 1, [&](int64_t n) { memory.Try(n); }), 6);
  EXPECT_THAT(memory.tried, ElementsAre(6));
}

TEST(FitMicroBatch, SaysWhatToDoWhereNotEvenOnePictureFits) {
  Memory memory{.fits = 0};
  try {
    FitMicroBatch(Options(), 2, 1, [&](int64_t n) { memory.Try(n); });
    FAIL() << "no error";
  } catch (const TrainError& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kOutOfMemory);
    EXPECT_STREQ(error.what(),
                 "not even one picture goes into memory at 64 x 64 with resnet18; make image_size "
                 "smaller or take a smaller model (none left)");
  }
  EXPECT_THAT(memory.tried, ElementsAre(2, 1));
}

TEST(FitMicroBatch, DoesNotCutThePiecesOfVirtualRanks) {
  Memory memory{.fits = 4};
  try {
    FitMicroBatch(Options(4), 0, 2, [&](int64_t n) { memory.Try(n); });
    FAIL() << "no error";
  } catch (const TrainError& error) {
    EXPECT_THAT(error.what(), HasSubstr("the 8 pictures of a virtual rank do not go"));
    EXPECT_THAT(error.what(), HasSubstr("or more virtual_ranks"));
  }
  EXPECT_THAT(memory.tried, ElementsAre(8));
}

TEST(FitMicroBatch, LeavesOtherErrorsAlone) {
  const auto fails = [](int64_t) { throw TrainError(ErrorKind::kInternal, "broken"); };
  EXPECT_THROW(
      {
        try {
          FitMicroBatch(Options(), 0, 1, fails);
        } catch (const TrainError& error) {
          EXPECT_STREQ(error.what(), "broken");
          throw;
        }
      },
      TrainError);
}

}  // namespace
}  // namespace mead::train
