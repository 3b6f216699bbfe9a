// SweepService: see proto/mead/v1/sweep.proto.
#pragma once

#include "coordinator/service/queries.h"
#include "mead/v1/sweep.grpc.pb.h"

namespace mead::service {

class SweepServiceImpl final : public v1::SweepService::CallbackService {
 public:
  explicit SweepServiceImpl(ServiceContext& context) : context_(context), queries_(context) {}

  grpc::ServerUnaryReactor* SubmitSweep(grpc::CallbackServerContext* call,
                                        const v1::SubmitSweepRequest* request,
                                        v1::SubmitSweepResponse* response) override;
  grpc::ServerUnaryReactor* ListSweeps(grpc::CallbackServerContext* call,
                                       const v1::ListSweepsRequest* request,
                                       v1::ListSweepsResponse* response) override;
  grpc::ServerUnaryReactor* GetSweep(grpc::CallbackServerContext* call,
                                     const v1::GetSweepRequest* request,
                                     v1::GetSweepResponse* response) override;
  grpc::ServerWriteReactor<v1::WatchSweepResponse>* WatchSweep(
      grpc::CallbackServerContext* call, const v1::WatchSweepRequest* request) override;
  grpc::ServerUnaryReactor* StopSweep(grpc::CallbackServerContext* call,
                                      const v1::StopSweepRequest* request,
                                      v1::StopSweepResponse* response) override;
  grpc::ServerUnaryReactor* StopTrial(grpc::CallbackServerContext* call,
                                      const v1::StopTrialRequest* request,
                                      v1::StopTrialResponse* response) override;
  grpc::ServerUnaryReactor* GetTrial(grpc::CallbackServerContext* call,
                                     const v1::GetTrialRequest* request,
                                     v1::GetTrialResponse* response) override;
  grpc::ServerUnaryReactor* GetMetrics(grpc::CallbackServerContext* call,
                                       const v1::GetMetricsRequest* request,
                                       v1::GetMetricsResponse* response) override;
  grpc::ServerUnaryReactor* GetConfusion(grpc::CallbackServerContext* call,
                                         const v1::GetConfusionRequest* request,
                                         v1::GetConfusionResponse* response) override;
  grpc::ServerWriteReactor<v1::GetLogsResponse>* GetLogs(
      grpc::CallbackServerContext* call, const v1::GetLogsRequest* request) override;

 private:
  ServiceContext& context_;
  Queries queries_;
};

}  // namespace mead::service
