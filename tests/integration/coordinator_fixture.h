// A real coordinator in the test's process, over real gRPC, and what tests ask of it.
#pragma once

#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>

#include "common/dataset/synth.h"
#include "coordinator/service/coordinator.h"
#include "tests/support/temp_dir.h"

namespace mead::service {

inline constexpr char kSetName[] = "tiny";

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
    return Import(kSetName, pictures);
  }

  v1::Dataset Import(const std::string& name, const std::string& path) {
    v1::ImportDatasetRequest request;
    request.set_name(name);
    request.set_path(path);
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

}  // namespace mead::service
