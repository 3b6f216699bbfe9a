#include "worker/agent/artifact_client.h"

#include <grpcpp/client_context.h>

#include <chrono>
#include <fstream>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/grpc_status.h"

namespace mead::agent {
namespace {

constexpr size_t kChunkBytes = 1u << 20;
// Generous for one artefact on a slow link; a transfer that is cut goes on at
// its offset, so nothing is lost by it.
constexpr auto kTransferDeadline = std::chrono::minutes(15);
constexpr auto kCallDeadline = std::chrono::seconds(10);

// Cancels the call when the stop is requested.
class CancelOnStop {
 public:
  CancelOnStop(std::stop_token stop, grpc::ClientContext& context)
      : callback_(std::move(stop), [&context] { context.TryCancel(); }) {}

 private:
  std::stop_callback<std::function<void()>> callback_;
};

}  // namespace

bool IsTransient(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kUnavailable:
    case absl::StatusCode::kDeadlineExceeded:
    case absl::StatusCode::kAborted:
    case absl::StatusCode::kInternal:
    case absl::StatusCode::kUnknown:
    case absl::StatusCode::kCancelled:
    case absl::StatusCode::kResourceExhausted:
      return true;
    default:
      return false;
  }
}

absl::Status ArtifactClient::Read(const std::string& digest, uint64_t offset, const Sink& sink,
                                  std::stop_token stop) {
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + kTransferDeadline);
  const CancelOnStop cancel(stop, context);
  v1::DownloadArtifactRequest request;
  request.set_digest(digest);
  request.set_offset(offset);
  const auto reader = stub_->DownloadArtifact(&context, request);
  v1::DownloadArtifactResponse response;
  absl::Status local;
  uint64_t next = offset;
  while (local.ok() && reader->Read(&response)) {
    if (response.offset() != next) {
      local = absl::InternalError(absl::StrCat("expected bytes from offset ", next, " of ", digest,
                                               ", got ", response.offset()));
      break;
    }
    next += response.data().size();
    local = sink(response.data());
  }
  if (!local.ok()) context.TryCancel();
  const grpc::Status remote = reader->Finish();
  if (!local.ok()) return local;
  return FromGrpc(remote);
}

absl::Status ArtifactClient::Upload(const std::string& digest, const std::filesystem::path& file,
                                    std::stop_token stop) {
  std::error_code error;
  const uint64_t size = std::filesystem::file_size(file, error);
  if (error) return absl::NotFoundError(absl::StrCat(file.string(), ": ", error.message()));

  v1::StatArtifactResponse stat;
  {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + kCallDeadline);
    const CancelOnStop cancel(stop, context);
    v1::StatArtifactRequest request;
    request.set_digest(digest);
    const grpc::Status status = stub_->StatArtifact(&context, request, &stat);
    if (!status.ok()) return FromGrpc(status);
  }
  if (stat.complete()) return absl::OkStatus();

  std::ifstream in(file, std::ios::binary);
  in.seekg(static_cast<std::streamoff>(stat.stored_bytes()));
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + kTransferDeadline);
  const CancelOnStop cancel(stop, context);
  v1::UploadArtifactResponse response;
  const auto writer = stub_->UploadArtifact(&context, &response);
  v1::UploadArtifactRequest request;
  request.set_digest(digest);
  request.set_size_bytes(size);
  request.set_offset(stat.stored_bytes());
  std::string chunk;
  do {
    chunk.resize(kChunkBytes);
    in.read(chunk.data(), static_cast<std::streamsize>(chunk.size()));
    chunk.resize(static_cast<size_t>(in.gcount()));
    request.set_data(chunk);
    if (!writer->Write(request)) break;  // Finish() says why
    request.Clear();
  } while (in);
  writer->WritesDone();
  return FromGrpc(writer->Finish());
}

}  // namespace mead::agent
