// Every question that users ask, answered from one snapshot. gRPC and HTTP both
// ask here, so they cannot disagree.
//
// Thread: every method may be called from any thread that may wait for the store.
// Errors: of the RPC with the same name (proto/mead/v1).
#pragma once

#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "coordinator/service/context.h"
#include "mead/v1/cluster.pb.h"
#include "mead/v1/dataset.pb.h"
#include "mead/v1/sweep.pb.h"

namespace mead::service {

class Queries {
 public:
  explicit Queries(ServiceContext& context) : context_(context) {}

  [[nodiscard]] v1::GetStatusResponse GetStatus() const;
  [[nodiscard]] v1::ListNodesResponse ListNodes() const;
  [[nodiscard]] v1::ListDatasetsResponse ListDatasets() const;
  [[nodiscard]] absl::StatusOr<v1::GetDatasetResponse> GetDataset(std::string_view name) const;
  // Newest first.
  [[nodiscard]] v1::ListSweepsResponse ListSweeps() const;
  [[nodiscard]] absl::StatusOr<v1::GetSweepResponse> GetSweep(std::string_view id) const;
  [[nodiscard]] absl::StatusOr<v1::GetTrialResponse> GetTrial(std::string_view id) const;
  [[nodiscard]] absl::StatusOr<v1::GetMetricsResponse> GetMetrics(
      const v1::GetMetricsRequest& request) const;
  [[nodiscard]] absl::StatusOr<v1::GetConfusionResponse> GetConfusion(
      const v1::GetConfusionRequest& request) const;

  // What an operator should know now; empty when all is well.
  [[nodiscard]] std::vector<v1::Condition> Conditions() const;

 private:
  ServiceContext& context_;
};

}  // namespace mead::service
