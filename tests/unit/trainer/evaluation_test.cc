#include "worker/trainer/evaluation.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "tests/unit/trainer/example_manifest.h"
#include "worker/train/errors.h"

namespace mead::trainer {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class EvaluationTest : public ::testing::Test {
 protected:
  // Picture `index`, predicted as `predicted`.
  void Add(uint64_t index, int32_t label, int32_t predicted, double loss) {
    const train::EvalResult result{
        .predicted = {predicted}, .log_probabilities = {-0.5f, -0.9f}, .loss_sum = loss};
    evaluation_.Add(std::vector{label}, std::vector{index}, result);
  }
  std::string ErrorOfJoin() {
    try {
      evaluation_.Join(*alone_);
    } catch (const train::TrainError& error) {
      return error.what();
    }
    return "";
  }

  const std::shared_ptr<train::Communicator> alone_ = train::MakeCommunicator({}, nullptr);
  Evaluation evaluation_{ExampleManifest()};
};

TEST_F(EvaluationTest, CountsEveryPictureAndMeansTheLoss) {
  for (int epoch = 0; epoch < 2; ++epoch) {  // nothing is left of the first
    evaluation_.Start();
    Add(0, 0, 0, 1);
    Add(2, 1, 0, 2);
    Add(1, 1, 1, 6);
    EXPECT_EQ(ErrorOfJoin(), "");
    EXPECT_THAT(evaluation_.confusion().counts(), ElementsAre(1, 0, 1, 1));
    EXPECT_EQ(evaluation_.loss(), 3);
  }
}

TEST_F(EvaluationTest, SharesThatDoNotAddUpAreErrors) {
  evaluation_.Start();
  Add(0, 0, 0, 1);
  EXPECT_THAT(ErrorOfJoin(), HasSubstr("do not add up to the validation split"));
  evaluation_.Start();
  Add(0, 0, 0, 1);
  Add(0, 0, 0, 1);
  Add(1, 1, 1, 1);
  EXPECT_NE(ErrorOfJoin(), "");  // three pictures, but not these three
}

TEST_F(EvaluationTest, AClassThatDoesNotExistIsAnError) {
  evaluation_.Start();
  EXPECT_THROW(Add(0, 0, 2, 1), train::TrainError);
}

}  // namespace
}  // namespace mead::trainer
