// The coordinator's ArtifactService as an ArtifactSource.
#pragma once

#include <grpcpp/channel.h>

#include <memory>
#include <string>

#include "mead/v1/artifact.grpc.pb.h"
#include "worker/agent/artifact_source.h"

namespace mead::agent {

class ArtifactClient : public ArtifactSource {
 public:
  explicit ArtifactClient(const std::shared_ptr<grpc::Channel>& channel)
      : stub_(v1::ArtifactService::NewStub(channel)) {}

  absl::Status Read(const std::string& digest, uint64_t offset, const Sink& sink,
                    std::stop_token stop) override;
  absl::Status Upload(const std::string& digest, const std::filesystem::path& file,
                      std::stop_token stop) override;

 private:
  const std::unique_ptr<v1::ArtifactService::Stub> stub_;
};

}  // namespace mead::agent
