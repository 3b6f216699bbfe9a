#include "common/base/paired_test.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>

namespace mead {
namespace {

TEST(Student, HasTheQuantilesOfThePrintedTables) {
  EXPECT_NEAR(StudentQuantile(0.975, 1), 12.706204736, 1e-8);
  EXPECT_NEAR(StudentQuantile(0.975, 4), 2.776445105, 1e-9);
  EXPECT_NEAR(StudentQuantile(0.975, 9), 2.262157163, 1e-9);
  EXPECT_NEAR(StudentQuantile(0.025, 9), -2.262157163, 1e-9);
  EXPECT_EQ(StudentQuantile(0.5, 3), 0);
}

TEST(Student, WithOneDegreeIsCauchys) {
  for (const double t : {-30.0, -1.0, -0.01, 0.0, 0.5, 7.0}) {
    EXPECT_NEAR(StudentCdf(t, 1), 0.5 + std::atan(t) / M_PI, 1e-14) << t;
  }
}

TEST(PairedTest, OfScoresThatNeverDifferSaysNothing) {
  const PairedTest test = CorrectedPairedTest(std::array{0.0, 0.0, 0.0}, 0.5);
  EXPECT_EQ(test.difference, 0);
  EXPECT_EQ(test.p, 1);
  EXPECT_EQ(test.low, 0);
}

TEST(PairedTest, OfTheSameDifferenceInEveryFoldIsSure) {
  const PairedTest test = CorrectedPairedTest(std::array{-0.25, -0.25}, 1);
  EXPECT_EQ(test.difference, -0.25);
  EXPECT_EQ(test.t, -INFINITY);
  EXPECT_EQ(test.p, 0);
}

TEST(PairedTest, IsLessSureWhereTrainingSetsOverlap) {
  const std::array differences = {0.02, 0.01, 0.03, 0.00, 0.02};
  const PairedTest plain = CorrectedPairedTest(differences, 0);
  const PairedTest corrected = CorrectedPairedTest(differences, 0.25);
  EXPECT_NEAR(plain.t, 0.016 / std::sqrt(0.00013 / 5), 1e-12);
  EXPECT_NEAR(corrected.t, 0.016 / std::sqrt(0.00013 * (0.2 + 0.25)), 1e-12);
  EXPECT_LT(plain.p, 0.05);
  EXPECT_GT(corrected.p, 0.05);
  EXPECT_GT(plain.low, 0);
  EXPECT_LT(corrected.low, 0);
  EXPECT_NEAR(corrected.low + corrected.high, 2 * 0.016, 1e-12);
}

}  // namespace
}  // namespace mead
