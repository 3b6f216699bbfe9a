#include "common/results/predictions.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <string>

#include "common/results/tensor_file.h"

namespace mead::results {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

Predictions Example() {
  return {.trial_id = "abc-0",
          .epoch = 3,
          .manifest_digest = "sha256:00",
          .classes = {"polyp \"flat\"", "normal-caecum", "caf\xC3\xA9"},
          .keys = {"polyp/1.jpg", "normal/<2>.png"},
          .truth = {0, 2},
          .log_probabilities = {-0.1f, -3.0f, -3.1f, -0.5f, -2.0f, -1.3f}};
}

TEST(Predictions, ComeBackAsTheyWere) {
  const Predictions before = Example();
  const auto after = Predictions::FromBytes(before.ToBytes());
  ASSERT_TRUE(after.ok()) << after.status();
  EXPECT_EQ(*after, before);
}

TEST(Predictions, OfAnEmptySplitComeBackToo) {
  Predictions before = Example();
  before.keys.clear();
  before.truth.clear();
  before.log_probabilities.clear();
  const auto after = Predictions::FromBytes(before.ToBytes());
  ASSERT_TRUE(after.ok()) << after.status();
  EXPECT_EQ(*after, before);
}

TEST(Predictions, EveryCutFileIsAnErrorAndNoneIsReadBeyondItsEnd) {
  const std::string bytes = Example().ToBytes();
  for (size_t n = 0; n < bytes.size(); ++n) {
    const std::string cut = bytes.substr(0, n);
    EXPECT_TRUE(absl::IsInvalidArgument(Predictions::FromBytes(cut).status())) << n << " bytes";
  }
}

TEST(Predictions, AClassThatDoesNotExistIsAnError) {
  Predictions bad = Example();
  bad.truth[1] = 3;
  EXPECT_THAT(std::string(Predictions::FromBytes(bad.ToBytes()).status().message()),
              HasSubstr("class 3 of 3"));
}

TEST(Predictions, AnyOtherTensorFileIsRefusedInWords) {
  const std::string other = MakeHeader({}, {{"model", "resnet18"}});
  EXPECT_THAT(std::string(Predictions::FromBytes(other).status().message()),
              HasSubstr("version '', expected 1"));
}

TEST(Predictions, AClassIsFoundByNameOrTheNamesAreListed) {
  EXPECT_EQ(*Example().ClassId("normal-caecum"), 1);
  const auto missing = Example().ClassId("polyps");
  EXPECT_TRUE(absl::IsNotFound(missing.status()));
  EXPECT_THAT(std::string(missing.status().message()), HasSubstr("normal-caecum"));
}

TEST(TopLosses, ComeLargestFirstAndTiesInOrder) {
  Predictions p = Example();
  p.truth = {0, 0, 1, 1, 0};
  p.keys.resize(5);
  p.classes.resize(2);
  p.log_probabilities = {-0.1f, -2.3f, -1.5f, -0.2f, -1.0f, -1.5f, -3.0f, -0.1f, -1.5f, -0.2f};
  EXPECT_THAT(TopLosses(p.scores(), 10), ElementsAre(1, 2, 4, 0, 3));
  EXPECT_THAT(TopLosses(p.scores(), 2), ElementsAre(1, 2));
  EXPECT_THAT(TopLosses(p.scores(), 0), IsEmpty());
}

TEST(TopLosses, WhatIsNotANumberIsTheLargest) {
  Predictions p = Example();
  p.log_probabilities[5] = NAN;
  EXPECT_THAT(TopLosses(p.scores(), 2), ElementsAre(1, 0));
}

}  // namespace
}  // namespace mead::results
