#include "common/dataset/archive.h"

#include <gmock/gmock.h>

#include <filesystem>

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

std::vector<Member> TwoClasses() {
  std::vector<Member> members;
  for (uint64_t i = 0; i < 6; ++i) {
    const char* name = i % 2 == 0 ? "set/normal/" : "set/polyp/";
    members.push_back({name + std::to_string(i) + ".jpg", Jpeg(40, 30, i), ""});
  }
  return members;
}

class ArchiveTest : public ::testing::Test {
 protected:
  absl::StatusOr<Manifest> Build(const fs::path& path) { return BuildFrom(path, dir_.Join("out")); }
  testing::TempDir dir_;
};

TEST_F(ArchiveTest, ZipTarAndFolderGiveTheSameDataSet) {
  for (const Member& m : TwoClasses()) Put(dir_.path() / m.name, m.content);
  const Manifest folder = Build(dir_.Join("set")).value();
  for (const char* name : {"a.zip", "a.tar.gz", "A.TGZ"}) {
    PackMembers(dir_.Join(name), TwoClasses());
    const absl::StatusOr<Manifest> archive = Build(dir_.Join(name));
    ASSERT_TRUE(archive.ok()) << archive.status();
    EXPECT_EQ(archive->ToJson(), folder.ToJson());
    EXPECT_FALSE(fs::exists(dir_.path() / "out/unpacked"));
  }
}

TEST_F(ArchiveTest, NamesThatLeaveTheFolderAreRefused) {
  for (const char* name : {"../evil.jpg", "set/../../evil.jpg", "/tmp/mead-evil.jpg"}) {
    std::vector<Member> members = TwoClasses();
    members.push_back({name, "evil", ""});
    PackMembers(dir_.Join("evil.zip"), members);
    const absl::Status status = Build(dir_.Join("evil.zip")).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(std::string(status.message()), HasSubstr("lies outside of it")) << name;
    EXPECT_FALSE(fs::exists(dir_.path() / "out/evil.jpg"));
    EXPECT_FALSE(fs::exists(dir_.path() / "evil.jpg"));
    EXPECT_FALSE(fs::exists("/tmp/mead-evil.jpg"));
    EXPECT_FALSE(fs::exists(dir_.path() / "out/unpacked"));
  }
}

TEST_F(ArchiveTest, LinksAreNotMade) {
  std::vector<Member> members = TwoClasses();
  members.push_back({"set/polyp/out", "", "/etc"});
  members.push_back({"set/polyp/passwd.jpg", "", "/etc/passwd"});
  PackMembers(dir_.Join("a.tar.gz"), members);
  const Manifest m = Build(dir_.Join("a.tar.gz")).value();
  ASSERT_EQ(m.quarantined.size(), 2u);
  EXPECT_EQ(m.quarantined[0].path, "set/polyp/out");
  EXPECT_EQ(m.quarantined[0].reason, "a link or device in the archive");
  EXPECT_EQ(m.samples.size(), 6u);
}

TEST_F(ArchiveTest, OneClassUnderTwoSpellingsIsAnError) {
  std::vector<Member> members = TwoClasses();
  members.push_back({"set/Polyp /7.jpg", Jpeg(40, 30, 7), ""});
  PackMembers(dir_.Join("a.zip"), members);
  EXPECT_THAT(std::string(Build(dir_.Join("a.zip")).status().message()),
              AllOf(HasSubstr("a.zip"), HasSubstr("'Polyp ' and 'polyp' name one class")));
}

TEST_F(ArchiveTest, TheSecondMemberOfANameIsLeftOut) {
  std::vector<Member> members = TwoClasses();
  members.push_back({"set/normal/0.jpg", Jpeg(40, 30, 99), ""});
  members.push_back({"set/./normal//0.jpg", Jpeg(40, 30, 99), ""});
  PackMembers(dir_.Join("a.zip"), members);
  const Manifest m = Build(dir_.Join("a.zip")).value();
  EXPECT_EQ(m.samples.size(), 6u);
  EXPECT_EQ(m.quarantined.size(), 2u);
}

TEST_F(ArchiveTest, DamagedArchivesAreErrors) {
  PackMembers(dir_.Join("a.tar.gz"), TwoClasses());
  const std::string whole = ReadFile(dir_.path() / "a.tar.gz").value();
  Put(dir_.path() / "cut.tar.gz", whole.substr(0, whole.size() / 2));
  Put(dir_.path() / "empty.zip", "");
  Put(dir_.path() / "text.zip", "this is not a zip file at all");
  for (const char* name : {"cut.tar.gz", "text.zip"}) {
    const absl::Status status = Build(dir_.Join(name)).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << name << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr(name));
  }
  EXPECT_FALSE(Build(dir_.Join("empty.zip")).ok());
}

TEST_F(ArchiveTest, NoMoreIsWrittenThanAllowed) {
  const std::string path = dir_.Join("two.tar.gz");
  PackMembers(path, {{.name = "a/1.jpg", .content = std::string(3000, 'x'), .link_to = ""},
                     {.name = "a/2.jpg", .content = std::string(3000, 'y'), .link_to = ""}});
  EXPECT_EQ(Unpack(path, dir_.Join("out"), nullptr, 5000).status().code(),
            absl::StatusCode::kResourceExhausted);
  EXPECT_TRUE(Unpack(path, dir_.Join("whole"), nullptr, 6000).ok());
}

}  // namespace
}  // namespace mead::dataset
