#include "common/dataset/manifest.h"

#include <gmock/gmock.h>

#include <nlohmann/json.hpp>

#include "common/sha256.h"

namespace mead::dataset {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

Manifest Small() {
  Manifest m;
  m.name = "small";
  m.classes = {"normal", "polyp \u00E9"};
  m.seed = 18446744073709551615u;
  m.split_method = "stratified";
  m.val_fraction = 0.2;
  m.shards = {{DigestOf("a"), 4096, Split::kTrain, 2}, {DigestOf("b"), 2048, Split::kVal, 1}};
  m.samples = {{"normal/1.jpg", 0, Split::kTrain, 0, 512, 100, DigestOf("1"), 10, 20},
               {"polyp/2.jpg", 1, Split::kTrain, 0, 1536, 90, DigestOf("2"), 30, 40},
               {"polyp/3.jpg", 1, Split::kVal, 1, 512, 1536, DigestOf("3"), 50, 60}};
  m.samples[0].group = m.samples[1].group = 1;
  m.quarantined = {{"polyp/4.txt", "not a JPEG, PNG, WebP or TIFF picture"}};
  m.leakage_guard = LeakageGuard::kOn;
  m.group_by = "/([0-9]+)";
  return m;
}

// FromJson's message after one value of the JSON was changed.
std::string AfterChange(const char* pointer, const nlohmann::json& value) {
  nlohmann::json json = nlohmann::json::parse(Small().ToJson());
  json[nlohmann::json::json_pointer(pointer)] = value;
  return std::string(Manifest::FromJson(json.dump()).status().message());
}

TEST(ManifestTest, SurvivesJson) {
  const absl::StatusOr<Manifest> back = Manifest::FromJson(Small().ToJson());
  ASSERT_TRUE(back.ok()) << back.status();
  EXPECT_EQ(*back, Small());
  EXPECT_EQ(back->ToJson(), Small().ToJson());
}

TEST(ManifestTest, OnesFromBeforeTheLeakageGuardAreRead) {
  nlohmann::json json = nlohmann::json::parse(Small().ToJson());
  json.erase("leakage_guard");
  json.erase("group_by");
  for (nlohmann::json& sample : json["samples"]) sample.erase("group");
  const Manifest old = Manifest::FromJson(json.dump()).value();
  EXPECT_EQ(old.leakage_guard, LeakageGuard::kUnknown);
  EXPECT_EQ(old.group_by, "");
  EXPECT_EQ(old.samples[0].group, 0u);
  EXPECT_EQ(old.ToJson(), json.dump());
}

TEST(ManifestTest, CountsPerSplitAndClass) {
  EXPECT_THAT(Small().SamplesOf(Split::kTrain), ElementsAre(0, 1));
  EXPECT_THAT(Small().SamplesOf(Split::kVal), ElementsAre(2));
  EXPECT_THAT(Small().ClassCounts(Split::kTrain), ElementsAre(1, 1));
  EXPECT_THAT(Small().ClassCounts(Split::kVal), ElementsAre(0, 1));
  EXPECT_EQ(Small().Count(Split::kTrain), 2u);
  EXPECT_EQ(Small().TotalBytes(), 6144u);
  EXPECT_EQ(ShardFileName(Small(), 1), "val-00001.tar");
}

TEST(ManifestTest, UnsoundOnesAreRefusedByName) {
  EXPECT_THAT(AfterChange("/samples/1/class", 2), HasSubstr("'polyp/2.jpg': class 2 of 2"));
  EXPECT_THAT(AfterChange("/samples/1/shard", 2), HasSubstr("shard 2 of 2"));
  EXPECT_THAT(AfterChange("/samples/1/shard", 1), HasSubstr("its shard is of another split"));
  EXPECT_THAT(AfterChange("/samples/2/offset", 513),
              HasSubstr("bytes 513+1536 of a shard of 2048"));
  EXPECT_THAT(AfterChange("/samples/2/offset", 18446744073709551615u), HasSubstr("bytes"));
  EXPECT_THAT(AfterChange("/samples/1/key", "normal/1.jpg"), HasSubstr("listed twice"));
  EXPECT_THAT(AfterChange("/shards/0/digest", "sha256:12"), HasSubstr("shard 0 has no digest"));
  EXPECT_THAT(AfterChange("/shards/0/num_samples", 3), HasSubstr("should hold 3 pictures, and 2"));
  EXPECT_THAT(AfterChange("/classes", {"one"}), HasSubstr("fewer than two classes"));
  EXPECT_THAT(AfterChange("/version", 9), HasSubstr("version 9, this program reads 1"));
  EXPECT_THAT(AfterChange("/format", "zip"), HasSubstr("not a mead-dataset file"));
  EXPECT_THAT(AfterChange("/split_method", "random"), HasSubstr("expected stratified or given"));
  EXPECT_THAT(AfterChange("/leakage_guard", "maybe"), HasSubstr("expected on or off"));
  EXPECT_FALSE(Manifest::FromJson("").ok());
  EXPECT_FALSE(Manifest::FromJson("[]").ok());
  EXPECT_FALSE(Manifest::FromJson("{").ok());
  EXPECT_FALSE(AfterChange("/samples/0/offset", "far").empty());
  EXPECT_FALSE(AfterChange("/samples/0/offset", -1).empty());
}

}  // namespace
}  // namespace mead::dataset
