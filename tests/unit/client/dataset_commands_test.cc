#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/dataset/manifest.h"
#include "tests/unit/client/fake_server.h"
#include "tests/unit/client/run_client.h"

namespace mead::client {
namespace {

using ::testing::HasSubstr;

class DatasetCommandsTest : public ::testing::Test {
 protected:
  DatasetCommandsTest() { home_.Set("MEAD_SERVER", server_.address()); }

  ClientResult Synth(const std::string& name) {
    return home_.Run({"dataset", "synth", name, "--images-per-class", "4", "--size", "32"});
  }

  FakeServer server_;
  ClientHome home_;
};

TEST_F(DatasetCommandsTest, SynthUploadsShardsAndManifest) {
  const ClientResult result = Synth("demo");
  ASSERT_EQ(result.exit_code, 0) << result.err;
  ASSERT_EQ(server_.state().created.size(), 1u);
  const auto& request = server_.state().created[0];
  EXPECT_EQ(request.name(), "demo");
  const auto manifest =
      dataset::Manifest::FromJson(server_.state().artifacts[request.manifest_digest()]);
  ASSERT_TRUE(manifest.ok()) << manifest.status();
  EXPECT_EQ(manifest->samples.size(), 32u);
  for (const auto& shard : manifest->shards) {
    EXPECT_EQ(server_.state().artifacts[shard.digest].size(), shard.bytes);
  }
  EXPECT_THAT(result.err, HasSubstr("upload  "));
  // Nothing is left in the cache.
  EXPECT_TRUE(std::filesystem::is_empty(home_.dir() / ".cache/mead"));
}

TEST_F(DatasetCommandsTest, AddingAgainSendsNothingAgain) {
  ASSERT_EQ(Synth("demo").exit_code, 0);
  const uint64_t before = server_.state().uploaded_bytes;
  ASSERT_EQ(Synth("demo").exit_code, 0);
  EXPECT_EQ(server_.state().uploaded_bytes, before);
  EXPECT_EQ(server_.state().created[0].manifest_digest(),
            server_.state().created[1].manifest_digest());
}

TEST_F(DatasetCommandsTest, AMissingPathIsWrongUsage) {
  const ClientResult result = home_.Run({"dataset", "add", "x", "/no/such/folder"});
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_THAT(result.err, HasSubstr("/no/such/folder"));
}

TEST_F(DatasetCommandsTest, ImportsWhatLiesOnTheServer) {
  EXPECT_EQ(home_.Run({"dataset", "add", "x", "/data", "--on-server", "-o", "name"}).out, "x\n");
  EXPECT_EQ(home_.Run({"dataset", "add", "x", "/missing", "--on-server"}).exit_code, 2);
}

TEST_F(DatasetCommandsTest, ListAndDescribeShowCountsAndWhatWasLeftOut) {
  mead::v1::Dataset dataset;
  dataset.set_name("kvasir");
  dataset.set_manifest_digest("sha256:ab");
  dataset.set_split_method("stratified");
  dataset.set_train_samples(6);
  dataset.set_val_samples(2);
  dataset.set_total_bytes(3 << 20);
  dataset.set_shards(2);
  dataset.mutable_create_time()->set_seconds(1767323045);
  for (const char* name : {"polyps", "normal-cecum"}) {
    auto* one = dataset.add_classes();
    one->set_name(name);
    one->set_train_samples(3);
    one->set_val_samples(1);
  }
  dataset.add_quarantined()->set_path("polyps/x.jpg");
  dataset.mutable_quarantined(0)->set_reason("empty file");
  server_.state().datasets = {dataset};
  EXPECT_EQ(home_.Run({"dataset", "list"}).out,
            "DATA SET  CLASSES  TRAIN  VALIDATION     SIZE  SPLIT       LEFT OUT  CREATED\n"
            "kvasir          2      6           2  3.0 MiB  stratified         1  2026-01-02 "
            "03:04:05\n");
  EXPECT_EQ(home_.Run({"dataset", "describe", "kvasir"}).out,
            "data set:  kvasir\n"
            "manifest:  sha256:ab\n"
            "split:     stratified\n"
            "size:      3.0 MiB in 2 shards\n"
            "created:   2026-01-02 03:04:05\n"
            "\n"
            "   CLASS         TRAIN  VALIDATION\n"
            "0  polyps            3           1\n"
            "1  normal-cecum      3           1\n"
            "   all               6           2\n"
            "\n"
            "LEFT OUT      WHY\n"
            "polyps/x.jpg  empty file\n");
  EXPECT_EQ(home_.Run({"dataset", "describe", "other"}).exit_code, 2);
}

TEST_F(DatasetCommandsTest, DescribeShowsNearDuplicatesAndTheRemedy) {
  mead::v1::Dataset dataset;
  dataset.set_name("kvasir");
  auto& leakage = *dataset.mutable_leakage();
  leakage.set_guarded(false);
  server_.state().datasets = {dataset};
  EXPECT_THAT(home_.Run({"dataset", "describe", "kvasir"}).out,
              HasSubstr("leakage:   not guarded (--no-leakage-guard)\n"));
  leakage.set_guarded(true);
  leakage.set_group_by("p([0-9]+)");
  server_.state().datasets = {dataset};
  EXPECT_THAT(home_.Run({"dataset", "describe", "kvasir"}).out,
              HasSubstr("leakage:   guarded: no near-duplicates; paths grouped by p([0-9]+)\n"));
  leakage.clear_group_by();
  leakage.set_groups(2);
  leakage.set_grouped_samples(5);
  leakage.set_straddling_groups(1);
  leakage.set_straddling_train_samples(1);
  leakage.set_straddling_val_samples(1);
  auto& straddling = *leakage.add_near_duplicates();
  straddling.add_train_paths("train/a.jpg");
  straddling.add_val_paths("test/b.jpg");
  auto& other = *leakage.add_near_duplicates();
  for (const char* path : {"train/c.jpg", "train/d.jpg", "train/e.jpg"}) {
    other.add_train_paths(path);
  }
  leakage.set_label_conflicts(1);
  auto& conflict = *leakage.add_conflicting();
  conflict.set_path("train/x/1.jpg");
  conflict.set_other_path("train/y/1.jpg");
  server_.state().datasets = {dataset};
  const ClientResult result = home_.Run({"dataset", "describe", "kvasir"});
  EXPECT_THAT(
      result.out,
      HasSubstr(
          "leakage:   guarded: 2 groups of 5 near-duplicates, 1 on both sides of the split\n"));
  EXPECT_THAT(result.out,
              HasSubstr("NEAR-DUPLICATES  TRAIN  VALIDATION  SUCH AS\n"
                        "              2      1           1  train/a.jpg, test/b.jpg\n"
                        "              3      3           0  train/c.jpg, train/d.jpg\n"));
  EXPECT_EQ(result.err,
            "mead: 1 group of near-duplicates on both sides of the given split (1 training, 1 "
            "validation images): scores will flatter\n"
            "  train/a.jpg and test/b.jpg\n"
            "  add it again under another name with --drop-straddling to leave those training "
            "images out\n"
            "mead: 1 image lies in two classes, byte for byte\n"
            "  train/x/1.jpg and train/y/1.jpg\n"
            "  remove the wrong one of each and add the data set again\n");
  EXPECT_THAT(home_.Run({"dataset", "describe", "kvasir", "-o", "json"}).out,
              HasSubstr("train/e.jpg"));
}

TEST_F(DatasetCommandsTest, VerifySaysWhetherAllIsSound) {
  EXPECT_EQ(home_.Run({"dataset", "verify", "kvasir"}).out,
            "data set kvasir is sound: 3 shards, 3.0 MiB, every SHA-256 as recorded\n");
  server_.state().failure = grpc::Status(grpc::StatusCode::DATA_LOSS, "shard 2 is damaged");
  const ClientResult damaged = home_.Run({"dataset", "verify", "kvasir"});
  EXPECT_EQ(damaged.exit_code, 1);
  EXPECT_EQ(damaged.err, "mead: shard 2 is damaged\n");
}

}  // namespace
}  // namespace mead::client
