#include "coordinator/service/fold_validation.h"

#include <cstdint>

#include "absl/strings/str_cat.h"
#include "common/dataset/folds.h"
#include "coordinator/service/spec_validation.h"

namespace mead::service {

void CheckFolds(const v1::SweepSpec& spec, Violations& out) {
  const int folds = spec.search().folds();
  if (spec.train().has_fold()) {
    out.Add("train.fold", "is set by the coordinator; search.folds asks for folds");
  }
  if (folds == 0) {
    if (spec.search().fold_seed() != 0) {
      out.Add("search.fold_seed", "says how folds are divided, and search.folds asks for none");
    }
    return;
  }
  out.CheckRange("search.folds", folds, static_cast<int>(dataset::kMinFolds),
                 static_cast<int>(dataset::kMaxFolds));
  if (folds > 0 && spec.search().trials() <= kMaxTrials &&
      int64_t{folds} * spec.search().trials() > kMaxTrials) {
    out.Add("search.folds", absl::StrCat(folds, " folds of ", spec.search().trials(),
                                         " configurations are more than ", kMaxTrials, " trials"));
  }
  if (!spec.stopper().method().empty() && spec.stopper().method() != "none") {
    out.Add("search.folds",
            absl::StrCat("every fold of a configuration is trained to its end, so there are no "
                         "folds together with stopper.method: ",
                         spec.stopper().method(), "; leave one of them out"));
  }
}

}  // namespace mead::service
