// A coordinator that keeps everything in memory and does what a test tells it to.
//
// Thread: gRPC's threads call the services; a test changes fields under Lock() or before
//   the first call.
#pragma once

#include <grpcpp/grpcpp.h>

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "mead/v1/artifact.grpc.pb.h"
#include "mead/v1/cluster.grpc.pb.h"
#include "mead/v1/dataset.grpc.pb.h"
#include "mead/v1/sweep.grpc.pb.h"

namespace mead::client {

struct FakeState {
  std::mutex mutex;

  // Sweeps: what GetSweep and the like answer; keyed by id.
  std::map<std::string, mead::v1::GetSweepResponse> sweeps;
  std::map<std::string, mead::v1::GetTrialResponse> trials;
  std::vector<mead::v1::WatchSweepResponse> watch;
  // The first stream breaks after this many updates, as if the coordinator had died.
  int watch_breaks_after = -1;
  // Called when all updates have been sent; then the stream stays open until it is cancelled.
  std::function<void()> on_watching;
  std::function<grpc::Status(const mead::v1::SubmitSweepRequest&, mead::v1::SubmitSweepResponse*)>
      on_submit;
  std::vector<mead::v1::SubmitSweepRequest> submitted;
  mead::v1::GetMetricsResponse metrics;
  mead::v1::GetConfusionResponse confusion;
  std::vector<mead::v1::LogLine> logs;
  int logs_break_after = -1;
  std::vector<std::string> stopped;

  // Artefacts: complete ones, and parts of others.
  std::map<std::string, std::string> artifacts;
  std::map<std::string, std::string> parts;
  // The first download breaks after this many bytes.
  uint64_t download_breaks_after = 0;
  // Bytes that downloads sent.
  uint64_t downloaded_bytes = 0;
  // Bytes that arrived in uploads.
  uint64_t uploaded_bytes = 0;
  // The first upload breaks after this many bytes.
  uint64_t upload_breaks_after = 0;

  std::vector<mead::v1::Dataset> datasets;
  std::vector<mead::v1::CreateDatasetRequest> created;

  mead::v1::GetStatusResponse status;
  // What every unary call fails with, when set.
  grpc::Status failure;
};

class FakeServer {
 public:
  FakeServer();
  ~FakeServer();

  std::string address() const;
  FakeState& state() { return *state_; }

 private:
  struct Services;
  std::unique_ptr<FakeState> state_;
  std::unique_ptr<Services> services_;
  std::unique_ptr<grpc::Server> server_;
  int port_ = 0;
};

}  // namespace mead::client
