#include "tests/unit/client/fake_server.h"

#include <algorithm>
#include <thread>

#include "absl/strings/str_cat.h"

namespace mead::client {
namespace {

using grpc::ServerContext;
using grpc::Status;
using grpc::StatusCode;
using Guard = std::lock_guard<std::mutex>;

class Sweeps final : public mead::v1::SweepService::Service {
 public:
  explicit Sweeps(FakeState* state) : state_(*state) {}

  Status SubmitSweep(ServerContext*, const mead::v1::SubmitSweepRequest* request,
                     mead::v1::SubmitSweepResponse* response) override {
    const Guard guard(state_.mutex);
    if (!state_.failure.ok()) return state_.failure;
    state_.submitted.push_back(*request);
    if (state_.on_submit) return state_.on_submit(*request, response);
    *response->mutable_sweep()->mutable_spec() = request->spec();
    if (!request->dry_run()) response->mutable_sweep()->set_id("swp-1");
    return Status::OK;
  }
  Status ListSweeps(ServerContext*, const mead::v1::ListSweepsRequest*,
                    mead::v1::ListSweepsResponse* response) override {
    const Guard guard(state_.mutex);
    if (!state_.failure.ok()) return state_.failure;
    for (const auto& [id, sweep] : state_.sweeps) *response->add_sweeps() = sweep.sweep();
    return Status::OK;
  }
  Status GetSweep(ServerContext*, const mead::v1::GetSweepRequest* request,
                  mead::v1::GetSweepResponse* response) override {
    const Guard guard(state_.mutex);
    const auto it = state_.sweeps.find(request->sweep_id());
    if (it == state_.sweeps.end()) return {StatusCode::NOT_FOUND, "no sweep"};
    *response = it->second;
    return Status::OK;
  }
  Status WatchSweep(ServerContext* context, const mead::v1::WatchSweepRequest*,
                    grpc::ServerWriter<mead::v1::WatchSweepResponse>* writer) override {
    const Guard guard(state_.mutex);
    int sent = 0;
    for (const auto& update : state_.watch) {
      if (sent++ == state_.watch_breaks_after) {
        state_.watch_breaks_after = -1;
        return {StatusCode::UNAVAILABLE, "gone"};
      }
      writer->Write(update);
    }
    if (state_.on_watching) {
      state_.on_watching();
      while (!context->IsCancelled()) std::this_thread::yield();
    }
    return Status::OK;
  }
  Status StopSweep(ServerContext*, const mead::v1::StopSweepRequest* request,
                   mead::v1::StopSweepResponse* response) override {
    const Guard guard(state_.mutex);
    const auto it = state_.sweeps.find(request->sweep_id());
    if (it == state_.sweeps.end()) return {StatusCode::NOT_FOUND, "no sweep"};
    state_.stopped.push_back(request->sweep_id());
    *response->mutable_sweep() = it->second.sweep();
    return Status::OK;
  }
  Status StopTrial(ServerContext*, const mead::v1::StopTrialRequest* request,
                   mead::v1::StopTrialResponse* response) override {
    const Guard guard(state_.mutex);
    const auto it = state_.trials.find(request->trial_id());
    if (it == state_.trials.end()) return {StatusCode::NOT_FOUND, "no trial or sweep"};
    state_.stopped.push_back(request->trial_id());
    *response->mutable_trial() = it->second.trial();
    return Status::OK;
  }
  Status GetTrial(ServerContext*, const mead::v1::GetTrialRequest* request,
                  mead::v1::GetTrialResponse* response) override {
    const Guard guard(state_.mutex);
    const auto it = state_.trials.find(request->trial_id());
    if (it == state_.trials.end()) {
      return {StatusCode::NOT_FOUND, absl::StrCat("no trial or sweep ", request->trial_id())};
    }
    *response = it->second;
    return Status::OK;
  }
  Status GetMetrics(ServerContext*, const mead::v1::GetMetricsRequest*,
                    mead::v1::GetMetricsResponse* response) override {
    const Guard guard(state_.mutex);
    *response = state_.metrics;
    return Status::OK;
  }
  Status GetConfusion(ServerContext*, const mead::v1::GetConfusionRequest* request,
                      mead::v1::GetConfusionResponse* response) override {
    const Guard guard(state_.mutex);
    if (request->epoch() > 5) return {StatusCode::OUT_OF_RANGE, "no epoch 9 yet; 1 to 5"};
    *response = state_.confusion;
    if (!request->pooled()) response->clear_pooled();
    return Status::OK;
  }
  Status GetLogs(ServerContext*, const mead::v1::GetLogsRequest*,
                 grpc::ServerWriter<mead::v1::GetLogsResponse>* writer) override {
    const Guard guard(state_.mutex);
    int sent = 0;
    for (const auto& line : state_.logs) {
      if (sent++ == state_.logs_break_after) {
        state_.logs_break_after = -1;
        return {StatusCode::UNAVAILABLE, "gone"};
      }
      mead::v1::GetLogsResponse response;
      *response.add_lines() = line;
      writer->Write(response);
    }
    return Status::OK;
  }

 private:
  FakeState& state_;
};

class Artifacts final : public mead::v1::ArtifactService::Service {
 public:
  explicit Artifacts(FakeState* state) : state_(*state) {}

  Status StatArtifact(ServerContext*, const mead::v1::StatArtifactRequest* request,
                      mead::v1::StatArtifactResponse* response) override {
    const Guard guard(state_.mutex);
    response->set_complete(state_.artifacts.contains(request->digest()));
    const auto part = state_.parts.find(request->digest());
    if (part != state_.parts.end()) response->set_stored_bytes(part->second.size());
    return Status::OK;
  }
  Status UploadArtifact(ServerContext*, grpc::ServerReader<mead::v1::UploadArtifactRequest>* reader,
                        mead::v1::UploadArtifactResponse* response) override {
    mead::v1::UploadArtifactRequest request;
    if (!reader->Read(&request)) return {StatusCode::INVALID_ARGUMENT, "no first message"};
    const Guard guard(state_.mutex);
    const std::string digest = request.digest();
    const uint64_t size = request.size_bytes();
    std::string& part = state_.parts[digest];
    if (request.offset() != part.size()) return {StatusCode::OUT_OF_RANGE, "wrong offset"};
    while (reader->Read(&request)) {
      if (request.data().size() > 1 << 20) return {StatusCode::INVALID_ARGUMENT, "chunk too large"};
      part += request.data();
      state_.uploaded_bytes += request.data().size();
      if (state_.upload_breaks_after > 0 && state_.uploaded_bytes >= state_.upload_breaks_after) {
        state_.upload_breaks_after = 0;
        return {StatusCode::UNAVAILABLE, "gone"};
      }
    }
    if (part.size() != size) return {StatusCode::DATA_LOSS, "wrong size"};
    state_.artifacts[digest] = part;
    state_.parts.erase(digest);
    response->set_digest(digest);
    return Status::OK;
  }
  // In chunks of seventy bytes.
  Status DownloadArtifact(ServerContext*, const mead::v1::DownloadArtifactRequest* request,
                          grpc::ServerWriter<mead::v1::DownloadArtifactResponse>* writer) override {
    const Guard guard(state_.mutex);
    const auto it = state_.artifacts.find(request->digest());
    if (it == state_.artifacts.end()) return {StatusCode::NOT_FOUND, "no such artefact"};
    const uint64_t size = it->second.size();
    const uint64_t end = request->length() == 0
                             ? size
                             : std::min<uint64_t>(size, request->offset() + request->length());
    mead::v1::DownloadArtifactResponse response;
    for (uint64_t at = request->offset(); at < end;) {
      response.set_offset(at);
      response.set_size_bytes(size);
      response.set_data(it->second.substr(at, std::min<uint64_t>(70, end - at)));
      at += response.data().size();
      state_.downloaded_bytes += response.data().size();
      writer->Write(response);
      if (state_.download_breaks_after > 0 &&
          state_.downloaded_bytes >= state_.download_breaks_after) {
        state_.download_breaks_after = 0;
        return {StatusCode::UNAVAILABLE, "gone"};
      }
    }
    return Status::OK;
  }

 private:
  FakeState& state_;
};

class Datasets final : public mead::v1::DatasetService::Service {
 public:
  explicit Datasets(FakeState* state) : state_(*state) {}

  Status CreateDataset(ServerContext*, const mead::v1::CreateDatasetRequest* request,
                       mead::v1::CreateDatasetResponse* response) override {
    const Guard guard(state_.mutex);
    if (!state_.artifacts.contains(request->manifest_digest())) {
      return {StatusCode::FAILED_PRECONDITION, "the manifest is not stored"};
    }
    state_.created.push_back(*request);
    response->mutable_dataset()->set_name(request->name());
    response->mutable_dataset()->set_manifest_digest(request->manifest_digest());
    return Status::OK;
  }
  Status ImportDataset(ServerContext*, const mead::v1::ImportDatasetRequest* request,
                       grpc::ServerWriter<mead::v1::ImportDatasetResponse>* writer) override {
    if (request->path() == "/missing") return {StatusCode::NOT_FOUND, "no such path there"};
    mead::v1::ImportDatasetResponse response;
    response.set_phase("scan");
    response.set_done(1);
    response.set_total(1);
    writer->Write(response);
    response.set_phase("done");
    response.mutable_dataset()->set_name(request->name());
    writer->Write(response);
    return Status::OK;
  }
  Status ListDatasets(ServerContext*, const mead::v1::ListDatasetsRequest*,
                      mead::v1::ListDatasetsResponse* response) override {
    const Guard guard(state_.mutex);
    for (const auto& dataset : state_.datasets) *response->add_datasets() = dataset;
    return Status::OK;
  }
  Status GetDataset(ServerContext*, const mead::v1::GetDatasetRequest* request,
                    mead::v1::GetDatasetResponse* response) override {
    const Guard guard(state_.mutex);
    for (const auto& dataset : state_.datasets) {
      if (dataset.name() != request->name()) continue;
      *response->mutable_dataset() = dataset;
      return Status::OK;
    }
    return {StatusCode::NOT_FOUND, absl::StrCat("no data set \"", request->name(), "\"")};
  }
  Status VerifyDataset(ServerContext*, const mead::v1::VerifyDatasetRequest*,
                       mead::v1::VerifyDatasetResponse* response) override {
    const Guard guard(state_.mutex);
    if (!state_.failure.ok()) return state_.failure;
    response->set_shards(3);
    response->set_bytes(3 << 20);
    return Status::OK;
  }

 private:
  FakeState& state_;
};

class Cluster final : public mead::v1::ClusterService::Service {
 public:
  explicit Cluster(FakeState* state) : state_(*state) {}

  Status GetStatus(ServerContext*, const mead::v1::GetStatusRequest*,
                   mead::v1::GetStatusResponse* response) override {
    const Guard guard(state_.mutex);
    if (!state_.failure.ok()) return state_.failure;
    *response = state_.status;
    return Status::OK;
  }
  Status ListNodes(ServerContext*, const mead::v1::ListNodesRequest*,
                   mead::v1::ListNodesResponse* response) override {
    const Guard guard(state_.mutex);
    *response->mutable_nodes() = state_.status.nodes();
    return Status::OK;
  }

 private:
  FakeState& state_;
};

}  // namespace

struct FakeServer::Services {
  explicit Services(FakeState* state)
      : sweeps(state), artifacts(state), datasets(state), cluster(state) {}
  Sweeps sweeps;
  Artifacts artifacts;
  Datasets datasets;
  Cluster cluster;
};

FakeServer::FakeServer()
    : state_(std::make_unique<FakeState>()), services_(std::make_unique<Services>(state_.get())) {
  grpc::ServerBuilder builder;
  builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port_);
  builder.RegisterService(&services_->sweeps);
  builder.RegisterService(&services_->artifacts);
  builder.RegisterService(&services_->datasets);
  builder.RegisterService(&services_->cluster);
  server_ = builder.BuildAndStart();
}

FakeServer::~FakeServer() { server_->Shutdown(std::chrono::system_clock::now()); }

std::string FakeServer::address() const { return absl::StrCat("127.0.0.1:", port_); }

}  // namespace mead::client
