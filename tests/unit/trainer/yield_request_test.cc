#include "worker/trainer/yield_request.h"

#include <gtest/gtest.h>
#include <signal.h>

namespace mead::trainer {
namespace {

TEST(YieldRequestTest, SigtermIsTakenNoteOfWhileThereIsSomethingToSave) {
  YieldRequest::HandleSigterm();
  const YieldRequest::Scope training;
  EXPECT_FALSE(YieldRequest::asked());
  raise(SIGTERM);
  EXPECT_TRUE(YieldRequest::asked());
}

TEST(YieldRequestTest, ARequestEndsWithWhatItWasMadeIn) {
  YieldRequest::HandleSigterm();
  {
    const YieldRequest::Scope training;
    raise(SIGTERM);
  }
  const YieldRequest::Scope next;
  EXPECT_FALSE(YieldRequest::asked());
}

TEST(YieldRequestDeathTest, SigtermEndsAProcessThatHasNothingToSave) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(
      {
        YieldRequest::HandleSigterm();
        raise(SIGTERM);
      },
      testing::ExitedWithCode(128 + SIGTERM), "");
}

}  // namespace
}  // namespace mead::trainer
