#include "client/download.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "client/stream.h"
#include "common/status_util.h"

namespace mead::client {

absl::StatusOr<std::string> DownloadRange(Connection* connection, const std::string& digest,
                                          uint64_t offset, uint64_t size) {
  std::string bytes;
  const auto open = [&](grpc::ClientContext* context) {
    mead::v1::DownloadArtifactRequest request;
    request.set_digest(digest);
    request.set_offset(offset + bytes.size());
    return connection->artifacts().DownloadArtifact(context, request);
  };
  const auto take = [&](const mead::v1::DownloadArtifactResponse& response) {
    const uint64_t wanted = std::min<uint64_t>(response.data().size(), size - bytes.size());
    bytes.append(response.data(), 0, wanted);
    return bytes.size() < size;
  };
  MEAD_RETURN_IF_ERROR(ReadStream<mead::v1::DownloadArtifactResponse>(*connection, open, take));
  if (size != kToTheEnd && bytes.size() < size) {
    return absl::DataLossError(absl::StrCat(digest, " ends at byte ", offset + bytes.size(), "; ",
                                            size, " bytes from ", offset,
                                            " on were wanted: run mead dataset verify"));
  }
  return bytes;
}

}  // namespace mead::client
