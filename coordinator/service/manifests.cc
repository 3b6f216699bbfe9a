#include "coordinator/service/manifests.h"

#include <cstdint>

#include "absl/strings/str_cat.h"
#include "common/status_util.h"

namespace mead::service {

absl::StatusOr<dataset::Manifest> LoadManifest(ServiceContext& context, const std::string& digest) {
  constexpr uint64_t kMaxManifestBytes = 1ull << 30;
  const absl::StatusOr<uint64_t> size = context.artifacts.SizeOf(digest);
  if (absl::IsNotFound(size.status())) {
    return absl::FailedPreconditionError(
        absl::StrCat("the manifest ", digest, " has not been uploaded"));
  }
  MEAD_RETURN_IF_ERROR(size.status());
  if (*size > kMaxManifestBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat(digest, " is no manifest: it has ", *size, " bytes"));
  }
  MEAD_ASSIGN_OR_RETURN(const std::string json, context.artifacts.Read(digest, 0, *size));
  return dataset::Manifest::FromJson(json);
}

}  // namespace mead::service
