#include "coordinator/service/dataset_registry.h"

#include <algorithm>
#include <filesystem>
#include <set>
#include <system_error>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/dataset/build.h"
#include "common/ids.h"
#include "common/log.h"
#include "common/status_util.h"
#include "coordinator/service/convert.h"
#include "coordinator/service/leakage_view.h"
#include "coordinator/service/manifests.h"
#include "coordinator/service/resolve.h"
#include "coordinator/service/views.h"

namespace mead::service {
namespace {

namespace fs = std::filesystem;

absl::Status CheckName(std::string_view name) {
  const bool fits =
      !name.empty() && name.size() <= 63 && name.front() != '-' &&
      std::all_of(name.begin(), name.end(), [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
               c == '.' || c == '_' || c == '-';
      });
  if (fits) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("'", std::string(name),
                   "' is no data set name: use 1 to 63 letters, digits and . _ -"));
}

v1::Dataset Describe(const dataset::Manifest& manifest, const std::string& name,
                     const std::string& digest, core::TimeMicros now) {
  v1::Dataset view;
  view.set_name(name);
  view.set_manifest_digest(digest);
  const std::vector<uint64_t> train = manifest.ClassCounts(dataset::Split::kTrain);
  const std::vector<uint64_t> val = manifest.ClassCounts(dataset::Split::kVal);
  for (size_t i = 0; i < manifest.classes.size(); ++i) {
    v1::ClassCount& count = *view.add_classes();
    count.set_name(manifest.classes[i]);
    count.set_train_samples(train[i]);
    count.set_val_samples(val[i]);
  }
  view.set_train_samples(manifest.Count(dataset::Split::kTrain));
  view.set_val_samples(manifest.Count(dataset::Split::kVal));
  view.set_total_bytes(manifest.TotalBytes());
  view.set_shards(static_cast<uint32_t>(manifest.shards.size()));
  view.set_split_method(manifest.split_method);
  for (const dataset::QuarantinedFile& file : manifest.quarantined) {
    v1::QuarantinedFile& out = *view.add_quarantined();
    out.set_path(file.path);
    out.set_reason(file.reason);
  }
  if (manifest.leakage_guard != dataset::LeakageGuard::kUnknown) {
    *view.mutable_leakage() = LeakageCounts(manifest);
  }
  *view.mutable_create_time() = ToTimestamp(now);
  return view;
}

// A folder that goes away with its scope.
class WorkFolder {
 public:
  explicit WorkFolder(fs::path path) : path_(std::move(path)) {}
  ~WorkFolder() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  WorkFolder(const WorkFolder&) = delete;
  WorkFolder& operator=(const WorkFolder&) = delete;
  const fs::path& path() const { return path_; }

 private:
  const fs::path path_;
};

}  // namespace

absl::StatusOr<core::DatasetCreated> DatasetRegistry::Prepare(const std::string& name,
                                                              const std::string& manifest_digest) {
  MEAD_RETURN_IF_ERROR(CheckName(name));
  MEAD_ASSIGN_OR_RETURN(const dataset::Manifest manifest, LoadManifest(context_, manifest_digest));
  if (manifest.Count(dataset::Split::kTrain) == 0 || manifest.Count(dataset::Split::kVal) == 0) {
    return absl::InvalidArgumentError(absl::StrCat(
        "data set '", name, "' has ", manifest.Count(dataset::Split::kTrain),
        " pictures to train on and ", manifest.Count(dataset::Split::kVal),
        " to evaluate on; both must have some"));
  }
  for (const dataset::Shard& shard : manifest.shards) {
    const absl::StatusOr<uint64_t> size = context_.artifacts.SizeOf(shard.digest);
    if (absl::IsNotFound(size.status())) {
      return absl::FailedPreconditionError(absl::StrCat(
          "shard ", shard.digest, " of data set '", name, "' has not been uploaded; upload it"));
    }
    MEAD_RETURN_IF_ERROR(size.status());
    if (*size != shard.bytes) {
      return absl::InvalidArgumentError(absl::StrCat("shard ", shard.digest, " has ", *size,
                                                     " bytes, but the manifest says ",
                                                     shard.bytes));
    }
  }
  core::DatasetCreated event;
  event.name = name;
  event.manifest_digest = manifest_digest;
  event.train_samples = manifest.Count(dataset::Split::kTrain);
  event.encoded =
      Describe(manifest, name, manifest_digest, context_.clock.NowMicros()).SerializeAsString();
  return event;
}

void DatasetRegistry::Create(const std::string& name, const std::string& manifest_digest,
                             Done done) {
  const auto answer = [name, manifest_digest](const core::ClusterState& state)
      -> absl::StatusOr<v1::Dataset> {
    const auto stored = state.datasets.find(name);
    if (stored == state.datasets.end()) {
      return absl::AbortedError(absl::StrCat("data set '", name, "' has just been removed"));
    }
    if (stored->second.manifest_digest != manifest_digest) {
      return absl::AlreadyExistsError(absl::StrCat(
          "there is a data set '", name,
          "' with other pictures (or another seed or split); choose another name, or remove it "
          "with 'mead dataset remove ", name, "'"));
    }
    return DatasetView(stored->second);
  };
  const auto state = context_.engine.snapshot();
  if (state->datasets.contains(name)) {
    done(answer(*state));
    return;
  }
  absl::Status admitted = context_.disk.Admit();
  if (!admitted.ok()) {
    done(admitted);
    return;
  }
  absl::StatusOr<core::DatasetCreated> event = Prepare(name, manifest_digest);
  if (!event.ok()) {
    done(event.status());
    return;
  }
  context_.engine.Post(*std::move(event),
                       [answer, done = std::move(done)](const absl::Status& status,
                                                        const core::ClusterState& now) {
                         if (status.ok()) {
                           done(answer(now));
                         } else {
                           done(status);
                         }
                       });
}

absl::StatusOr<std::string> DatasetRegistry::Build(const v1::ImportDatasetRequest& request,
                                                   Progress progress) {
  MEAD_RETURN_IF_ERROR(CheckName(request.name()));
  MEAD_RETURN_IF_ERROR(context_.disk.Admit());
  // Beside the artefacts, so that storing a shard need not copy between disks.
  const WorkFolder folder(context_.artifacts.root().parent_path() / "imports" /
                          RandomId("import-", 10));
  dataset::BuildOptions options;
  options.name = request.name();
  options.path = request.path();
  if (request.val_fraction() != 0) options.val_fraction = request.val_fraction();
  if (request.seed() != 0) options.seed = request.seed();
  options.leakage_guard = !request.no_leakage_guard();
  options.drop_straddling = request.drop_straddling();
  options.group_by = request.group_by();
  options.out_dir = folder.path().string();
  options.progress = std::move(progress);
  MEAD_ASSIGN_OR_RETURN(const dataset::Manifest manifest, dataset::BuildDataset(options));
  for (size_t i = 0; i < manifest.shards.size(); ++i) {
    MEAD_RETURN_IF_ERROR(context_.disk.Admit(manifest.shards[i].bytes));
    MEAD_RETURN_IF_ERROR(
        context_.artifacts.Import(folder.path() / dataset::ShardFileName(manifest, i)).status());
  }
  return context_.artifacts.Put(manifest.ToJson());
}

absl::StatusOr<v1::VerifyDatasetResponse> DatasetRegistry::Verify(
    std::string_view name, const std::function<bool()>& cancelled) {
  const auto state = context_.engine.snapshot();
  MEAD_ASSIGN_OR_RETURN(const core::Dataset* stored, FindDataset(*state, name));
  const std::string remedy = absl::StrCat("; add the data set again to repair it");
  if (absl::Status status = context_.artifacts.Verify(stored->manifest_digest); !status.ok()) {
    return absl::DataLossError(absl::StrCat("data set '", stored->name, "': its manifest: ",
                                            status.message(), remedy));
  }
  MEAD_ASSIGN_OR_RETURN(const dataset::Manifest manifest,
                        LoadManifest(context_, stored->manifest_digest));
  v1::VerifyDatasetResponse response;
  std::vector<std::string> damaged;
  for (size_t i = 0; i < manifest.shards.size(); ++i) {
    if (cancelled()) return absl::CancelledError("the caller has gone");
    const dataset::Shard& shard = manifest.shards[i];
    if (const absl::Status status = context_.artifacts.Verify(shard.digest); !status.ok()) {
      damaged.push_back(absl::StrCat("shard ", i, " (", shard.digest, "): ", status.message()));
    }
    response.set_shards(response.shards() + 1);
    response.set_bytes(response.bytes() + shard.bytes);
  }
  if (!damaged.empty()) {
    return absl::DataLossError(absl::StrCat("data set '", stored->name, "': ", damaged.size(),
                                            " of ", manifest.shards.size(), " shards damaged: ",
                                            absl::StrJoin(damaged, "; "), remedy));
  }
  return response;
}

void DatasetRegistry::RemoveFiles(const std::string& manifest_digest) {
  const absl::StatusOr<dataset::Manifest> manifest = LoadManifest(context_, manifest_digest);
  if (!manifest.ok()) return;  // damaged: its files are found by nobody, and harm nobody
  std::set<std::string> unused = {manifest_digest};
  for (const dataset::Shard& shard : manifest->shards) unused.insert(shard.digest);
  const auto state = context_.engine.snapshot();
  for (const auto& [name, dataset] : state->datasets) {
    unused.erase(dataset.manifest_digest);
    const absl::StatusOr<dataset::Manifest> other = LoadManifest(context_, dataset.manifest_digest);
    if (!other.ok()) return;  // what it needs is not known: remove nothing
    for (const dataset::Shard& shard : other->shards) unused.erase(shard.digest);
  }
  for (const std::string& digest : unused) {
    if (const absl::Status status = context_.artifacts.Remove(digest); !status.ok()) {
      Log(LogLevel::kWarning, absl::StrCat("cannot remove ", digest, ": ", status.message()));
    }
  }
}

}  // namespace mead::service
