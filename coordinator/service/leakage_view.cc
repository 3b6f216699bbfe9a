#include "coordinator/service/leakage_view.h"

#include "common/dataset/leakage.h"

namespace mead::service {

v1::LeakageReport LeakageCounts(const dataset::Manifest& manifest) {
  v1::LeakageReport view;
  view.set_guarded(manifest.leakage_guard == dataset::LeakageGuard::kOn);
  view.set_group_by(manifest.group_by);
  for (const dataset::PictureGroup& group : dataset::PictureGroups(manifest)) {
    view.set_groups(view.groups() + 1);
    view.set_grouped_samples(view.grouped_samples() + group.samples.size());
    if (!group.straddles()) continue;
    view.set_straddling_groups(view.straddling_groups() + 1);
    view.set_straddling_train_samples(view.straddling_train_samples() + group.train);
    view.set_straddling_val_samples(view.straddling_val_samples() + group.val);
  }
  view.set_label_conflicts(dataset::LabelConflicts(manifest).size());
  return view;
}

void AddLeakageNames(const dataset::Manifest& manifest, v1::LeakageReport& report) {
  for (const dataset::PictureGroup& group : dataset::PictureGroups(manifest)) {
    v1::NearDuplicates& out = *report.add_near_duplicates();
    for (const uint32_t i : group.samples) {
      const dataset::Sample& sample = manifest.samples[i];
      if (sample.split == dataset::Split::kTrain) {
        out.add_train_paths(sample.key);
      } else {
        out.add_val_paths(sample.key);
      }
    }
  }
  for (const auto& [first, second] : dataset::LabelConflicts(manifest)) {
    v1::LabelConflict& out = *report.add_conflicting();
    out.set_path(manifest.samples[first].key);
    out.set_other_path(manifest.samples[second].key);
  }
}

}  // namespace mead::service
