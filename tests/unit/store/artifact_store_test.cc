#include "coordinator/store/artifact_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "common/files.h"
#include "common/sha256.h"
#include "tests/support/temp_dir.h"

namespace mead::store {
namespace {

using ::testing::HasSubstr;

class ArtifactStoreTest : public ::testing::Test {
 protected:
  void SetUp() override { Reopen(); }
  void Reopen() {
    store_.reset();
    absl::StatusOr<std::unique_ptr<ArtifactStore>> store = ArtifactStore::Open(dir_.path() / "a");
    ASSERT_TRUE(store.ok()) << store.status();
    store_ = *std::move(store);
  }
  absl::Status UploadAll(const std::string& data, uint64_t offset = 0) {
    auto upload = store_->OpenUpload(DigestOf(data), data.size(), offset);
    if (!upload.ok()) return upload.status();
    const absl::Status status = (*upload)->Append(std::string_view(data).substr(offset));
    return status.ok() ? (*upload)->Finish() : status;
  }
  // Changes one byte of a stored file behind the store's back.
  void Damage(const std::string& digest) {
    const std::filesystem::path path = store_->PathOf(digest).value();
    std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(3);
    file.put('#');
    file.close();
    // Coarse file times must not hide it.
    std::filesystem::last_write_time(
        path, std::filesystem::last_write_time(path) + std::chrono::seconds(1));
  }

  const testing::TempDir dir_;
  std::unique_ptr<ArtifactStore> store_;
  const std::string data_ = std::string(3'000'000, 'x') + "end";
  const std::string digest_ = DigestOf(data_);
};

TEST_F(ArtifactStoreTest, AnUploadCanBeReadBackFromAnyOffset) {
  ASSERT_TRUE(UploadAll(data_).ok());
  EXPECT_TRUE(store_->Stat(digest_)->complete);
  EXPECT_EQ(store_->Stat(digest_)->stored_bytes, data_.size());
  EXPECT_EQ(store_->SizeOf(digest_).value(), data_.size());
  EXPECT_EQ(store_->Read(digest_, 0, 10'000'000).value(), data_);
  EXPECT_EQ(store_->Read(digest_, 3'000'000, 2).value(), "en");
  EXPECT_EQ(store_->Read(digest_, data_.size(), 100).value(), "");
  EXPECT_TRUE(absl::IsOutOfRange(store_->Read(digest_, data_.size() + 1, 1).status()));
  EXPECT_EQ(store_->List()->size(), 1u);
  EXPECT_EQ((*store_->List())[0].digest, digest_);
}

TEST_F(ArtifactStoreTest, AnInterruptedUploadGoesOnAfterARestart) {
  {
    auto upload = store_->OpenUpload(digest_, data_.size(), 0);
    ASSERT_TRUE(upload.ok()) << upload.status();
    ASSERT_TRUE((*upload)->Append(std::string_view(data_).substr(0, 1'000'000)).ok());
  }
  Reopen();
  ASSERT_FALSE(store_->Stat(digest_)->complete);
  ASSERT_EQ(store_->Stat(digest_)->stored_bytes, 1'000'000u);
  EXPECT_TRUE(absl::IsNotFound(store_->Read(digest_, 0, 1).status()));
  EXPECT_TRUE(absl::IsOutOfRange(store_->OpenUpload(digest_, data_.size(), 0).status()));
  ASSERT_TRUE(UploadAll(data_, 1'000'000).ok());
  EXPECT_EQ(store_->Read(digest_, 0, data_.size()).value(), data_);
}

TEST_F(ArtifactStoreTest, AnUploadThatEndsEarlyKeepsItsPart) {
  auto upload = store_->OpenUpload(digest_, data_.size(), 0);
  ASSERT_TRUE((*upload)->Append("xxxx").ok());
  EXPECT_TRUE(absl::IsOutOfRange((*upload)->Finish()));
  EXPECT_EQ(store_->Stat(digest_)->stored_bytes, 4u);
}

TEST_F(ArtifactStoreTest, OtherContentThanTheDigestsIsDropped) {
  auto upload = store_->OpenUpload(digest_, 5, 0);
  ASSERT_TRUE((*upload)->Append("wrong").ok());
  const absl::Status status = (*upload)->Finish();
  EXPECT_TRUE(absl::IsDataLoss(status));
  EXPECT_THAT(std::string(status.message()), HasSubstr("upload it again"));
  upload->reset();
  EXPECT_EQ(store_->Stat(digest_)->stored_bytes, 0u);
  EXPECT_TRUE(UploadAll(data_).ok());
}

TEST_F(ArtifactStoreTest, MoreBytesThanAnnouncedAreRefused) {
  auto upload = store_->OpenUpload(digest_, 4, 0);
  EXPECT_TRUE(absl::IsInvalidArgument((*upload)->Append("xxxxx")));
}

TEST_F(ArtifactStoreTest, OneUploadOfAnArtefactAtATime) {
  auto first = store_->OpenUpload(digest_, data_.size(), 0);
  EXPECT_TRUE(absl::IsUnavailable(store_->OpenUpload(digest_, data_.size(), 0).status()));
  first->reset();
  EXPECT_TRUE(store_->OpenUpload(digest_, data_.size(), 0).ok());
}

TEST_F(ArtifactStoreTest, UploadingWhatIsThereSucceedsAtOnce) {
  ASSERT_TRUE(UploadAll(data_).ok());
  auto upload = store_->OpenUpload(digest_, data_.size(), data_.size());
  ASSERT_TRUE(upload.ok());
  EXPECT_TRUE((*upload)->Append("ignored").ok());
  EXPECT_TRUE((*upload)->Finish().ok());
  EXPECT_EQ(store_->Read(digest_, 0, data_.size()).value(), data_);
}

TEST_F(ArtifactStoreTest, AnEmptyArtefactIsOneToo) {
  ASSERT_TRUE(UploadAll("").ok());
  EXPECT_TRUE(store_->Stat(DigestOf(""))->complete);
  EXPECT_EQ(store_->Read(DigestOf(""), 0, 10).value(), "");
}

TEST_F(ArtifactStoreTest, PutAndImportNameWhatTheyStore) {
  EXPECT_EQ(store_->Put(data_).value(), digest_);
  EXPECT_EQ(store_->Put(data_).value(), digest_);
  ASSERT_TRUE(WriteFileAtomically(dir_.path() / "file", "of my own").ok());
  EXPECT_EQ(store_->Import(dir_.path() / "file").value(), DigestOf("of my own"));
  EXPECT_EQ(store_->Read(DigestOf("of my own"), 3, 2).value(), "my");
  EXPECT_TRUE(absl::IsNotFound(store_->Import(dir_.path() / "none").status()));
  EXPECT_TRUE(std::filesystem::is_empty(store_->root() / "partial"));
}

TEST_F(ArtifactStoreTest, DamageIsFoundNamedAndRepairedByTheSameUpload) {
  ASSERT_TRUE(UploadAll(data_).ok());
  Damage(digest_);
  const absl::Status status = store_->Read(digest_, 0, 10).status();
  EXPECT_TRUE(absl::IsDataLoss(status)) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr(digest_));
  EXPECT_FALSE(store_->Stat(digest_)->complete);
  EXPECT_TRUE(std::filesystem::exists(store_->root() / "damaged" / DigestHex(digest_)));
  ASSERT_TRUE(UploadAll(data_).ok());
  EXPECT_EQ(store_->Read(digest_, 0, data_.size()).value(), data_);
}

TEST_F(ArtifactStoreTest, DamageWhileTheCoordinatorWasDownIsFoundToo) {
  ASSERT_TRUE(UploadAll(data_).ok());
  Damage(digest_);
  Reopen();
  EXPECT_TRUE(absl::IsDataLoss(store_->Verify(digest_)));
  EXPECT_TRUE(absl::IsNotFound(store_->Verify(digest_)));
}

TEST_F(ArtifactStoreTest, WhatIsNoDigestNeverBecomesAPath) {
  for (const char* name : {"", "sha256:", "../../etc/passwd", "sha256:../../../etc/passwd"}) {
    EXPECT_TRUE(absl::IsInvalidArgument(store_->Stat(name).status())) << name;
    EXPECT_TRUE(absl::IsInvalidArgument(store_->Read(name, 0, 1).status())) << name;
    EXPECT_TRUE(absl::IsInvalidArgument(store_->OpenUpload(name, 1, 0).status())) << name;
    EXPECT_TRUE(absl::IsInvalidArgument(store_->Remove(name))) << name;
  }
  EXPECT_TRUE(absl::IsNotFound(store_->PathOf(digest_).status()));
}

TEST_F(ArtifactStoreTest, RemovedIsGone) {
  ASSERT_TRUE(UploadAll(data_).ok());
  ASSERT_TRUE(store_->Remove(digest_).ok());
  EXPECT_FALSE(store_->Stat(digest_)->complete);
  EXPECT_TRUE(store_->Remove(digest_).ok());
}

TEST_F(ArtifactStoreTest, PiecesOfLocalWritesDoNotOutliveTheirProcess) {
  ASSERT_TRUE(WriteFileAtomically(store_->root() / "partial" / "local-abc", "half").ok());
  Reopen();
  EXPECT_TRUE(std::filesystem::is_empty(store_->root() / "partial"));
}

}  // namespace
}  // namespace mead::store
