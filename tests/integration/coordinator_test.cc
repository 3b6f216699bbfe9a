// The real coordinator in this process, over real gRPC and HTTP, with workers
// that report made-up figures.

#include "coordinator/service/coordinator.h"

#include <gmock/gmock.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>
#include <httplib.h>

#include <chrono>
#include <filesystem>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/dataset/synth.h"
#include "common/files.h"
#include "common/sha256.h"
#include "coordinator/web/http_server.h"
#include "tests/integration/fake_worker.h"
#include "tests/support/temp_dir.h"

namespace mead::service {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::Ge;
using ::testing::HasSubstr;
using ::testing::SizeIs;
using testing::FakeWorker;
using testing::FakeWorkerOptions;

constexpr char kSetName[] = "tiny";

class CoordinatorTest : public ::testing::Test {
 protected:
  void SetUp() override { StartCoordinator(); }

  void StartCoordinator(uint64_t min_free_bytes = 0) {
    CoordinatorOptions options;
    options.dir = dir_.path() / "coordinator";
    options.listen = {"127.0.0.1", 0};
    // Long: the workers of these tests send no heartbeats.
    options.lease = absl::Seconds(60);
    options.config.first_backoff = 1000;
    options.min_free_bytes = min_free_bytes;
    auto started = Coordinator::Start(options);
    ASSERT_TRUE(started.ok()) << started.status();
    coordinator_ = *std::move(started);
    channel_ = Connect();
    sweeps_ = v1::SweepService::NewStub(channel_);
    datasets_ = v1::DatasetService::NewStub(channel_);
    artifacts_ = v1::ArtifactService::NewStub(channel_);
  }

  std::shared_ptr<grpc::Channel> Connect() {
    return grpc::CreateChannel(EndpointText(coordinator_->endpoint()),
                               grpc::InsecureChannelCredentials());
  }

  // Every call of these tests ends by itself or by this deadline.
  static void SetDeadline(grpc::ClientContext& context) {
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(30));
  }

  v1::Dataset ImportTinySet() {
    const std::string pictures = dir_.Join("pictures");
    dataset::SynthOptions synth;
    synth.out_dir = pictures;
    synth.images_per_class = 5;
    synth.size = 32;
    EXPECT_TRUE(dataset::SynthesizeDataset(synth).ok());
    v1::ImportDatasetRequest request;
    request.set_name(kSetName);
    request.set_path(pictures);
    grpc::ClientContext context;
    SetDeadline(context);
    auto reader = datasets_->ImportDataset(&context, request);
    v1::ImportDatasetResponse message, last;
    while (reader->Read(&message)) last = message;
    const grpc::Status status = reader->Finish();
    EXPECT_TRUE(status.ok()) << status.error_message();
    EXPECT_EQ(last.phase(), "done");
    return last.dataset();
  }

  static v1::SweepSpec SpecOfTwoTrials() {
    v1::SweepSpec spec;
    spec.set_name("two");
    spec.set_dataset(kSetName);
    spec.mutable_search()->set_method("grid");
    spec.mutable_resources()->set_ranks(2);
    spec.mutable_train()->set_model("resnet18");
    spec.mutable_train()->set_batch_size(8);
    spec.mutable_train()->set_epochs(3);
    v1::Dimension& lr = *spec.add_space();
    lr.set_path("optimizer.lr");
    lr.mutable_choice()->add_values()->set_number(0.1);
    lr.mutable_choice()->add_values()->set_number(0.01);
    return spec;
  }

  grpc::Status Submit(const v1::SubmitSweepRequest& request, v1::Sweep* sweep) {
    grpc::ClientContext context;
    SetDeadline(context);
    v1::SubmitSweepResponse response;
    const grpc::Status status = sweeps_->SubmitSweep(&context, request, &response);
    if (sweep != nullptr) *sweep = response.sweep();
    return status;
  }
  grpc::Status Submit(const v1::SweepSpec& spec, v1::Sweep* sweep) {
    v1::SubmitSweepRequest request;
    *request.mutable_spec() = spec;
    return Submit(request, sweep);
  }

  // Watches until the sweep has ended.
  v1::WatchSweepResponse Watch(const std::string& id) {
    grpc::ClientContext context;
    SetDeadline(context);
    v1::WatchSweepRequest request;
    request.set_sweep_id(id);
    auto reader = sweeps_->WatchSweep(&context, request);
    v1::WatchSweepResponse message, last;
    while (reader->Read(&message)) last = message;
    const grpc::Status status = reader->Finish();
    EXPECT_TRUE(status.ok()) << status.error_message();
    return last;
  }

  grpc::Status Upload(const std::string& digest, uint64_t size, uint64_t offset,
                      const std::string& data) {
    grpc::ClientContext context;
    SetDeadline(context);
    v1::UploadArtifactResponse response;
    auto writer = artifacts_->UploadArtifact(&context, &response);
    v1::UploadArtifactRequest request;
    request.set_digest(digest);
    request.set_size_bytes(size);
    request.set_offset(offset);
    request.set_data(data);
    writer->Write(request);
    writer->WritesDone();
    return writer->Finish();
  }

  v1::StatArtifactResponse Stat(const std::string& digest) {
    grpc::ClientContext context;
    SetDeadline(context);
    v1::StatArtifactRequest request;
    request.set_digest(digest);
    v1::StatArtifactResponse response;
    EXPECT_TRUE(artifacts_->StatArtifact(&context, request, &response).ok());
    return response;
  }

  testing::TempDir dir_;
  std::unique_ptr<Coordinator> coordinator_;
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<v1::SweepService::Stub> sweeps_;
  std::unique_ptr<v1::DatasetService::Stub> datasets_;
  std::unique_ptr<v1::ArtifactService::Stub> artifacts_;
};

// The best of the two is the one with the smaller rate, by its second epoch.
double PeakAtSecondEpoch(const v1::TrainConfig& config, int epoch) {
  return (config.optimizer().lr() < 0.05 ? 0.7 : 0.4) + (epoch == 2 ? 0.1 : 0);
}

TEST_F(CoordinatorTest, ASweepRunsToItsEndOverTwoWorkers) {
  const v1::Dataset set = ImportTinySet();
  EXPECT_EQ(set.train_samples() + set.val_samples(), 40u);
  FakeWorkerOptions options{.train_samples = set.train_samples(), .accuracy = PeakAtSecondEpoch};
  FakeWorker first(Connect(), options);
  options.id = "w2";
  options.instance = "instance-2";
  FakeWorker second(Connect(), options);
  ASSERT_TRUE(first.WaitRegistered() && second.WaitRegistered());

  v1::Sweep sweep;
  const grpc::Status submitted = Submit(SpecOfTwoTrials(), &sweep);
  ASSERT_TRUE(submitted.ok()) << submitted.error_message();
  const v1::WatchSweepResponse end = Watch(sweep.id().substr(0, 4));

  EXPECT_EQ(end.sweep().state(), v1::SWEEP_STATE_SUCCEEDED) << end.sweep().message();
  EXPECT_EQ(end.sweep().trials_succeeded(), 2);
  EXPECT_EQ(end.sweep().best_trial_id(), sweep.id() + "-1");
  EXPECT_DOUBLE_EQ(end.sweep().best_value(), 0.8);
  ASSERT_THAT(end.trials(), SizeIs(2));
  const v1::Trial& best = end.trials(1);
  EXPECT_EQ(best.best_epoch(), 2);
  EXPECT_EQ(best.percent_done(), 100);
  EXPECT_DOUBLE_EQ(best.last_metrics().at("val/accuracy"), 0.7);
  EXPECT_EQ(best.latest_checkpoint().epoch(), 3);
  EXPECT_EQ(best.best_checkpoint().epoch(), 2);

  // The parameters were applied to what was sent to the workers.
  std::vector<v1::Assign> assigned = first.assigned();
  for (const v1::Assign& more : second.assigned()) assigned.push_back(more);
  ASSERT_THAT(assigned, SizeIs(4));
  for (const v1::Assign& assign : assigned) {
    const bool is_first = assign.trial().trial_id() == end.trials(0).id();
    EXPECT_DOUBLE_EQ(assign.config().optimizer().lr(), is_first ? 0.1 : 0.01);
    EXPECT_EQ(assign.config().precision(), "fp32");
    EXPECT_EQ(assign.manifest_digest(), set.manifest_digest());
  }

  // What was superseded is gone, what is referred to is there.
  EXPECT_TRUE(std::filesystem::exists(best.best_checkpoint().path()));
  const auto content = ReadFile(best.best_checkpoint().path());
  ASSERT_TRUE(content.ok());
  EXPECT_EQ(DigestOf(*content), best.best_checkpoint().digest());
  coordinator_->context().io.Drain();
  EXPECT_FALSE(
      Stat(DigestOf(absl::StrCat("checkpoint of ", best.id(), ", attempt 1, epoch 1"))).complete());

  v1::GetConfusionRequest query;
  query.set_trial_id(sweep.id());
  v1::GetConfusionResponse confusion;
  {
    grpc::ClientContext context;
    ASSERT_TRUE(sweeps_->GetConfusion(&context, query, &confusion).ok());
  }
  EXPECT_EQ(confusion.trial_id(), best.id());
  EXPECT_EQ(confusion.epoch(), 2);
  EXPECT_THAT(confusion.confusion().counts(), ::testing::ElementsAre(0, 1, 2, 3));
  EXPECT_DOUBLE_EQ(confusion.metrics().at("val/accuracy"), 0.8);
  query.set_epoch(9);
  {
    grpc::ClientContext context;
    const grpc::Status status = sweeps_->GetConfusion(&context, query, &confusion);
    EXPECT_EQ(status.error_code(), grpc::StatusCode::OUT_OF_RANGE);
    EXPECT_THAT(status.error_message(), HasSubstr("there are epochs 1, 2, 3"));
  }

  v1::GetLogsRequest logs;
  logs.set_trial_id(best.id());
  logs.set_follow(true);
  grpc::ClientContext context;
  SetDeadline(context);
  auto reader = sweeps_->GetLogs(&context, logs);
  v1::GetLogsResponse lines;
  ASSERT_TRUE(reader->Read(&lines));
  ASSERT_THAT(lines.lines(), SizeIs(3));
  EXPECT_EQ(lines.lines(2).text(), "epoch 3");
  EXPECT_FALSE(reader->Read(&lines));
  EXPECT_TRUE(reader->Finish().ok());

  v1::DeleteDatasetRequest remove;
  remove.set_name(kSetName);
  v1::DeleteDatasetResponse removed;
  grpc::ClientContext delete_context;
  EXPECT_TRUE(datasets_->DeleteDataset(&delete_context, remove, &removed).ok());
  coordinator_->context().io.Drain();
  EXPECT_FALSE(Stat(set.manifest_digest()).complete());
}

TEST_F(CoordinatorTest, ARestartedCoordinatorTakesUpWhereTheWorkersAre) {
  const v1::Dataset set = ImportTinySet();
  FakeWorker worker(Connect(), {.train_samples = set.train_samples(), .pause_after_epoch = 2});
  ASSERT_TRUE(worker.WaitRegistered());
  const uint64_t incarnation = worker.registered().incarnation();
  v1::SweepSpec spec = SpecOfTwoTrials();
  spec.clear_space();
  spec.mutable_resources()->set_ranks(1);
  v1::Sweep sweep;
  ASSERT_TRUE(Submit(spec, &sweep).ok());
  ASSERT_TRUE(worker.WaitPaused());

  coordinator_.reset();
  ASSERT_TRUE(worker.WaitEnded());
  worker.LetGo();  // goes on training, its reports wait
  StartCoordinator();
  worker.Reconnect(Connect());
  ASSERT_TRUE(worker.WaitRegistered());
  EXPECT_EQ(worker.registered().incarnation(), incarnation);

  const v1::WatchSweepResponse end = Watch(sweep.id());
  EXPECT_EQ(end.sweep().state(), v1::SWEEP_STATE_SUCCEEDED) << end.sweep().message();
  EXPECT_EQ(end.trials(0).attempt(), 1) << "it must not have been run twice";
  EXPECT_EQ(end.trials(0).epochs_done(), 3);
  EXPECT_THAT(worker.assigned(), SizeIs(1));
}

TEST_F(CoordinatorTest, ASubmissionIsIdempotentByItsRequestId) {
  ImportTinySet();
  v1::SubmitSweepRequest request;
  *request.mutable_spec() = SpecOfTwoTrials();
  request.set_request_id("once");
  request.set_wait_for_resources(true);
  v1::Sweep first, second;
  ASSERT_TRUE(Submit(request, &first).ok());
  ASSERT_TRUE(Submit(request, &second).ok());
  EXPECT_EQ(first.id(), second.id());
  request.set_dry_run(true);
  v1::Sweep preview;
  ASSERT_TRUE(Submit(request, &preview).ok());
  EXPECT_EQ(preview.id(), "");
  EXPECT_EQ(preview.trials_total(), 2);
  EXPECT_EQ(preview.spec().train().image_size(), 224) << "defaults are shown";
}

TEST_F(CoordinatorTest, EveryViolationIsReportedAtOnceWithItsField) {
  v1::SweepSpec spec;
  spec.set_name("bad");
  spec.set_dataset("tinny");
  spec.mutable_search()->set_method("tpe");
  spec.mutable_train()->set_batch_size(0);
  const grpc::Status status = Submit(spec, nullptr);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  v1::ValidationReport report;
  ASSERT_TRUE(report.ParseFromString(status.error_details()));
  std::vector<std::string> fields;
  for (const v1::Violation& violation : report.violations()) fields.push_back(violation.field());
  EXPECT_THAT(fields, ::testing::UnorderedElementsAre("dataset", "search.method",
                                                      "train.batch_size"));
}

TEST_F(CoordinatorTest, AnUnknownDataSetNamesNearOnesAndTooManyRanksSayHowManySlotsThereAre) {
  ImportTinySet();
  v1::SweepSpec spec = SpecOfTwoTrials();
  spec.set_dataset("tinny");
  grpc::Status status = Submit(spec, nullptr);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_THAT(status.error_message(), HasSubstr("did you mean tiny?"));

  FakeWorker worker(Connect(), {.slots = 1});
  ASSERT_TRUE(worker.WaitRegistered());
  status = Submit(SpecOfTwoTrials(), nullptr);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::FAILED_PRECONDITION);
  EXPECT_THAT(status.error_message(),
              AllOf(HasSubstr("needs 2"), HasSubstr("has 1 slot"), HasSubstr("--wait-for-resources")));
}

TEST_F(CoordinatorTest, AWorkerWithAnotherPlanFailsItsTrialAndSaysWhy) {
  const v1::Dataset set = ImportTinySet();
  FakeWorker worker(Connect(), {.train_samples = set.train_samples(), .wrong_plan = true});
  ASSERT_TRUE(worker.WaitRegistered());
  v1::SweepSpec spec = SpecOfTwoTrials();
  spec.clear_space();
  spec.mutable_retry()->set_infrastructure(0);
  v1::Sweep sweep;
  ASSERT_TRUE(Submit(spec, &sweep).ok());
  const v1::WatchSweepResponse end = Watch(sweep.id());
  EXPECT_EQ(end.sweep().state(), v1::SWEEP_STATE_FAILED);
  EXPECT_EQ(end.trials(0).failure_kind(), v1::FAILURE_KIND_INFRASTRUCTURE);
  EXPECT_THAT(end.trials(0).message(), HasSubstr("plans epoch 1 otherwise than the coordinator"));
}

TEST_F(CoordinatorTest, AWorkerOfAnotherVersionIsToldWhichSideToUpgrade) {
  FakeWorker worker(Connect(), {.protocol_version = kProtocolVersion + 1});
  ASSERT_TRUE(worker.WaitEnded());
  EXPECT_EQ(worker.ended_with().error_code(), grpc::StatusCode::FAILED_PRECONDITION);
  EXPECT_THAT(worker.ended_with().error_message(), HasSubstr("upgrade the coordinator"));
}

TEST_F(CoordinatorTest, ANewProcessUnderTheSameNameFencesTheOldOne) {
  FakeWorker old(Connect(), {});
  ASSERT_TRUE(old.WaitRegistered());
  FakeWorker fresh(Connect(), {.instance = "instance-2"});
  ASSERT_TRUE(fresh.WaitRegistered());
  ASSERT_TRUE(old.WaitEnded());
  EXPECT_EQ(old.ended_with().error_code(), grpc::StatusCode::ABORTED);
  EXPECT_THAT(old.told(), SizeIs(Ge(1)));
  EXPECT_GT(fresh.registered().incarnation(), old.registered().incarnation());
}

TEST_F(CoordinatorTest, AStoppedSweepEndsItsTrialsAndFreesItsSlots) {
  const v1::Dataset set = ImportTinySet();
  FakeWorker worker(Connect(), {.train_samples = set.train_samples(), .pause_after_epoch = 1});
  ASSERT_TRUE(worker.WaitRegistered());
  v1::Sweep sweep;
  ASSERT_TRUE(Submit(SpecOfTwoTrials(), &sweep).ok());
  ASSERT_TRUE(worker.WaitPaused());
  v1::StopSweepRequest request;
  request.set_sweep_id(sweep.id());
  v1::StopSweepResponse response;
  grpc::ClientContext context;
  ASSERT_TRUE(sweeps_->StopSweep(&context, request, &response).ok());
  const v1::WatchSweepResponse end = Watch(sweep.id());
  EXPECT_EQ(end.sweep().state(), v1::SWEEP_STATE_STOPPED);
  EXPECT_EQ(end.sweep().trials_stopped(), end.sweep().trials_total());
  EXPECT_EQ(Queries(coordinator_->context()).GetStatus().slots_idle(), 2);
}

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
  EXPECT_EQ(Upload(DigestOf("x"), 1, 0, "x").error_code(),
            grpc::StatusCode::RESOURCE_EXHAUSTED);
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
  for (const char* name : {"mead.v1.ClusterService", "mead.v1.DatasetService",
                           "mead.v1.SweepService", "mead.v1.ArtifactService",
                           "mead.v1.WorkerService", "grpc.health.v1.Health"}) {
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
