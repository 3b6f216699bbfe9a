#include "worker/train/steps_under_way.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "tests/unit/train/session_problem.h"
#include "worker/train/step.h"

namespace mead::train {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;

constexpr int kRanks = 3;
constexpr float kInfinity = std::numeric_limits<float>::infinity();

struct Figures {
  float loss = 4;  // of 8 pictures
  std::vector<int64_t> bad_ranks = {};
  bool diverged = false;

  at::Tensor Make() const {
    at::Tensor figures = at::zeros({StepFigures::Count(kRanks) + 1});
    figures[StepFigures::kLoss].fill_(loss);
    figures[StepFigures::kCorrect].fill_(5);
    for (const int64_t rank : bad_ranks) figures[StepFigures::kBadRanks + rank].fill_(1);
    figures[-1].fill_(diverged ? 1 : 0);
    return figures;
  }
};

// What waits for a step's end; nobody is lost.
class Ended : public Pending {
 public:
  void Wait() override {}
};

void Add(StepsUnderWay& steps, const Figures& figures, int64_t samples, double learning_rate) {
  steps.Add(HostCopy(figures.Make()), std::make_unique<Ended>(), samples, learning_rate);
}

std::string DivergenceOf(const Figures& figures) {
  StepsUnderWay steps(kRanks);
  Add(steps, figures, 8, 0.25);
  return ErrorOf(ErrorKind::kDiverged, [&] { steps.Finished(/*wait=*/true); });
}

TEST(StepsUnderWay, EndInTheOrderInWhichTheyBegan) {
  StepsUnderWay steps(kRanks);
  EXPECT_THAT(steps.Finished(/*wait=*/true), IsEmpty());
  for (int step = 0; step < 5; ++step) {
    EXPECT_EQ(steps.next_step(), step);
    steps.MakeRoom();
    Add(steps, Figures{.loss = static_cast<float>(step)}, 8, 0.5 * step);
  }
  const std::vector<StepResult> finished = steps.Finished(/*wait=*/true);
  ASSERT_THAT(finished, SizeIs(5));
  for (size_t step = 0; step < 5; ++step) {
    EXPECT_EQ(finished[step].loss, static_cast<double>(step) / 8);
    EXPECT_EQ(finished[step].correct, 5);
    EXPECT_EQ(finished[step].samples, 8);
    EXPECT_EQ(finished[step].learning_rate, 0.5 * static_cast<double>(step));
  }
  EXPECT_THAT(steps.Finished(/*wait=*/true), IsEmpty());
}

// The device's tensor is the next step's as well.
TEST(StepsUnderWay, KeepTheFiguresAsTheyWere) {
  StepsUnderWay steps(kRanks);
  const at::Tensor figures = Figures{.loss = 8}.Make();
  steps.Add(HostCopy(figures), std::make_unique<Ended>(), 8, 0);
  figures.fill_(kInfinity);
  EXPECT_EQ(steps.Finished(/*wait=*/true).at(0).loss, 1);
}

TEST(StepsUnderWay, TheOneThatDivergedIsTheNextAgainAndThoseAfterItAreForgotten) {
  StepsUnderWay steps(kRanks);
  steps.GoOnWith(10);
  Add(steps, Figures{}, 8, 0);
  Add(steps, Figures{.diverged = true}, 8, 0);
  steps.MakeRoom();
  Add(steps, Figures{.diverged = true}, 8, 0);
  EXPECT_THAT(ErrorOf(ErrorKind::kDiverged, [&] { steps.MakeRoom(); }), HasSubstr("at step 11 "));
  EXPECT_EQ(steps.next_step(), 11);
  EXPECT_THAT(steps.Finished(/*wait=*/true), SizeIs(1));  // the good one
}

TEST(StepsUnderWay, ADivergenceNamesTheRanksOfALossOrAGradient) {
  EXPECT_THAT(DivergenceOf({.loss = kInfinity, .bad_ranks = {1}, .diverged = true}),
              HasSubstr("the loss is inf (rank 1) at step 0 with learning rate 0.25"));
  EXPECT_THAT(DivergenceOf({.bad_ranks = {0, 2}, .diverged = true}),
              HasSubstr("the gradient of rank 0, 2 is not finite (the loss is 0.5"));
  // Every rank's gradient is finite, and their sum is not.
  EXPECT_THAT(
      DivergenceOf({.diverged = true}),
      AllOf(HasSubstr("the norm of the summed gradients is not finite"), Not(HasSubstr("rank"))));
}

TEST(StepsUnderWay, ForgottenOnesAreNotLookedAt) {
  StepsUnderWay steps(kRanks);
  Add(steps, Figures{.diverged = true}, 8, 0);
  steps.Forget();
  EXPECT_THAT(steps.Finished(/*wait=*/true), IsEmpty());
  EXPECT_EQ(steps.next_step(), 1);
  Add(steps, Figures{.diverged = true}, 8, 0);
  steps.GoOnWith(7);
  EXPECT_THAT(steps.Finished(/*wait=*/true), IsEmpty());
  EXPECT_EQ(steps.next_step(), 7);
}

}  // namespace
}  // namespace mead::train
