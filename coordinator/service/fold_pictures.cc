#include "coordinator/service/fold_pictures.h"

#include <vector>

#include "absl/strings/str_cat.h"
#include "common/dataset/folds.h"
#include "common/status_util.h"
#include "coordinator/service/manifests.h"

namespace mead::service {

absl::Status FillFoldPictures(ServiceContext& context, const core::Dataset& dataset,
                              v1::SweepSpec& spec) {
  spec.clear_fold_pictures();
  if (spec.search().folds() == 0) return absl::OkStatus();
  MEAD_ASSIGN_OR_RETURN(const dataset::Manifest manifest,
                        LoadManifest(context, dataset.manifest_digest));
  const auto folds = static_cast<uint32_t>(spec.search().folds());
  MEAD_ASSIGN_OR_RETURN(const std::vector<uint32_t> fold_of,
                        dataset::FoldsOfSamples(manifest, folds, spec.search().fold_seed()));
  const auto classes = static_cast<int>(manifest.classes.size());
  for (uint32_t fold = 0; fold < folds; ++fold) {
    v1::FoldPictures& pictures = *spec.add_fold_pictures();
    pictures.mutable_train()->Resize(classes, 0);
    pictures.mutable_val()->Resize(classes, 0);
  }
  for (size_t i = 0; i < fold_of.size(); ++i) {
    if (fold_of[i] == dataset::kNoFold) continue;
    const auto class_id = static_cast<int>(manifest.samples[i].class_id);
    for (uint32_t fold = 0; fold < folds; ++fold) {
      v1::FoldPictures& pictures = *spec.mutable_fold_pictures(static_cast<int>(fold));
      auto& side = fold == fold_of[i] ? *pictures.mutable_val() : *pictures.mutable_train();
      side.Set(class_id, side.Get(class_id) + 1);
    }
  }
  return absl::OkStatus();
}

}  // namespace mead::service
