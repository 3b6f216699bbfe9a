#include "client/upload.h"

#include <filesystem>
#include <fstream>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "client/interrupt.h"
#include "common/status_util.h"

namespace mead::client {
namespace {

constexpr size_t kChunkBytes = 1 << 20;  // the API's largest
// Of one stream; it is resumed when it passes, so slow lines do no harm.
constexpr absl::Duration kStreamDeadline = absl::Minutes(30);
constexpr absl::Duration kReconnectFor = absl::Minutes(2);

// One stream from `offset`. `sent` grows with every chunk handed over.
grpc::Status SendFrom(Connection* connection, std::ifstream& file, const std::string& digest,
                      uint64_t size, uint64_t offset, const UploadProgress& progress) {
  grpc::ClientContext context;
  Connection::SetDeadline(&context, kStreamDeadline);
  InterruptScope scope([&context] { context.TryCancel(); });
  mead::v1::UploadArtifactResponse response;
  const auto writer = connection->artifacts().UploadArtifact(&context, &response);
  mead::v1::UploadArtifactRequest request;
  request.set_digest(digest);
  request.set_size_bytes(size);
  request.set_offset(offset);
  file.clear();
  file.seekg(static_cast<std::streamoff>(offset));
  std::string chunk(kChunkBytes, '\0');
  bool open = writer->Write(request);
  const uint64_t resumed_at = offset;
  while (open && offset < size) {
    file.read(chunk.data(), static_cast<std::streamsize>(chunk.size()));
    const size_t count = static_cast<size_t>(file.gcount());
    if (count == 0) {
      // Ends the call; the coordinator keeps what it has.
      context.TryCancel();
      (void)writer->Finish();
      return grpc::Status(grpc::StatusCode::ABORTED, "the file became shorter while it was sent");
    }
    request.Clear();
    request.set_data(chunk.substr(0, count));
    open = writer->Write(request);
    offset += count;
    if (open) progress(offset, size, resumed_at);
  }
  writer->WritesDone();
  return writer->Finish();
}

}  // namespace

absl::Status UploadFile(Connection* connection, const std::string& path, const std::string& digest,
                        const UploadProgress& progress) {
  std::error_code error;
  const uint64_t size = std::filesystem::file_size(path, error);
  std::ifstream file(path, std::ios::binary);
  if (error || !file) return absl::NotFoundError(absl::StrCat("cannot read ", path));
  absl::Time lost_at = absl::InfiniteFuture();
  for (int attempt = 0;; ++attempt) {
    mead::v1::StatArtifactRequest request;
    request.set_digest(digest);
    mead::v1::StatArtifactResponse stat;
    absl::Status status = connection->Call(
        connection->artifacts(), &mead::v1::ArtifactService::Stub::StatArtifact, request, &stat);
    if (status.ok()) {
      if (stat.complete()) {
        progress(size, size, size);
        return absl::OkStatus();
      }
      const uint64_t offset = std::min<uint64_t>(stat.stored_bytes(), size);
      const grpc::Status sent = SendFrom(connection, file, digest, size, offset, progress);
      if (sent.ok()) return absl::OkStatus();
      status = connection->Explain(sent);
      // The stored size changed between the question and the upload: ask again.
      const bool ask_again = sent.error_code() == grpc::StatusCode::OUT_OF_RANGE;
      if (ask_again && attempt < 5) continue;
    } else if (attempt == 0) {
      return status;  // nobody there to begin with
    }
    if (Interrupted()) return absl::CancelledError("interrupted");
    if (!absl::IsUnavailable(status) && !absl::IsDeadlineExceeded(status)) return status;
    if (lost_at == absl::InfiniteFuture()) lost_at = absl::Now();
    if (absl::Now() - lost_at > kReconnectFor) return status;
    if (!InterruptibleSleep(RetryDelay(attempt))) return absl::CancelledError("interrupted");
  }
}

}  // namespace mead::client
