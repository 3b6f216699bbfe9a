#include "client/download.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "client/stream.h"
#include "common/sha256.h"
#include "common/status_util.h"

namespace mead::client {
namespace {

using Response = mead::v1::DownloadArtifactResponse;

// length 0: to the end.
absl::StatusOr<std::string> Read(Connection& connection, const std::string& digest, uint64_t offset,
                                 uint64_t length) {
  std::string bytes;
  const auto open = [&](grpc::ClientContext* context) {
    mead::v1::DownloadArtifactRequest request;
    request.set_digest(digest);
    request.set_offset(offset + bytes.size());
    if (length > 0) request.set_length(length - bytes.size());
    return connection.artifacts().DownloadArtifact(context, request);
  };
  MEAD_RETURN_IF_ERROR(ReadStream<Response>(connection, open, [&](const Response& response) {
    bytes += response.data();
    return length == 0 || bytes.size() < length;
  }));
  if (length == 0) return bytes;
  // A coordinator that does not know lengths sends on.
  bytes.resize(std::min<size_t>(bytes.size(), length));
  if (bytes.size() < length) {
    return absl::DataLossError(
        absl::StrCat(digest, " ends ", length - bytes.size(), " bytes before what was asked for"));
  }
  return bytes;
}

}  // namespace

absl::StatusOr<std::string> Download(Connection& connection, const std::string& digest) {
  MEAD_ASSIGN_OR_RETURN(std::string bytes, Read(connection, digest, 0, 0));
  if (DigestOf(bytes) != digest) {
    return absl::DataLossError(absl::StrCat("what came for ", digest, " has another digest"));
  }
  return bytes;
}

absl::StatusOr<std::string> DownloadPart(Connection& connection, const std::string& digest,
                                         uint64_t offset, uint64_t length) {
  return Read(connection, digest, offset, length);
}

absl::StatusOr<std::string> DownloadPicture(Connection& connection,
                                            const dataset::Manifest& manifest,
                                            const dataset::Sample& sample) {
  absl::StatusOr<std::string> bytes =
      DownloadPart(connection, manifest.shards[sample.shard].digest, sample.offset, sample.size);
  if (!bytes.ok()) return Annotate(bytes.status(), absl::StrCat("picture ", sample.key));
  if (DigestOf(*bytes) != sample.digest) {
    return absl::DataLossError(
        absl::StrCat("picture ", sample.key, " is not what was added to the data set; \"mead ",
                     "dataset verify ", manifest.name, "\" looks at all of it"));
  }
  return bytes;
}

}  // namespace mead::client
