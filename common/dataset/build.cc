#include "common/dataset/build.h"

#include <algorithm>
#include <filesystem>
#include <map>
#include <system_error>
#include <tuple>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/dataset/input.h"
#include "common/dataset/leakage.h"
#include "common/dataset/near_duplicates.h"
#include "common/dataset/pack.h"
#include "common/dataset/split.h"
#include "common/dataset/verify_image.h"
#include "common/files.h"
#include "common/sha256.h"
#include "common/status_util.h"

namespace mead::dataset {
namespace {

namespace fs = std::filesystem;

// Removes the folder that something was unpacked into, whatever happens.
class ScopedFolder {
 public:
  explicit ScopedFolder(fs::path path) : path_(std::move(path)) { Remove(); }
  ~ScopedFolder() { Remove(); }
  ScopedFolder(const ScopedFolder&) = delete;
  ScopedFolder& operator=(const ScopedFolder&) = delete;
  std::string path() const { return path_.string(); }

 private:
  void Remove() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  fs::path path_;
};

absl::Status CheckOptions(const BuildOptions& options) {
  if (options.name.empty()) return absl::InvalidArgumentError("a data set needs a name");
  if (!(options.val_fraction > 0 && options.val_fraction < 1)) {
    return absl::InvalidArgumentError(
        absl::StrCat("val_fraction is ", options.val_fraction,
                     ": expected a share between 0 and 1, such as 0.2"));
  }
  if (options.drop_straddling && !options.leakage_guard) {
    return absl::InvalidArgumentError(
        "dropping straddling pictures needs the leakage guard, which finds them: switch it on");
  }
  return absl::OkStatus();
}

// Every class needs pictures to train on, and there must be some to evaluate.
absl::Status CheckUsable(const Manifest& manifest, const std::vector<std::string>& reasons) {
  const std::vector<uint64_t> train = manifest.ClassCounts(Split::kTrain);
  for (size_t c = 0; c < train.size(); ++c) {
    if (train[c] > 0) continue;
    return absl::InvalidArgumentError(
        absl::StrCat("the class '", manifest.classes[c], "' has no usable pictures to train on",
                     reasons[c].empty() ? "" : absl::StrCat(" (", reasons[c], ")"), ": put good ",
                     kImageFormats, " files into its folder, or remove it"));
  }
  if (manifest.Count(Split::kVal) == 0) {
    return absl::InvalidArgumentError(
        manifest.split_method == "given"
            ? absl::StrCat("the evaluation folders have no usable pictures: put good ",
                           kImageFormats, " files into them")
            : "no pictures left to evaluate on: every class needs at least two different pictures, "
              "or groups of them");
  }
  return absl::OkStatus();
}

struct Picture {
  Sample sample;
  PackItem item;
  Look look;
  uint64_t order = 0;
};

void FindGroups(const BuildOptions& options, std::vector<Picture>& pictures) {
  std::vector<Look> looks;
  looks.reserve(pictures.size());
  for (Picture& picture : pictures) looks.push_back(std::move(picture.look));
  const std::vector<uint32_t> groups =
      GroupNearDuplicates(looks, options.threads, options.progress);
  for (size_t i = 0; i < pictures.size(); ++i) pictures[i].sample.group = groups[i];
}

absl::Status MakeSplit(const BuildOptions& options, std::vector<Picture>& pictures) {
  std::vector<const Sample*> samples;
  for (const Picture& picture : pictures) samples.push_back(&picture.sample);
  MEAD_ASSIGN_OR_RETURN(const std::vector<SplitItem> items,
                        SplitItemsOf(samples, options.group_by));
  const std::vector<Split> splits = StratifiedSplit(items, options.val_fraction, options.seed);
  for (size_t i = 0; i < pictures.size(); ++i) pictures[i].sample.split = splits[i];
  return absl::OkStatus();
}

void DropStraddling(std::vector<Picture>& pictures, std::vector<QuarantinedFile>& quarantined) {
  std::map<uint32_t, std::string> evaluated;  // group -> its first picture that is evaluated
  for (const Picture& picture : pictures) {
    const Sample& sample = picture.sample;
    if (sample.group != 0 && sample.split == Split::kVal)
      evaluated.emplace(sample.group, sample.key);
  }
  std::erase_if(pictures, [&](const Picture& picture) {
    const Sample& sample = picture.sample;
    if (sample.split == Split::kVal || !evaluated.contains(sample.group)) return false;
    quarantined.push_back({sample.key, absl::StrCat("shows the same as ", evaluated[sample.group],
                                                    ", which is evaluated")});
    return true;
  });
}

}  // namespace

absl::StatusOr<Manifest> BuildDataset(const BuildOptions& options) {
  MEAD_RETURN_IF_ERROR(CheckOptions(options));
  MEAD_RETURN_IF_ERROR(MakeDirs(options.out_dir));
  Manifest manifest;
  manifest.name = options.name;
  manifest.seed = options.seed;

  const ScopedFolder unpacked(fs::path(options.out_dir) / "unpacked");
  MEAD_ASSIGN_OR_RETURN(const Found found,
                        FindPictures(options.path, unpacked.path(), options.progress));
  manifest.classes = found.classes;
  if (found.split_given && !options.group_by.empty()) {
    return absl::InvalidArgumentError(
        "a pattern to group by is for splits that are made here, and these pictures have one: "
        "leave "
        "it out, or add them without their split");
  }
  manifest.split_method = found.split_given ? "given" : "stratified";
  manifest.leakage_guard = options.leakage_guard ? LeakageGuard::kOn : LeakageGuard::kOff;
  manifest.group_by = options.group_by;
  manifest.val_fraction = found.split_given ? 0 : options.val_fraction;
  manifest.quarantined.insert(manifest.quarantined.end(), found.quarantined.begin(),
                              found.quarantined.end());

  std::vector<std::string> paths;
  for (const FoundFile& file : found.files) paths.push_back(found.root + "/" + file.key);
  const std::vector<absl::StatusOr<CheckedImage>> checked =
      CheckImageFiles(paths, options.threads, options.progress);

  std::vector<Picture> pictures;
  std::vector<std::string> reasons(found.classes.size());  // the first quarantined file of each
  for (size_t i = 0; i < found.files.size(); ++i) {
    const FoundFile& file = found.files[i];
    if (!checked[i].ok()) {
      const std::string reason(checked[i].status().message());
      manifest.quarantined.push_back({file.key, reason});
      if (reasons[file.class_id].empty()) {
        reasons[file.class_id] = absl::StrCat("for one, ", file.key, ": ", reason);
      }
      continue;
    }
    Picture picture;
    picture.sample = {.key = file.key,
                      .class_id = file.class_id,
                      .split = file.split.value_or(Split::kTrain),
                      .size = checked[i]->bytes,
                      .digest = checked[i]->digest,
                      .width = static_cast<uint32_t>(checked[i]->info.width),
                      .height = static_cast<uint32_t>(checked[i]->info.height)};
    picture.item = {.path = paths[i], .format = checked[i]->info.format};
    picture.order = SeededOrder(checked[i]->digest, options.seed);
    picture.look = {.thumbnail = checked[i]->thumbnail, .digest = checked[i]->digest};
    pictures.push_back(std::move(picture));
  }
  if (options.leakage_guard) FindGroups(options, pictures);
  if (!found.split_given) {
    MEAD_RETURN_IF_ERROR(MakeSplit(options, pictures));
  } else if (options.drop_straddling) {
    DropStraddling(pictures, manifest.quarantined);
  }
  std::sort(manifest.quarantined.begin(), manifest.quarantined.end(),
            [](const QuarantinedFile& a, const QuarantinedFile& b) {
              return std::tie(a.path, a.reason) < std::tie(b.path, b.reason);
            });

  // Train before val; within a split the classes mixed, so that every shard is a fair sample.
  std::sort(pictures.begin(), pictures.end(), [](const Picture& a, const Picture& b) {
    return std::tie(a.sample.split, a.order, a.sample.key) <
           std::tie(b.sample.split, b.order, b.sample.key);
  });
  std::vector<PackItem> items;
  for (Picture& picture : pictures) {
    manifest.samples.push_back(std::move(picture.sample));
    items.push_back(std::move(picture.item));
  }
  NumberGroups(manifest);
  MEAD_RETURN_IF_ERROR(CheckUsable(manifest, reasons));
  MEAD_RETURN_IF_ERROR(
      Pack(items, options.out_dir, options.shard_bytes, options.progress, manifest));
  MEAD_RETURN_IF_ERROR(
      WriteFileAtomically(fs::path(options.out_dir) / kManifestFileName, manifest.ToJson()));
  return manifest;
}

absl::Status VerifyBuild(const Manifest& manifest, const std::string& dir) {
  std::vector<std::string> damaged;
  for (size_t i = 0; i < manifest.shards.size(); ++i) {
    const std::string name = ShardFileName(manifest, i);
    MEAD_ASSIGN_OR_RETURN(const std::string digest, DigestOfFile(fs::path(dir) / name));
    if (digest != manifest.shards[i].digest) damaged.push_back(name);
  }
  if (damaged.empty()) return absl::OkStatus();
  return absl::DataLossError(absl::StrCat("damaged shards in ", dir, ": ",
                                          absl::StrJoin(damaged, ", "), ": build them again"));
}

}  // namespace mead::dataset
