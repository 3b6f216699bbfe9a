#include "coordinator/service/leakage_view.h"

#include <gmock/gmock.h>

#include "common/sha256.h"

namespace mead::service {
namespace {

using ::testing::ElementsAre;

TEST(LeakageViewTest, CountsAreKeptAndNamesAreAddedWhenAskedFor) {
  using dataset::Split;
  dataset::Manifest manifest;
  manifest.leakage_guard = dataset::LeakageGuard::kOn;
  manifest.group_by = "p([0-9])";
  const auto add = [&](const char* key, uint32_t class_id, Split split, uint32_t group,
                       const char* bytes) {
    manifest.samples.push_back({.key = key,
                                .class_id = class_id,
                                .split = split,
                                .digest = DigestOf(bytes),
                                .group = group});
  };
  add("train/a/1", 0, Split::kTrain, 1, "1");
  add("train/a/2", 0, Split::kTrain, 1, "2");
  add("test/a/3", 0, Split::kVal, 1, "3");
  add("train/a/4", 0, Split::kTrain, 2, "4");
  add("train/b/4", 1, Split::kTrain, 2, "4");
  v1::LeakageReport report = LeakageCounts(manifest);
  EXPECT_TRUE(report.guarded());
  EXPECT_EQ(report.group_by(), "p([0-9])");
  EXPECT_EQ(report.groups(), 2u);
  EXPECT_EQ(report.grouped_samples(), 5u);
  EXPECT_EQ(report.straddling_groups(), 1u);
  EXPECT_EQ(report.straddling_train_samples(), 2u);
  EXPECT_EQ(report.straddling_val_samples(), 1u);
  EXPECT_EQ(report.label_conflicts(), 1u);
  EXPECT_TRUE(report.near_duplicates().empty());
  AddLeakageNames(manifest, report);
  ASSERT_EQ(report.near_duplicates_size(), 2);
  EXPECT_THAT(report.near_duplicates(0).train_paths(), ElementsAre("train/a/1", "train/a/2"));
  EXPECT_THAT(report.near_duplicates(0).val_paths(), ElementsAre("test/a/3"));
  ASSERT_EQ(report.conflicting_size(), 1);
  EXPECT_EQ(report.conflicting(0).path(), "train/a/4");
  EXPECT_EQ(report.conflicting(0).other_path(), "train/b/4");
}

}  // namespace
}  // namespace mead::service
