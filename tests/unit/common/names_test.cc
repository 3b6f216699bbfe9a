#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <string>
#include <vector>

#include "common/ids.h"
#include "common/near_names.h"

namespace mead {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

const std::vector<std::string> kFields = {"batch_size", "epochs", "image_size", "model",
                                          "optimizer",  "phases", "schedule",   "seed"};

TEST(NearNames, FindsTypingMistakes) {
  EXPECT_THAT(NearNames("bacth_size", kFields), ElementsAre("batch_size"));
  EXPECT_THAT(NearNames("Epoch", kFields), ElementsAre("epochs"));
  EXPECT_THAT(NearNames("optimiser", kFields), ElementsAre("optimizer"));
  EXPECT_THAT(NearNames("sched", kFields), ElementsAre("schedule", "seed"));
}

TEST(NearNames, OffersNothingFarFetched) {
  EXPECT_THAT(NearNames("lr", kFields), IsEmpty());
  EXPECT_THAT(NearNames("", kFields), IsEmpty());
  EXPECT_THAT(NearNames("weights_artifact", kFields), IsEmpty());
}

TEST(NearNames, PutsThemIntoWords) {
  const std::vector<std::string> names = {"kvasir-v1", "kvasir-v2", "cifar"};
  EXPECT_EQ(DidYouMean("kvasir-v3", names), "; did you mean kvasir-v1 or kvasir-v2?");
  EXPECT_EQ(DidYouMean("imagenet", names), "");
}

TEST(Ids, AreOfTheAlphabetAndDiffer) {
  std::set<std::string> seen;
  for (int i = 0; i < 1000; ++i) {
    const std::string id = RandomId("sweep-", 10);
    ASSERT_EQ(id.size(), 16u);
    ASSERT_EQ(id.substr(0, 6), "sweep-");
    ASSERT_EQ(id.find_first_not_of("0123456789abcdefghjkmnpqrstvwxyz", 6), std::string::npos) << id;
    ASSERT_TRUE(seen.insert(id).second) << id << " came twice";
  }
}

}  // namespace
}  // namespace mead
