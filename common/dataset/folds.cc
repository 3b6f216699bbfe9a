#include "common/dataset/folds.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "common/dataset/split.h"
#include "common/sha256.h"
#include "common/status_util.h"

namespace mead::dataset {

absl::StatusOr<std::vector<uint32_t>> FoldsOfSamples(const Manifest& manifest, uint32_t folds,
                                                     uint64_t seed) {
  if (folds < kMinFolds || folds > kMaxFolds) {
    return absl::InvalidArgumentError(
        absl::StrCat(folds, " folds: expected ", kMinFolds, " to ", kMaxFolds));
  }
  const bool given = manifest.split_method == "given";
  std::vector<uint32_t> divided;  // into manifest.samples
  std::vector<const Sample*> samples;
  for (uint32_t i = 0; i < manifest.samples.size(); ++i) {
    const Sample& sample = manifest.samples[i];
    if (given && sample.split == Split::kVal) continue;
    divided.push_back(i);
    samples.push_back(&sample);
  }
  MEAD_ASSIGN_OR_RETURN(const std::vector<SplitItem> items,
                        SplitItemsOf(samples, manifest.group_by));
  MEAD_ASSIGN_OR_RETURN(const std::vector<uint32_t> fold_of, StratifiedFolds(items, folds, seed));
  std::vector<uint32_t> result(manifest.samples.size(), kNoFold);
  for (size_t i = 0; i < divided.size(); ++i) result[divided[i]] = fold_of[i];
  return result;
}

absl::StatusOr<Manifest> ManifestOfFold(Manifest manifest, uint32_t fold, uint32_t folds,
                                        uint64_t seed) {
  if (fold >= folds) {
    return absl::InvalidArgumentError(absl::StrCat("there is no fold ", fold + 1, " of ", folds));
  }
  MEAD_ASSIGN_OR_RETURN(const std::vector<uint32_t> fold_of, FoldsOfSamples(manifest, folds, seed));
  std::vector<Sample> samples;
  samples.reserve(manifest.samples.size());
  for (size_t i = 0; i < fold_of.size(); ++i) {
    if (fold_of[i] == kNoFold) continue;
    Sample& sample = samples.emplace_back(std::move(manifest.samples[i]));
    sample.split = fold_of[i] == fold ? Split::kVal : Split::kTrain;
  }
  manifest.samples = std::move(samples);
  return manifest;
}

std::string FoldDigest(std::string_view manifest_digest, uint32_t fold, uint32_t folds,
                       uint64_t seed) {
  return DigestOf(absl::StrCat(std::string(manifest_digest), " fold ", fold + 1, " of ", folds,
                               " seed ", seed));
}

}  // namespace mead::dataset
