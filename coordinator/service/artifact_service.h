// ArtifactService: see proto/mead/v1/artifact.proto.
//
// Backpressure: an upload reads its next message when the last one is on its way
//   to the disk, a download reads the disk when the last chunk has been taken; so
//   a transfer holds one chunk, whatever its size.
#pragma once

#include "coordinator/service/context.h"
#include "mead/v1/artifact.grpc.pb.h"

namespace mead::service {

class ArtifactServiceImpl final : public v1::ArtifactService::CallbackService {
 public:
  static constexpr size_t kChunkBytes = 1 << 20;

  explicit ArtifactServiceImpl(ServiceContext& context) : context_(context) {}

  grpc::ServerUnaryReactor* StatArtifact(grpc::CallbackServerContext* call,
                                         const v1::StatArtifactRequest* request,
                                         v1::StatArtifactResponse* response) override;
  grpc::ServerReadReactor<v1::UploadArtifactRequest>* UploadArtifact(
      grpc::CallbackServerContext* call, v1::UploadArtifactResponse* response) override;
  grpc::ServerWriteReactor<v1::DownloadArtifactResponse>* DownloadArtifact(
      grpc::CallbackServerContext* call, const v1::DownloadArtifactRequest* request) override;

 private:
  ServiceContext& context_;
};

}  // namespace mead::service
