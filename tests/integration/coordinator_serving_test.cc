// What else the coordinator serves: health, reflection, HTTP; and its own start.
#include <gmock/gmock.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>
#include <httplib.h>

#include <chrono>
#include <filesystem>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "coordinator/web/http_server.h"
#include "tests/integration/coordinator_fixture.h"
#include "tests/integration/fake_worker.h"

namespace mead::service {
namespace {

using ::testing::AllOf;
using testing::FakeWorker;
using ::testing::HasSubstr;

// One request and one reply of a stream (or unary call) by its name alone, as
// grpcurl and probes do it.
std::string CallRaw(const std::shared_ptr<grpc::Channel>& channel, const std::string& method,
                    const std::string& request) {
  grpc::GenericStub stub(channel);
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(20));
  grpc::CompletionQueue queue;
  const auto call = stub.PrepareCall(&context, method, &queue);
  void* tag = nullptr;
  bool ok = false;
  call->StartCall(nullptr);
  queue.Next(&tag, &ok);
  const grpc::Slice slice(request);
  call->WriteLast(grpc::ByteBuffer(&slice, 1), grpc::WriteOptions(), nullptr);
  queue.Next(&tag, &ok);
  grpc::ByteBuffer reply;
  call->Read(&reply, nullptr);
  queue.Next(&tag, &ok);
  grpc::Slice bytes;
  if (!ok || !reply.DumpToSingleSlice(&bytes).ok()) return "";
  grpc::Status status;
  call->Finish(&status, nullptr);
  queue.Next(&tag, &ok);
  return std::string(reinterpret_cast<const char*>(bytes.begin()), bytes.size());
}

TEST_F(CoordinatorTest, HealthAndReflectionAreServed) {
  // HealthCheckResponse{status: SERVING}.
  EXPECT_EQ(CallRaw(channel_, "/grpc.health.v1.Health/Check", ""), "\x08\x01");
  // ServerReflectionRequest{list_services: ""}.
  const std::string services =
      CallRaw(channel_, "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
              std::string(":\0", 2));
  for (const char* name :
       {"mead.v1.ClusterService", "mead.v1.DatasetService", "mead.v1.SweepService",
        "mead.v1.ArtifactService", "mead.v1.WorkerService", "grpc.health.v1.Health"}) {
    EXPECT_THAT(services, HasSubstr(name));
  }
}

TEST_F(CoordinatorTest, HttpShowsARunningTrialWithItsFigures) {
  const v1::Dataset set = ImportTinySet();
  FakeWorker worker(Connect(), {.train_samples = set.train_samples(), .pause_after_epoch = 1});
  ASSERT_TRUE(worker.WaitRegistered());
  v1::Sweep sweep;
  ASSERT_TRUE(Submit(SpecOfTwoTrials(), &sweep).ok());
  ASSERT_TRUE(worker.WaitPaused());

  const auto http = web::HttpServer::Start(coordinator_->context(), {"127.0.0.1", 0});
  ASSERT_TRUE(http.ok()) << http.status();
  httplib::Client client("127.0.0.1", (*http)->endpoint().port);
  const auto status = client.Get("/status");
  ASSERT_TRUE(status);
  EXPECT_EQ(status->get_header_value("Content-Type"), "application/json");
  EXPECT_THAT(status->body, AllOf(HasSubstr("\"slotsTotal\":2"), HasSubstr("\"conditions\":[]"),
                                  HasSubstr(sweep.id())));
  EXPECT_THAT(client.Get("/api/v1/sweeps/" + sweep.id())->body,
              AllOf(HasSubstr("\"imagesPerSecond\":100"), HasSubstr("TRIAL_STATE_RUNNING"),
                    HasSubstr("\"eta\":\"")));
  EXPECT_THAT(client.Get("/metrics")->body,
              AllOf(HasSubstr("mead_trials{state=\"running\"} 1\n"),
                    HasSubstr("mead_workers{state=\"connected\"} 1\n"),
                    HasSubstr(absl::StrCat("mead_trial_images_per_second{sweep=\"", sweep.id(),
                                           "\",trial=\"", sweep.id(), "-0\"} 100\n"))));
  const auto page = client.Get("/");
  EXPECT_EQ(page->get_header_value("Content-Type"), "text/html; charset=utf-8");
  EXPECT_THAT(page->body, ::testing::Not(HasSubstr("http://"))) << "nothing from outside";
  const auto missing = client.Get("/api/v1/trials/none");
  EXPECT_EQ(missing->status, 404);
  EXPECT_THAT(missing->body, HasSubstr("\"name\":\"NOT_FOUND\""));
  EXPECT_EQ(client.Get("/api/v1/trials/" + sweep.id() + "-0/confusion?epoch=x")->status, 400);
}

TEST_F(CoordinatorTest, DataSetsTellWhichPicturesAreOnBothSides) {
  namespace fs = std::filesystem;
  ImportTinySet();
  const fs::path made = dir_.path() / "pictures";
  const fs::path given = dir_.path() / "given";
  for (const char* name : {"polyps", "normal-cecum"}) {
    for (const char* side : {"train", "test"}) {
      fs::create_directories(given / side / name);
      for (int i = 0; i < 2; ++i) {
        // Picture 1 on both sides.
        const int number = i + (side == std::string("test") ? 1 : 0);
        const std::string file = absl::StrCat(name, "-0000", number, ".jpg");
        fs::copy(made / name / file, given / side / name / file);
      }
    }
  }
  EXPECT_EQ(Import("given", given).leakage().straddling_groups(), 2u);

  const auto http = web::HttpServer::Start(coordinator_->context(), {"127.0.0.1", 0});
  ASSERT_TRUE(http.ok()) << http.status();
  httplib::Client client("127.0.0.1", (*http)->endpoint().port);
  EXPECT_THAT(client.Get("/api/v1/datasets/given")->body,
              AllOf(HasSubstr("\"trainPaths\":[\"train/polyps/polyps-00001.jpg\"]"),
                    HasSubstr("\"valPaths\":[\"test/polyps/polyps-00001.jpg\"]")));
}

TEST_F(CoordinatorTest, ATakenPortAndAFolderInUseAreNamed) {
  CoordinatorOptions options;
  options.dir = dir_.path() / "second";
  options.listen = coordinator_->endpoint();
  auto second = Coordinator::Start(options);
  ASSERT_FALSE(second.ok());
  EXPECT_THAT(std::string(second.status().message()),
              AllOf(HasSubstr(absl::StrCat("port ", coordinator_->endpoint().port)),
                    HasSubstr("--listen")));
  options.dir = dir_.path() / "coordinator";
  options.listen.port = 0;
  second = Coordinator::Start(options);
  ASSERT_FALSE(second.ok());
  EXPECT_THAT(std::string(second.status().message()), HasSubstr("in use"));
}

}  // namespace
}  // namespace mead::service
