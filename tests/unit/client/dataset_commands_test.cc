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
