// ClusterService: see proto/mead/v1/cluster.proto.
#pragma once

#include "coordinator/service/queries.h"
#include "coordinator/service/rpc.h"
#include "mead/v1/cluster.grpc.pb.h"

namespace mead::service {

class ClusterServiceImpl final : public v1::ClusterService::CallbackService {
 public:
  explicit ClusterServiceImpl(ServiceContext& context) : context_(context), queries_(context) {}

  grpc::ServerUnaryReactor* GetStatus(grpc::CallbackServerContext* call,
                                      const v1::GetStatusRequest*,
                                      v1::GetStatusResponse* response) override {
    return Answer(call, context_.io, response,
                  [this] { return absl::StatusOr<v1::GetStatusResponse>(queries_.GetStatus()); });
  }

  grpc::ServerUnaryReactor* ListNodes(grpc::CallbackServerContext* call,
                                      const v1::ListNodesRequest*,
                                      v1::ListNodesResponse* response) override {
    return Answer(call, context_.io, response,
                  [this] { return absl::StatusOr<v1::ListNodesResponse>(queries_.ListNodes()); });
  }

 private:
  ServiceContext& context_;
  Queries queries_;
};

}  // namespace mead::service
