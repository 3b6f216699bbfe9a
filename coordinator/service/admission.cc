#include "coordinator/service/admission.h"

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/sha256.h"
#include "common/status_util.h"
#include "coordinator/core/gang.h"
#include "coordinator/service/convert.h"
#include "coordinator/service/fold_pictures.h"
#include "coordinator/service/resolve.h"
#include "coordinator/service/spec_defaults.h"
#include "coordinator/service/spec_validation.h"
#include "coordinator/service/views.h"

namespace mead::service {
namespace {

v1::Violation MakeViolation(const char* field, std::string message) {
  v1::Violation violation;
  violation.set_field(field);
  violation.set_message(std::move(message));
  return violation;
}

absl::Status CheckSlots(const core::ClusterState& state, const v1::SweepSpec& spec) {
  const std::string& word = spec.resources().accelerator();
  const int slots = core::SlotsFor(state, AcceleratorOf(word));
  if (slots >= spec.resources().ranks()) return absl::OkStatus();
  const std::string kind = word == "any" ? "" : absl::StrCat(word, " ");
  const std::string have =
      slots == 0   ? absl::StrCat("has no ", kind, "slots now")
      : slots == 1 ? absl::StrCat("has 1 ", kind, "slot")
                   : absl::StrCat("has ", slots, " ", kind, "slots");
  return absl::FailedPreconditionError(absl::StrCat(
      "resources.ranks: a trial needs ", spec.resources().ranks(), " ", kind,
      "slots at once, but the cluster ", have,
      "; ask for fewer ranks, start more workers, or submit with --wait-for-resources"));
}

}  // namespace

absl::StatusOr<v1::SweepSpec> AdmitSweep(ServiceContext& context, const core::ClusterState& state,
                                         const v1::SubmitSweepRequest& request) {
  v1::SweepSpec spec = request.spec();
  FillDefaults(spec);

  const absl::StatusOr<const core::Dataset*> dataset = FindDataset(state, spec.dataset());
  v1::Dataset view;
  if (dataset.ok()) view = DatasetView(**dataset);
  v1::SweepSpec judged = spec;
  // A dry run may name weights that are yet to be uploaded: defaults depend on there being some.
  if (request.dry_run() && spec.train().weights_artifact().empty()) {
    judged.mutable_train()->clear_weights();
  }
  std::vector<v1::Violation> violations = ValidateSpec(judged, dataset.ok() ? &view : nullptr);
  const std::string& weights = spec.train().weights_artifact();
  if (IsDigest(weights)) {
    MEAD_ASSIGN_OR_RETURN(const store::ArtifactStat stored, context.artifacts.Stat(weights));
    if (!stored.complete) {
      violations.push_back(MakeViolation(
          "train.weights", absl::StrCat("the weights ", weights,
                                        " are not stored at the coordinator; upload them first")));
    }
  }
  if (dataset.ok() && violations.empty()) {
    const absl::Status folds = FillFoldPictures(context, **dataset, spec);
    if (absl::IsInvalidArgument(folds)) {
      violations.push_back(MakeViolation("search.folds", std::string(folds.message())));
    } else if (!folds.ok()) {
      return folds;
    }
  }
  if (!violations.empty()) {
    if (!spec.dataset().empty() && !dataset.ok()) {
      violations.push_back(
          MakeViolation("dataset", std::string(dataset.status().message())));
    }
    return ViolationsError(std::move(violations));
  }
  if (!dataset.ok()) return dataset.status();
  if (!request.wait_for_resources()) MEAD_RETURN_IF_ERROR(CheckSlots(state, spec));
  MEAD_RETURN_IF_ERROR(context.disk.Admit());
  return spec;
}

}  // namespace mead::service
