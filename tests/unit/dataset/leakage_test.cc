#include "common/dataset/leakage.h"

#include <gmock/gmock.h>

#include "common/sha256.h"

namespace mead::dataset {
namespace {

using ::testing::ElementsAre;
using ::testing::Pair;

Sample Of(const std::string& key, uint32_t class_id, Split split, uint32_t group,
          const std::string& bytes) {
  return {
      .key = key, .class_id = class_id, .split = split, .digest = DigestOf(bytes), .group = group};
}

TEST(LeakageTest, StraddlingGroupsComeFirstThenLargeOnes) {
  Manifest m;
  m.samples = {Of("e", 0, Split::kTrain, 2, "1"), Of("a", 0, Split::kTrain, 2, "2"),
               Of("c", 0, Split::kTrain, 2, "3"), Of("d", 0, Split::kTrain, 1, "4"),
               Of("b", 1, Split::kVal, 1, "5"),   Of("f", 1, Split::kVal, 0, "6")};
  const std::vector<PictureGroup> groups = PictureGroups(m);
  ASSERT_EQ(groups.size(), 2u);
  EXPECT_TRUE(groups[0].straddles());
  EXPECT_THAT(groups[0].samples, ElementsAre(4, 3));
  EXPECT_EQ(groups[0].train, 1u);
  EXPECT_EQ(groups[0].val, 1u);
  EXPECT_FALSE(groups[1].straddles());
  EXPECT_THAT(groups[1].samples, ElementsAre(1, 2, 0));
}

TEST(LeakageTest, EqualFilesInTwoClassesAreNamedOnce) {
  Manifest m;
  m.samples = {Of("b", 1, Split::kTrain, 0, "x"), Of("a", 0, Split::kTrain, 0, "x"),
               Of("c", 1, Split::kTrain, 0, "x"), Of("d", 2, Split::kTrain, 0, "x"),
               Of("e", 2, Split::kTrain, 0, "y"), Of("f", 2, Split::kTrain, 0, "y")};
  EXPECT_THAT(LabelConflicts(m), ElementsAre(Pair(1, 0), Pair(1, 3)));
}

TEST(LeakageTest, NumbersAreCountedInOrderAndLonersHaveNone) {
  Manifest m;
  m.samples = {Of("a", 0, Split::kTrain, 7, "1"), Of("b", 0, Split::kTrain, 5, "2"),
               Of("c", 0, Split::kTrain, 9, "3"), Of("d", 0, Split::kTrain, 5, "4"),
               Of("e", 0, Split::kTrain, 0, "5"), Of("f", 0, Split::kTrain, 7, "6")};
  NumberGroups(m);
  std::vector<uint32_t> numbers;
  for (const Sample& sample : m.samples) numbers.push_back(sample.group);
  EXPECT_THAT(numbers, ElementsAre(1, 2, 0, 2, 0, 1));
}

}  // namespace
}  // namespace mead::dataset
