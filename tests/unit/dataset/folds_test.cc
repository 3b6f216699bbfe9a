#include "common/dataset/folds.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <set>
#include <string>

#include "absl/strings/str_cat.h"
#include "common/sha256.h"

namespace mead::dataset {
namespace {

using ::testing::HasSubstr;

// Two classes of 60 and 15 pictures; every third is in a group with the next one. Of each class the
// first fifth is evaluated.
Manifest MakeManifest(const std::string& split_method) {
  Manifest manifest;
  manifest.classes = {"many", "few"};
  manifest.split_method = split_method;
  manifest.shards.resize(2);
  manifest.shards[1].split = Split::kVal;
  for (uint32_t i = 0; i < 75; ++i) {
    Sample& sample = manifest.samples.emplace_back();
    sample.class_id = i < 60 ? 0 : 1;
    sample.key = absl::StrCat("patient-", i / 2, "/", i, ".png");
    sample.digest = DigestOf(sample.key);
    const uint32_t place = i < 60 ? i : i - 60;
    sample.split = place < (i < 60 ? 12u : 3u) ? Split::kVal : Split::kTrain;
    sample.shard = sample.split == Split::kVal ? 1 : 0;
    sample.group = i % 3 == 2 ? 0 : i / 3 + 1;
  }
  return manifest;
}

TEST(FoldsTest, EveryPictureIsEvaluatedInOneFoldAndTrainsInTheOthers) {
  const Manifest manifest = MakeManifest("stratified");
  std::map<std::string, int> evaluated;
  for (uint32_t fold = 0; fold < 5; ++fold) {
    const Manifest seen = ManifestOfFold(manifest, fold, 5, 0).value();
    ASSERT_EQ(seen.samples.size(), 75u);
    EXPECT_EQ(seen.shards, manifest.shards);
    EXPECT_NEAR(static_cast<double>(seen.ClassCounts(Split::kVal)[0]), 12, 1);
    EXPECT_NEAR(static_cast<double>(seen.ClassCounts(Split::kVal)[1]), 3, 1);
    for (const uint32_t i : seen.SamplesOf(Split::kVal)) ++evaluated[seen.samples[i].key];
  }
  EXPECT_EQ(evaluated.size(), 75u);
  for (const auto& [key, times] : evaluated) EXPECT_EQ(times, 1) << key;
}

TEST(FoldsTest, AGivenTestSetIsInNoFold) {
  const Manifest manifest = MakeManifest("given");
  const std::vector<uint32_t> fold_of = FoldsOfSamples(manifest, 4, 0).value();
  for (size_t i = 0; i < fold_of.size(); ++i) {
    EXPECT_EQ(fold_of[i] == kNoFold, manifest.samples[i].split == Split::kVal);
  }
  const Manifest seen = ManifestOfFold(manifest, 3, 4, 0).value();
  EXPECT_EQ(seen.samples.size(), 60u);
  for (const Sample& sample : seen.samples) EXPECT_EQ(sample.shard, 0u);
}

TEST(FoldsTest, NearDuplicatesStayTogether) {
  const Manifest manifest = MakeManifest("stratified");
  const std::vector<uint32_t> fold_of = FoldsOfSamples(manifest, 5, 1).value();
  std::map<uint32_t, std::set<uint32_t>> folds_of_group;
  for (size_t i = 0; i < fold_of.size(); ++i) {
    if (manifest.samples[i].group != 0) {
      folds_of_group[manifest.samples[i].group].insert(fold_of[i]);
    }
  }
  for (const auto& [group, folds] : folds_of_group) EXPECT_EQ(folds.size(), 1u) << group;
}

TEST(FoldsTest, WhatThePathsGroupStaysTogether) {
  Manifest manifest = MakeManifest("stratified");
  const auto torn = [&manifest] {
    const std::vector<uint32_t> fold_of = FoldsOfSamples(manifest, 5, 1).value();
    int count = 0;
    for (size_t i = 0; i + 1 < 75; i += 2) count += fold_of[i] != fold_of[i + 1];
    return count;
  };
  EXPECT_GT(torn(), 0);
  manifest.group_by = "(patient-[0-9]+)/";
  EXPECT_EQ(torn(), 0);
}

TEST(FoldsTest, TheDivisionFollowsFromTheSeed) {
  const Manifest manifest = MakeManifest("stratified");
  EXPECT_EQ(FoldsOfSamples(manifest, 5, 1).value(), FoldsOfSamples(manifest, 5, 1).value());
  EXPECT_NE(FoldsOfSamples(manifest, 5, 1).value(), FoldsOfSamples(manifest, 5, 2).value());
}

TEST(FoldsTest, WhatCannotBeDividedSaysWhy) {
  Manifest manifest = MakeManifest("stratified");
  EXPECT_THAT(FoldsOfSamples(manifest, 1, 0).status().message(), HasSubstr("expected 2 to 20"));
  EXPECT_THAT(FoldsOfSamples(manifest, 21, 0).status().message(), HasSubstr("expected 2 to 20"));
  EXPECT_THAT(ManifestOfFold(manifest, 5, 5, 0).status().message(), HasSubstr("no fold 6 of 5"));
  manifest.samples.resize(4);
  EXPECT_THAT(FoldsOfSamples(manifest, 5, 0).status().message(), HasSubstr("may be apart"));
}

TEST(FoldsTest, EachFoldHasANameOfItsOwn) {
  const std::set<std::string> names = {
      FoldDigest("sha256:a", 0, 5, 0), FoldDigest("sha256:a", 1, 5, 0),
      FoldDigest("sha256:a", 0, 6, 0), FoldDigest("sha256:a", 0, 5, 1),
      FoldDigest("sha256:b", 0, 5, 0)};
  EXPECT_EQ(names.size(), 5u);
}

}  // namespace
}  // namespace mead::dataset
