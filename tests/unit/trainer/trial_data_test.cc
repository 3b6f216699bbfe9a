#include "worker/trainer/trial_data.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <string>

#include "common/dataset/build.h"
#include "common/dataset/folds.h"
#include "common/files.h"
#include "common/sha256.h"
#include "tests/support/temp_dir.h"
#include "tests/unit/dataset/pictures.h"
#include "worker/train/errors.h"

namespace mead::trainer {
namespace {

using ::testing::Each;
using ::testing::HasSubstr;

constexpr int kBatch = 8;

// A data set on the disk, as an agent has fetched it.
class TrialDataTest : public ::testing::Test {
 protected:
  void SetUp() override {
    for (uint64_t i = 0; i < 20; ++i) {
      const std::string name = std::to_string(i) + ".jpg";
      dataset::Put(dir_.path() / "in/round" / name, dataset::Jpeg(40, 40, i));
      dataset::Put(dir_.path() / "in/flat" / name, dataset::Jpeg(50, 40, 100 + i));
    }
    dataset::BuildOptions build;
    build.name = "set";
    build.path = dir_.Join("in");
    build.out_dir = dir_.Join("out");
    manifest_ = dataset::BuildDataset(build).value();
    ASSERT_TRUE(WriteFileAtomically(dir_.Join("manifest.json"), manifest_.ToJson()).ok());
  }

  // As rank `rank` of a gang of two.
  v1::Prepare PrepareOf(int rank) const {
    v1::Prepare prepare;
    prepare.set_rank(rank);
    prepare.set_world_size(2);
    prepare.set_device("cpu");
    prepare.set_threads(1);
    prepare.set_manifest_path(dir_.Join("manifest.json"));
    for (size_t i = 0; i < manifest_.shards.size(); ++i) {
      prepare.add_shard_paths(dir_.Join("out/" + dataset::ShardFileName(manifest_, i)));
    }
    prepare.mutable_config()->set_batch_size(kBatch);
    return prepare;
  }

  testing::TempDir dir_;
  dataset::Manifest manifest_;
};

TEST_F(TrialDataTest, TwoRanksTogetherSeeEveryTrainingPictureOnce) {
  std::multiset<uint64_t> seen;
  for (const int rank : {0, 1}) {
    const v1::Prepare prepare = PrepareOf(rank);
    TrialData data(prepare);
    EXPECT_EQ(data.manifest_digest(), DigestOf(manifest_.ToJson()));
    data.Open(32);
    const EpochPlan plan = data.plans().Training(1);
    data.StartTraining(1, plan, /*mixes=*/false);
    for (uint64_t step = 0; step < plan.steps(); ++step) {
      const TrialData::Step next = data.NextTraining();
      EXPECT_EQ(next.mix, nullptr);
      EXPECT_EQ(next.pictures, next.batch.size);
      EXPECT_EQ(next.batch.pixels.size(), size_t{3} * 32 * 32 * next.batch.labels.size());
      seen.insert(next.batch.indices.begin(), next.batch.indices.end());
    }
  }
  EXPECT_EQ(seen.size(), manifest_.Count(dataset::Split::kTrain));
  EXPECT_EQ(std::set<uint64_t>(seen.begin(), seen.end()).size(), seen.size());
}

TEST_F(TrialDataTest, AMixedStepHasAnothersPictureBehindItsOwnWhereOneIsNeeded) {
  v1::Prepare prepare = PrepareOf(0);
  prepare.mutable_config()->mutable_augment()->set_mixup(0.4);
  TrialData data(prepare);
  data.Open(32);
  const EpochPlan plan = data.plans().Training(1, /*first_step=*/1);  // as after a fault
  data.StartTraining(1, plan, /*mixes=*/true);
  for (uint64_t step = plan.first_step(); step < plan.steps(); ++step) {
    const TrialData::Step next = data.NextTraining();
    ASSERT_NE(next.mix, nullptr);
    EXPECT_EQ(next.mix->pictures, next.batch.size);
    EXPECT_EQ(next.mix->partners.size(), static_cast<size_t>(next.pictures));
    EXPECT_THAT(next.mix->partners, Each(::testing::Lt(next.batch.size)));
    const bool others = next.batch.size > next.pictures;
    EXPECT_EQ(others, static_cast<uint64_t>(next.pictures) < plan.BatchSize(step)) << step;
  }
}

TEST_F(TrialDataTest, AFoldIsTheDataSet) {
  v1::Prepare prepare = PrepareOf(1);
  v1::Fold& fold = *prepare.mutable_config()->mutable_fold();
  fold.set_index(2);
  fold.set_folds(3);
  TrialData data(prepare);
  const dataset::Manifest expected = dataset::ManifestOfFold(manifest_, 1, 3, 0).value();
  EXPECT_EQ(data.manifest().ToJson(), expected.ToJson());
  EXPECT_EQ(data.Count(dataset::Split::kVal),
            static_cast<int64_t>(expected.Count(dataset::Split::kVal)));
  EXPECT_EQ(data.manifest_digest(), DigestOf(manifest_.ToJson())) << "what was added stays known";
}

TEST_F(TrialDataTest, AnotherSizeIsReadAnew) {
  const v1::Prepare prepare = PrepareOf(0);
  TrialData data(prepare);
  for (const int size : {32, 24}) {
    data.Open(size);
    EXPECT_EQ(data.image_size(), size);
    data.StartEvaluation(1, data.plans().Evaluation());
    const data::Batch batch = data.NextEvaluation();
    const auto side = static_cast<size_t>(size);
    EXPECT_EQ(batch.pixels.size(), 3 * side * side * batch.labels.size());
  }
}

TEST_F(TrialDataTest, AMissingManifestIsNamed) {
  v1::Prepare prepare = PrepareOf(0);
  prepare.set_manifest_path(dir_.Join("none.json"));
  try {
    const TrialData data(prepare);
    FAIL();
  } catch (const train::TrainError& error) {
    EXPECT_THAT(error.what(), HasSubstr("none.json"));
  }
}

}  // namespace
}  // namespace mead::trainer
