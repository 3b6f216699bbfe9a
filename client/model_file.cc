#include "client/model_file.h"

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "client/download.h"
#include "common/status_util.h"

namespace mead::client {
namespace {

// worker/train/state/checkpoint.h and optim/ema.h write these.
constexpr char kOptimizer[] = "optimizer.";
constexpr char kAverage[] = "optimizer.ema.";

}  // namespace

absl::StatusOr<ModelFile> ModelFile::Open(Connection& connection,
                                          const mead::v1::Checkpoint& checkpoint) {
  const std::string& digest = checkpoint.digest();
  MEAD_ASSIGN_OR_RETURN(const std::string length, DownloadPart(connection, digest, 0, 8));
  MEAD_ASSIGN_OR_RETURN(const uint64_t header_bytes, results::HeaderBytes(length));
  MEAD_ASSIGN_OR_RETURN(const std::string header,
                        DownloadPart(connection, digest, 8, header_bytes));
  MEAD_ASSIGN_OR_RETURN(const results::TensorFile file,
                        results::ParseHeader(header, checkpoint.size_bytes()));
  ModelFile model(connection, digest);
  for (const auto& [name, tensor] : file.tensors) {
    if (absl::StartsWith(name, kOptimizer)) continue;
    const auto average = file.tensors.find(kAverage + name);
    const bool has_average = average != file.tensors.end();
    model.averaged_ = model.averaged_ || has_average;
    model.tensors_.push_back({name, has_average ? average->second : tensor});
  }
  if (model.tensors_.empty()) {
    return absl::InvalidArgumentError(absl::StrCat(digest, " holds no tensors of a model"));
  }
  return model;
}

absl::StatusOr<std::string> ModelFile::Read(const Entry& entry) const {
  if (entry.tensor.bytes == 0) return std::string();
  return DownloadPart(*connection_, digest_, entry.tensor.begin, entry.tensor.bytes);
}

}  // namespace mead::client
