#include "worker/trainer/sample_trace.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <vector>

#include "tests/support/temp_dir.h"

namespace mead::trainer {
namespace {

TEST(SampleTrace, WritesWhatWasFedOnlyWhereItIsAskedTo) {
  const testing::TempDir dir;
  const std::vector<uint64_t> samples = {7, 0, 3};
  setenv("MEAD_SAMPLE_TRACE", dir.Join("").c_str(), 1);
  {
    SampleTrace trace("s-0.1.0");
    trace.From(1, 4);
    trace.Fed(1, 4, samples);
    trace.Fed(1, 5, {});
  }
  unsetenv("MEAD_SAMPLE_TRACE");
  SampleTrace("other").Fed(1, 0, samples);
  EXPECT_EQ(ReadFile(dir.Join("s-0.1.0")).value(), "from 1 4\n1 4 7 0 3\n1 5\n");
  EXPECT_FALSE(ReadFile(dir.Join("other")).ok());
}

}  // namespace
}  // namespace mead::trainer
