#include "client/dataset_pictures.h"

#include <algorithm>
#include <filesystem>
#include <span>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "client/download.h"
#include "common/base/rng.h"
#include "common/dataset/input.h"
#include "common/dataset/manifest.h"
#include "common/files.h"
#include "common/near_names.h"
#include "common/status_util.h"

namespace mead::client {
namespace {

using DatasetStub = ::mead::v1::DatasetService::Stub;

absl::StatusOr<std::optional<uint32_t>> ClassOf(const std::vector<std::string>& classes,
                                                const std::string& name) {
  if (name.empty()) return std::optional<uint32_t>();
  const auto found = std::find(classes.begin(), classes.end(), name);
  if (found == classes.end()) {
    const std::string near = DidYouMean(name, classes);
    return absl::NotFoundError(absl::StrCat(
        "no class \"", name, "\" in it",
        near.empty() ? absl::StrCat("; it has ", absl::StrJoin(classes, ", ")) : near));
  }
  return static_cast<uint32_t>(found - classes.begin());
}

}  // namespace

std::vector<uint64_t> ChoosePictures(const std::vector<uint32_t>& classes, uint32_t num_classes,
                                     int count, std::optional<uint32_t> only, uint64_t seed) {
  std::vector<std::vector<uint64_t>> left(num_classes);
  for (uint64_t i = 0; i < classes.size(); ++i) {
    if (!only.has_value() || classes[i] == *only) left[classes[i]].push_back(i);
  }
  for (uint32_t c = 0; c < num_classes; ++c) {
    Rng::ForKey(seed, c).Shuffle(std::span<uint64_t>(left[c]));
  }
  std::vector<uint32_t> turns;
  for (uint32_t c = 0; c < num_classes; ++c) {
    if (!left[c].empty()) turns.push_back(c);
  }
  // With fewer pictures than classes not always the first ones.
  Rng(seed).Shuffle(std::span<uint32_t>(turns));
  std::vector<uint64_t> chosen;
  for (bool more = true; more && chosen.size() < static_cast<size_t>(count);) {
    more = false;
    for (const uint32_t c : turns) {
      if (left[c].empty() || chosen.size() == static_cast<size_t>(count)) continue;
      chosen.push_back(left[c].back());
      left[c].pop_back();
      more = true;
    }
  }
  std::sort(chosen.begin(), chosen.end(), [&](uint64_t a, uint64_t b) {
    return std::pair(classes[a], a) < std::pair(classes[b], b);
  });
  return chosen;
}

absl::StatusOr<std::vector<PictureFile>> PicturesOfDataset(Connection* connection,
                                                           const std::string& name,
                                                           const PictureChoice& choice) {
  mead::v1::GetDatasetRequest request;
  request.set_name(name);
  mead::v1::GetDatasetResponse response;
  MEAD_RETURN_IF_ERROR(
      connection->Call(connection->datasets(), &DatasetStub::GetDataset, request, &response));
  MEAD_ASSIGN_OR_RETURN(const std::string json,
                        Download(*connection, response.dataset().manifest_digest()));
  MEAD_ASSIGN_OR_RETURN(const dataset::Manifest manifest, dataset::Manifest::FromJson(json));
  MEAD_ASSIGN_OR_RETURN(const std::optional<uint32_t> only,
                        ClassOf(manifest.classes, choice.class_name));
  const std::vector<uint32_t> training = manifest.SamplesOf(dataset::Split::kTrain);
  std::vector<uint32_t> classes;
  for (const uint32_t index : training) classes.push_back(manifest.samples[index].class_id);
  const auto num_classes = static_cast<uint32_t>(manifest.classes.size());
  std::vector<PictureFile> files;
  for (const uint64_t chosen :
       ChoosePictures(classes, num_classes, choice.count, only, choice.seed)) {
    const dataset::Sample& sample = manifest.samples[training[chosen]];
    MEAD_ASSIGN_OR_RETURN(std::string bytes, DownloadPicture(*connection, manifest, sample));
    files.push_back({.sample = chosen,
                     .key = sample.key,
                     .class_name = manifest.classes[sample.class_id],
                     .bytes = std::move(bytes)});
  }
  return files;
}

absl::StatusOr<std::vector<PictureFile>> PicturesOfPath(const std::string& path,
                                                        const std::string& scratch,
                                                        const PictureChoice& choice) {
  MEAD_ASSIGN_OR_RETURN(const dataset::Found found, dataset::FindPictures(path, scratch, nullptr));
  MEAD_ASSIGN_OR_RETURN(const std::optional<uint32_t> only,
                        ClassOf(found.classes, choice.class_name));
  std::vector<const dataset::FoundFile*> training;
  std::vector<uint32_t> classes;
  for (const dataset::FoundFile& file : found.files) {
    if (file.split == dataset::Split::kVal) continue;
    training.push_back(&file);
    classes.push_back(file.class_id);
  }
  const auto num_classes = static_cast<uint32_t>(found.classes.size());
  std::vector<PictureFile> files;
  for (const uint64_t chosen :
       ChoosePictures(classes, num_classes, choice.count, only, choice.seed)) {
    const dataset::FoundFile& file = *training[chosen];
    MEAD_ASSIGN_OR_RETURN(std::string bytes,
                          ReadFile(std::filesystem::path(found.root) / file.key));
    files.push_back({.sample = chosen,
                     .key = file.key,
                     .class_name = found.classes[file.class_id],
                     .bytes = std::move(bytes)});
  }
  return files;
}

}  // namespace mead::client
