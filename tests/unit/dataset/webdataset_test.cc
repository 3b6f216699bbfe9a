#include "common/dataset/webdataset.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/files.h"
#include "tests/support/temp_dir.h"
#include "tests/unit/dataset/packed.h"
#include "tests/unit/dataset/pictures.h"

namespace mead::dataset {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

// `count` samples, "<first + i>.jpg" and ".cls", of classes i % classes.
std::vector<Member> Samples(int first, int count, int classes) {
  std::vector<Member> members;
  for (int i = first; i < first + count; ++i) {
    members.push_back({absl::StrCat("./", i, ".jpg"), Jpeg(40, 30, static_cast<uint64_t>(i))});
    members.push_back({absl::StrCat("./", i, ".cls"), absl::StrCat(i % classes, "\n")});
  }
  return members;
}

class WebDatasetTest : public ::testing::Test {
 protected:
  void SetUp() override { fs::create_directories(root_); }
  absl::StatusOr<Manifest> Build(const fs::path& path) { return BuildFrom(path, dir_.Join("out")); }
  void Put(const std::string& name, const std::vector<Member>& members) {
    fs::create_directories((root_ / name).parent_path());
    PackMembers((root_ / name).string(), members);
  }

  testing::TempDir dir_;
  const fs::path root_ = dir_.path() / "tars";
};

TEST_F(WebDatasetTest, NumbersAreClassesInTheirOrder) {
  Put("shard-000000.tar", Samples(0, 24, 12));
  Put("shard-000001.tar", Samples(24, 24, 12));
  const absl::StatusOr<Manifest> m = Build(root_);
  ASSERT_TRUE(m.ok()) << m.status();
  EXPECT_THAT(m->classes,
              ElementsAre("0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11"));
  EXPECT_EQ(m->samples.size(), 48u);
  EXPECT_EQ(m->split_method, "stratified");
  for (const Sample& sample : m->samples) {
    const int i = std::stoi(sample.key.substr(sample.key.find('/') + 1));
    EXPECT_EQ(sample.class_id, static_cast<uint32_t>(i % 12)) << sample.key;
    EXPECT_THAT(sample.key, HasSubstr(i < 24 ? "shard-000000/" : "shard-000001/"));
  }
  EXPECT_FALSE(fs::exists(dir_.path() / "out/unpacked"));
}

TEST_F(WebDatasetTest, ClassesTxtNamesTheNumbers) {
  Put("a.tar", Samples(0, 8, 2));
  std::ofstream(root_ / "classes.txt") << "polyp\r\nnormal\n";
  EXPECT_THAT(Build(root_)->classes, ElementsAre("polyp", "normal"));
  std::ofstream(root_ / "classes.txt") << "polyp\nnormal\npolyp\n";
  EXPECT_THAT(std::string(Build(root_).status().message()),
              AllOf(HasSubstr("classes.txt, line 3"), HasSubstr("there twice")));
  std::ofstream(root_ / "classes.txt") << "polyp\n";
  EXPECT_THAT(std::string(Build(root_).status().message()),
              HasSubstr("the label of a/1 is '1', which classes.txt does not have"));
}

TEST_F(WebDatasetTest, NamesOfTarsAndFoldersTellTheSplit) {
  Put("train-000000.tar", Samples(0, 8, 2));
  Put("test-000000.tar.gz", Samples(100, 4, 2));
  const absl::StatusOr<Manifest> names = Build(root_);
  ASSERT_TRUE(names.ok()) << names.status();
  EXPECT_EQ(names->split_method, "given");
  EXPECT_EQ(names->Count(Split::kTrain), 8u);
  EXPECT_EQ(names->Count(Split::kVal), 4u);
  Put("more.tar", Samples(200, 4, 2));
  EXPECT_THAT(std::string(Build(root_).status().message()), HasSubstr("'more/200.jpg' does not"));
  fs::remove_all(root_);
  Put("train/a.tar", Samples(0, 8, 2));
  Put("val/a.tar", Samples(100, 4, 2));
  EXPECT_EQ(Build(root_)->Count(Split::kVal), 4u);
}

TEST_F(WebDatasetTest, OneTarAndAZipOfTarsWillDo) {
  Put("a.tar", Samples(0, 8, 2));
  const absl::StatusOr<Manifest> one = Build(root_ / "a.tar");
  ASSERT_TRUE(one.ok()) << one.status();
  PackMembers(dir_.Join("all.zip"), {{"tars/a.tar", ReadFile(root_ / "a.tar").value()}});
  const absl::StatusOr<Manifest> all = Build(dir_.Join("all.zip"));
  ASSERT_TRUE(all.ok()) << all.status();
  EXPECT_EQ(one->ToJson(), all->ToJson());
}

TEST_F(WebDatasetTest, ATarOfClassFoldersIsNoWebDataset) {
  std::vector<Member> members;
  for (uint64_t i = 0; i < 8; ++i) {
    members.push_back({absl::StrCat(i % 2 == 0 ? "a/" : "b/", i, ".jpg"), Jpeg(40, 30, i)});
  }
  PackMembers(dir_.Join("folders.tar"), members);
  EXPECT_THAT(FindWebDataset(dir_.Join("folders.tar")), ElementsAre());
  EXPECT_THAT(Build(dir_.Join("folders.tar"))->classes, ElementsAre("a", "b"));
}

TEST_F(WebDatasetTest, IncompleteSamplesAreListed) {
  std::vector<Member> members = Samples(0, 8, 2);
  members.push_back({"8.jpg", Jpeg(40, 30, 8)});       // no label
  members.push_back({"9.cls", "1"});                   // no picture
  members.push_back({"0.png", Png(40, 30, 9)});        // a second picture of 0
  members.push_back({"10.jpg", "no picture at all"});  // damaged
  members.push_back({"10.cls", "1"});
  members.push_back({"1.json", "{\"label\": 0}"});     // passed over
  members.push_back({"evil.jpg", "", "/etc/passwd"});  // a link
  Put("a.tar", members);
  const absl::StatusOr<Manifest> m = Build(root_);
  ASSERT_TRUE(m.ok()) << m.status();
  EXPECT_EQ(m->samples.size(), 8u);
  ASSERT_EQ(m->quarantined.size(), 4u);
  EXPECT_EQ(m->quarantined[0].path, "a/0.png");
  EXPECT_EQ(m->quarantined[0].reason, "a second picture of its sample, after a/0.jpg");
  EXPECT_EQ(m->quarantined[1].path, "a/10.jpg");
  EXPECT_EQ(m->quarantined[2].reason, "no label beside it");
  EXPECT_EQ(m->quarantined[3].reason, "a label without a picture");
}

TEST_F(WebDatasetTest, WhatWasPackedIsTakenInAgain) {
  PutJpegs(dir_.path() / "folders/normal", 6, 1);
  PutJpegs(dir_.path() / "folders/polyp", 6, 20);
  const Manifest before = Build(dir_.path() / "folders").value();
  fs::rename(dir_.path() / "out", root_ / "shards");
  std::ofstream(root_ / "shards/classes.txt") << "normal\npolyp\n";
  const absl::StatusOr<Manifest> after = Build(root_ / "shards");
  ASSERT_TRUE(after.ok()) << after.status();
  EXPECT_EQ(after->classes, before.classes);
  for (const Split split : {Split::kTrain, Split::kVal}) {
    EXPECT_EQ(after->ClassCounts(split), before.ClassCounts(split));
  }
}

TEST_F(WebDatasetTest, NamesThatLeaveTheFolderAndCutTarsAreErrors) {
  std::vector<Member> members = Samples(0, 8, 2);
  members.push_back({"../evil.jpg", "evil"});
  Put("a.tar", members);
  EXPECT_THAT(std::string(Build(root_).status().message()), HasSubstr("lies outside of it"));
  Put("a.tar", Samples(0, 8, 2));
  const std::string whole = ReadFile(root_ / "a.tar").value();
  std::ofstream(root_ / "a.tar", std::ios::binary) << whole.substr(0, 6000);
  const absl::Status status = Build(root_).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("a.tar"));
}

// A ustar header of a regular file; sizes from 8 GiB on in base 256, as GNU tar writes them.
std::string Header(const std::string& name, uint64_t size) {
  std::array<char, 512> block{};
  std::memcpy(block.data(), name.data(), name.size());
  std::memcpy(&block[100], "0000644", 8);
  std::memcpy(&block[108], "0000000", 8);
  std::memcpy(&block[116], "0000000", 8);
  if (size < uint64_t{1} << 33) {
    std::memcpy(&block[124], absl::StrFormat("%011o", size).data(), 11);
  } else {
    block[124] = '\x80';
    for (size_t i = 0; i < 8; ++i) block[135 - i] = static_cast<char>(size >> (8 * i));
  }
  std::memcpy(&block[136], "00000000000", 12);
  block[156] = '0';
  std::memcpy(&block[257], "ustar  ", 8);
  std::memset(&block[148], ' ', 8);
  unsigned sum = 0;
  for (const char c : block) sum += static_cast<unsigned char>(c);
  std::memcpy(&block[148], absl::StrFormat("%06o", sum).data(), 7);
  return {block.data(), block.size()};
}

// Tars of 20 GB (a hole, on the disk) are read past what is no picture.
TEST_F(WebDatasetTest, SamplesBehindTwentyGigabytesAreFound) {
  const std::string path = (root_ / "large.tar").string();
  const ScopedFd file(open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0644));
  ASSERT_TRUE(file.valid());
  const auto append = [&](const std::string& name, const std::string& content) {
    std::string block = Header(name, content.size()) + content;
    block.resize((block.size() + 511) / 512 * 512);
    ASSERT_TRUE(WriteFully(file.get(), block, path).ok());
  };
  const auto samples = [&](int first) {
    for (int i = first; i < first + 4; ++i) {
      append(absl::StrCat(i, ".jpg"), Jpeg(40, 30, static_cast<uint64_t>(i)));
      append(absl::StrCat(i, ".cls"), absl::StrCat(i % 2));
    }
  };
  samples(0);
  constexpr uint64_t kHole = uint64_t{20} << 30;
  ASSERT_TRUE(WriteFully(file.get(), Header("video.bin", kHole), path).ok());
  if (lseek(file.get(), static_cast<off_t>(kHole), SEEK_CUR) < 0) GTEST_SKIP() << "no large files";
  samples(4);
  ASSERT_TRUE(WriteFully(file.get(), std::string(1024, '\0'), path).ok());
  const absl::StatusOr<Manifest> m = Build(root_);
  ASSERT_TRUE(m.ok()) << m.status();
  EXPECT_EQ(m->samples.size(), 8u);
}

}  // namespace
}  // namespace mead::dataset
