#include "common/sha256.h"

#include <gtest/gtest.h>

#include <string>

#include "common/files.h"
#include "tests/support/temp_dir.h"

namespace mead {
namespace {

// Source: NIST's examples for FIPS 180-4 (SHA-256).
constexpr char kAbc[] = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
constexpr char kEmpty[] = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
constexpr char kMillionA[] = "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0";

TEST(Sha256, GivesTheDigestsOfTheStandard) {
  EXPECT_EQ(Sha256().HexDigest(), kEmpty);
  EXPECT_EQ(DigestOf("abc"), std::string("sha256:") + kAbc);
  Sha256 sha;
  for (int i = 0; i < 1000; ++i) sha.Update(std::string(1000, 'a'));
  EXPECT_EQ(sha.HexDigest(), kMillionA);
}

TEST(Sha256, CanBeAskedOnTheWay) {
  Sha256 sha;
  EXPECT_EQ(sha.HexDigest(), kEmpty);
  sha.Update("ab");
  (void)sha.HexDigest();
  sha.Update("c");
  EXPECT_EQ(sha.HexDigest(), kAbc);
}

TEST(Sha256, OfAFileIsThatOfItsBytes) {
  const testing::TempDir dir;
  ASSERT_TRUE(WriteFileAtomically(dir.Join("a"), std::string(1'000'000, 'a')).ok());
  EXPECT_EQ(Sha256OfFile(dir.Join("a")).value(), kMillionA);
  EXPECT_EQ(DigestOfFile(dir.Join("a")).value(), std::string("sha256:") + kMillionA);
  EXPECT_TRUE(absl::IsNotFound(Sha256OfFile(dir.Join("none")).status()));
}

TEST(Sha256, KnowsADigestWhenItSeesOne) {
  EXPECT_TRUE(IsDigest(std::string("sha256:") + kAbc));
  EXPECT_EQ(DigestHex(std::string("sha256:") + kAbc), kAbc);
  EXPECT_FALSE(IsDigest(kAbc));
  EXPECT_FALSE(IsDigest(std::string("sha256:") + std::string(kAbc).substr(1)));
  EXPECT_FALSE(IsDigest("sha256:BA7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"));
  EXPECT_FALSE(
      IsDigest("sha256:../../../../../../../../../../../../../../../../../etc/passwd00000"));
  EXPECT_FALSE(IsDigest(""));
}

}  // namespace
}  // namespace mead
