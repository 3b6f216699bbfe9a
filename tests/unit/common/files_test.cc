#include "common/files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <string>

#include "common/status_util.h"
#include "tests/support/temp_dir.h"

namespace mead {
namespace {

using ::testing::HasSubstr;

TEST(Files, AtomicWriteReplacesTheFileAndLeavesNothingElse) {
  const testing::TempDir dir;
  const std::string binary("a\0\xff\n", 4);
  ASSERT_TRUE(WriteFileAtomically(dir.Join("f"), "old, and longer").ok());
  ASSERT_TRUE(WriteFileAtomically(dir.Join("f"), binary).ok());
  EXPECT_EQ(ReadFile(dir.Join("f")).value(), binary);
  size_t files = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator(dir.path()))
    ++files;
  EXPECT_EQ(files, 1u);
}

TEST(Files, ErrorsNameThePathAndTheReason) {
  const testing::TempDir dir;
  const absl::Status missing = ReadFile(dir.Join("none")).status();
  EXPECT_TRUE(absl::IsNotFound(missing));
  EXPECT_THAT(std::string(missing.message()), HasSubstr(dir.Join("none")));
  EXPECT_TRUE(absl::IsNotFound(WriteFileAtomically(dir.Join("none/f"), "x")));
  ASSERT_TRUE(WriteFileAtomically(dir.Join("f"), "x").ok());
  EXPECT_FALSE(MakeDirs(dir.Join("f")).ok());
  EXPECT_FALSE(MakeDirs(dir.Join("f/g")).ok());
}

TEST(Files, MakeDirsMakesAllOfThemAndMayBeRepeated) {
  const testing::TempDir dir;
  ASSERT_TRUE(MakeDirs(dir.Join("a/b/c")).ok());
  ASSERT_TRUE(MakeDirs(dir.Join("a/b/c")).ok());
  EXPECT_TRUE(std::filesystem::is_directory(dir.Join("a/b/c")));
}

TEST(Files, FreeBytesAreThoseOfTheDisk) {
  const testing::TempDir dir;
  EXPECT_GT(FreeBytes(dir.path()).value(), 0u);
  EXPECT_TRUE(absl::IsNotFound(FreeBytes(dir.Join("none")).status()));
}

TEST(Files, AFullDiskSaysWhatToDo) {
  const absl::Status full = ErrnoStatus(ENOSPC, "cannot write x");
  EXPECT_TRUE(absl::IsResourceExhausted(full));
  EXPECT_THAT(std::string(full.message()), HasSubstr("free some disk space"));
}

TEST(StatusUtil, AnnotateKeepsCodeAndPayloads) {
  absl::Status status = absl::NotFoundError("inner");
  status.SetPayload("url", absl::Cord("payload"));
  const absl::Status annotated = Annotate(status, "outer");
  EXPECT_TRUE(absl::IsNotFound(annotated));
  EXPECT_EQ(std::string(annotated.message()), "outer: inner");
  EXPECT_EQ(std::string(*annotated.GetPayload("url")), "payload");
  EXPECT_TRUE(Annotate(absl::OkStatus(), "outer").ok());
}

absl::StatusOr<int> Half(int number) {
  if (number % 2 != 0) return absl::InvalidArgumentError("odd");
  return number / 2;
}
absl::StatusOr<int> Quarter(int number) {
  MEAD_ASSIGN_OR_RETURN(const int half, Half(number));
  MEAD_RETURN_IF_ERROR(absl::OkStatus());
  return Half(half);
}

TEST(StatusUtil, MacrosPassErrorsUp) {
  EXPECT_EQ(Quarter(12).value(), 3);
  EXPECT_TRUE(absl::IsInvalidArgument(Quarter(3).status()));
}

}  // namespace
}  // namespace mead
