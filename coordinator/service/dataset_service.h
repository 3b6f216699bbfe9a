// DatasetService: see proto/mead/v1/dataset.proto.
//
// Thread: imports and verifications take minutes, so they have a pool of their
//   own; at most its threads of them run at once, the others wait.
#pragma once

#include "coordinator/service/dataset_registry.h"
#include "coordinator/service/queries.h"
#include "mead/v1/dataset.grpc.pb.h"

namespace mead::service {

class DatasetServiceImpl final : public v1::DatasetService::CallbackService {
 public:
  explicit DatasetServiceImpl(ServiceContext& context)
      : context_(context), queries_(context), registry_(context) {}

  grpc::ServerUnaryReactor* CreateDataset(grpc::CallbackServerContext* call,
                                          const v1::CreateDatasetRequest* request,
                                          v1::CreateDatasetResponse* response) override;
  grpc::ServerWriteReactor<v1::ImportDatasetResponse>* ImportDataset(
      grpc::CallbackServerContext* call, const v1::ImportDatasetRequest* request) override;
  grpc::ServerUnaryReactor* ListDatasets(grpc::CallbackServerContext* call,
                                         const v1::ListDatasetsRequest* request,
                                         v1::ListDatasetsResponse* response) override;
  grpc::ServerUnaryReactor* GetDataset(grpc::CallbackServerContext* call,
                                       const v1::GetDatasetRequest* request,
                                       v1::GetDatasetResponse* response) override;
  grpc::ServerUnaryReactor* VerifyDataset(grpc::CallbackServerContext* call,
                                          const v1::VerifyDatasetRequest* request,
                                          v1::VerifyDatasetResponse* response) override;
  grpc::ServerUnaryReactor* DeleteDataset(grpc::CallbackServerContext* call,
                                          const v1::DeleteDatasetRequest* request,
                                          v1::DeleteDatasetResponse* response) override;

 private:
  ServiceContext& context_;
  Queries queries_;
  DatasetRegistry registry_;
  IoPool long_jobs_{2};  // last: its jobs use the rest
};

}  // namespace mead::service
