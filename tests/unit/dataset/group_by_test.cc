#include "common/dataset/group_by.h"

#include <gmock/gmock.h>

namespace mead::dataset {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::string Error(const std::string& pattern) {
  const std::vector<std::string> keys = {"polyp/p1-3.jpg"};
  return std::string(GroupByPattern(keys, pattern).status().message());
}

TEST(GroupByTest, EqualCapturesAreOneGroup) {
  const std::vector<std::string> keys = {"a/p1-1.jpg", "a/p2-1.jpg", "b/p1-2.jpg", "b/x.jpg"};
  EXPECT_THAT(GroupByPattern(keys, "/p([0-9]+)-").value(), ElementsAre(1, 2, 1, 0));
  EXPECT_THAT(GroupByPattern(keys, "^([^/]+)/").value(), ElementsAre(1, 1, 2, 2));
}

TEST(GroupByTest, PatternsThatCannotGroupAreErrorsThatShowAGoodOne) {
  EXPECT_THAT(Error("p([0-9"), HasSubstr("cannot be used"));
  EXPECT_THAT(Error("p[0-9]+"), HasSubstr("captures nothing"));
  EXPECT_THAT(Error("q([0-9]+)"), HasSubstr("matches no path, not even 'polyp/p1-3.jpg'"));
  EXPECT_THAT(Error("q([0-9]+)"), HasSubstr("such as 'patient-([0-9]+)'"));
}

}  // namespace
}  // namespace mead::dataset
