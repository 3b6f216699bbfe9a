#include "client/download.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "common/sha256.h"
#include "tests/unit/client/fake_server.h"

namespace mead::client {
namespace {

class DownloadTest : public ::testing::Test {
 protected:
  DownloadTest() {
    for (int i = 0; i < 1000; ++i) data_ += std::to_string(i);
    server_.state().artifacts[DigestOf(data_)] = data_;
  }

  FakeServer server_;
  std::string data_;
  Connection connection_{server_.address(), "test"};
};

TEST_F(DownloadTest, BringsAllOfAnArtefact) {
  EXPECT_EQ(*Download(connection_, DigestOf(data_)), data_);
}

TEST_F(DownloadTest, GoesOnWhereALostConnectionBroke) {
  server_.state().download_breaks_after = 500;
  EXPECT_EQ(*Download(connection_, DigestOf(data_)), data_);
  EXPECT_EQ(server_.state().downloaded_bytes, data_.size());
}

TEST_F(DownloadTest, OfAPartBringsNoMoreThanThat) {
  server_.state().download_breaks_after = 200;
  EXPECT_EQ(*DownloadPart(connection_, DigestOf(data_), 11, 600), data_.substr(11, 600));
  EXPECT_EQ(server_.state().downloaded_bytes, 600u);
}

TEST_F(DownloadTest, APartBeyondTheEndIsAnError) {
  EXPECT_TRUE(absl::IsDataLoss(DownloadPart(connection_, DigestOf(data_), 2800, 600).status()));
}

TEST_F(DownloadTest, OtherBytesThanTheDigestsAreAnError) {
  server_.state().artifacts[DigestOf("other")] = data_;
  EXPECT_TRUE(absl::IsDataLoss(Download(connection_, DigestOf("other")).status()));
  EXPECT_TRUE(absl::IsNotFound(Download(connection_, DigestOf("nothing")).status()));
}

}  // namespace
}  // namespace mead::client
