// Artefacts: uploads that go on, and a disk without room.
#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>
#include <httplib.h>

#include <limits>
#include <string>

#include "coordinator/web/http_server.h"
#include "tests/integration/coordinator_fixture.h"

namespace mead::service {
namespace {

using ::testing::HasSubstr;
using ::testing::SizeIs;

TEST_F(CoordinatorTest, AnUploadGoesOnWhereItStoppedAndIsVerified) {
  const std::string data(3'000'000, 'x');
  const std::string digest = DigestOf(data);
  EXPECT_EQ(Upload(digest, data.size(), 0, data.substr(0, 1 << 20)).error_code(),
            grpc::StatusCode::OUT_OF_RANGE)
      << "it ended before its size";
  EXPECT_EQ(Stat(digest).stored_bytes(), 1u << 20);
  EXPECT_EQ(Upload(digest, data.size(), 5, "x").error_code(), grpc::StatusCode::OUT_OF_RANGE);

  grpc::ClientContext context;
  SetDeadline(context);
  v1::UploadArtifactResponse response;
  auto writer = artifacts_->UploadArtifact(&context, &response);
  v1::UploadArtifactRequest request;
  request.set_digest(digest);
  request.set_size_bytes(data.size());
  request.set_offset(1 << 20);
  for (size_t at = 1 << 20; at < data.size(); at += 500'000) {
    request.set_data(data.substr(at, 500'000));
    ASSERT_TRUE(writer->Write(request));
    request.clear_digest();
  }
  writer->WritesDone();
  const grpc::Status status = writer->Finish();
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_TRUE(Stat(digest).complete());

  grpc::ClientContext download_context;
  SetDeadline(download_context);
  v1::DownloadArtifactRequest download;
  download.set_digest(digest);
  download.set_offset(1'000'000);
  auto reader = artifacts_->DownloadArtifact(&download_context, download);
  std::string read;
  v1::DownloadArtifactResponse chunk;
  while (reader->Read(&chunk)) {
    EXPECT_EQ(chunk.offset(), 1'000'000 + read.size());
    EXPECT_LE(chunk.data().size(), 1u << 20);
    read += chunk.data();
  }
  EXPECT_TRUE(reader->Finish().ok());
  EXPECT_EQ(read, data.substr(1'000'000));

  grpc::ClientContext part_context;
  SetDeadline(part_context);
  download.set_length(1'200'000);
  reader = artifacts_->DownloadArtifact(&part_context, download);
  read.clear();
  while (reader->Read(&chunk)) read += chunk.data();
  EXPECT_TRUE(reader->Finish().ok());
  EXPECT_EQ(read, data.substr(1'000'000, 1'200'000));

  EXPECT_EQ(Upload(DigestOf("one"), 3, 0, "two").error_code(), grpc::StatusCode::DATA_LOSS);
  EXPECT_EQ(Upload("md5:1", 3, 0, "two").error_code(), grpc::StatusCode::INVALID_ARGUMENT);
}

TEST_F(CoordinatorTest, AFullDiskRefusesNewWorkWhileReadsGoOn) {
  ImportTinySet();
  coordinator_.reset();
  StartCoordinator(std::numeric_limits<uint64_t>::max() / 2);
  v1::SubmitSweepRequest request;
  *request.mutable_spec() = SpecOfTwoTrials();
  request.set_wait_for_resources(true);
  const grpc::Status status = Submit(request, nullptr);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_THAT(status.error_message(), HasSubstr("nearly full"));
  EXPECT_EQ(Upload(DigestOf("x"), 1, 0, "x").error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  const v1::GetStatusResponse now = Queries(coordinator_->context()).GetStatus();
  ASSERT_THAT(now.conditions(), SizeIs(1));
  EXPECT_EQ(now.conditions(0).name(), "DiskNearlyFull");

  const auto http = web::HttpServer::Start(coordinator_->context(), {"127.0.0.1", 0});
  ASSERT_TRUE(http.ok()) << http.status();
  httplib::Client client("127.0.0.1", (*http)->endpoint().port);
  const auto ready = client.Get("/readyz");
  ASSERT_TRUE(ready);
  EXPECT_EQ(ready->status, 503);
  EXPECT_EQ(client.Get("/healthz")->status, 200);
  EXPECT_THAT(client.Get("/api/v1/datasets")->body, HasSubstr("\"tiny\""));
  EXPECT_THAT(client.Get("/metrics")->body, HasSubstr("mead_disk_nearly_full 1\n"));
}

}  // namespace
}  // namespace mead::service
