#include "coordinator/service/spec_validation.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <set>
#include <utility>

#include "absl/strings/cord.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/grpc_status.h"
#include "coordinator/service/apply_params.h"
#include "coordinator/service/convert.h"
#include "coordinator/service/fold_validation.h"
#include "coordinator/service/train_validation.h"
#include "coordinator/service/violations.h"
#include "coordinator/service/words.h"

namespace mead::service {
namespace {

constexpr int kMaxRanks = 1024;

bool IsName(std::string_view name) {
  return !name.empty() && name.size() <= 63 &&
         std::all_of(name.begin(), name.end(), [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                  c == '.' || c == '_' || c == '-';
         });
}

// The metrics that every epoch report carries (interface: "Metrics").
std::vector<std::string> ReportedMetrics(const v1::Dataset* dataset) {
  std::vector<std::string> names = {"val/accuracy",
                                    "val/loss",
                                    "val/balanced_accuracy",
                                    "val/macro_f1",
                                    "val/mcc",
                                    "val/r_k",
                                    "train/loss",
                                    "train/accuracy",
                                    "train/images_per_second",
                                    "val/images_per_second",
                                    "lr",
                                    "val/ece",
                                    "val/ece_scaled",
                                    "val/temperature",
                                    "val/one_vs_rest_accuracy"};
  if (dataset != nullptr) {
    for (const char* kind : {"recall", "precision", "specificity", "f1", "average_precision"}) {
      for (const v1::ClassCount& label : dataset->classes()) {
        names.push_back(absl::StrCat("val/", kind, "/", label.name()));
      }
    }
  }
  return names;
}

void CheckObjective(const v1::Objective& objective, const v1::Dataset* dataset, Violations& out) {
  const std::vector<std::string> names = ReportedMetrics(dataset);
  // Without the data set its class names cannot be judged; that it is missing is reported elsewhere.
  const bool per_class = dataset == nullptr && absl::StartsWith(objective.metric(), "val/") &&
                         absl::StrContains(absl::string_view(objective.metric()).substr(4), "/");
  if (!per_class &&
      std::find(names.begin(), names.end(), objective.metric()) == names.end()) {
    out.Add("objective.metric", absl::StrCat("no trial reports '", objective.metric(), "'",
                                             NearOrKnown(objective.metric(), names)));
  }
  out.CheckWord("objective.goal", objective.goal(), {"maximize", "minimize"});
}

void CheckSearch(const v1::SweepSpec& spec, Violations& out) {
  const v1::Search& search = spec.search();
  out.CheckWord("search.method", search.method(), {"grid", "random"}, {"sobol", "tpe", "pbt"});
  if (search.method() == "random" && search.trials() == 0) {
    out.Add("search.trials",
            "random search needs the number of trials to make; for example trials: 8");
  } else {
    out.CheckRange("search.trials", search.trials(), 0, kMaxTrials);
  }
  out.CheckRange("search.parallel", search.parallel(), 0, kMaxTrials);
  CheckFolds(spec, out);
}

void CheckRetries(const v1::Retry& retry, Violations& out) {
  const auto check = [&out](const char* field, int value) {
    if (value < -1) {
      out.Add(field, absl::StrCat("is a number of restarts, or -1 (unlimited), not ", value));
    }
  };
  check("retry.user_error", retry.user_error());
  check("retry.out_of_memory", retry.out_of_memory());
  check("retry.infrastructure", retry.infrastructure());
}

const char* RangeWord(const v1::Dimension& dimension) {
  switch (dimension.range_case()) {
    case v1::Dimension::kUniform:
      return "uniform";
    case v1::Dimension::kLogUniform:
      return "log_uniform";
    case v1::Dimension::kInt:
      return "int";
    default:
      return "choice";
  }
}

// Checks that a floating range is one; true if its values can be tried.
bool CheckFloatRange(const std::string& field, const v1::Dimension& dimension, bool grid,
                     Violations& out) {
  const bool log = dimension.has_log_uniform();
  const v1::FloatRange& range = log ? dimension.log_uniform() : dimension.uniform();
  if (!std::isfinite(range.low()) || !std::isfinite(range.high()) ||
      !std::isfinite(range.step())) {
    out.Add(field, "the range's ends and step must be finite numbers");
    return false;
  }
  if (range.low() >= range.high()) {
    out.Add(field, absl::StrCat("the range [", range.low(), ", ", range.high(),
                                "] is empty: its low end must be below its high end"));
    return false;
  }
  if (log && range.low() <= 0) {
    out.Add(field, absl::StrCat("log_uniform needs a low end above 0, not ", range.low()));
    return false;
  }
  if (log && range.step() != 0) {
    out.Add(field, "log_uniform takes no step; use choice for chosen values");
    return false;
  }
  if (range.step() < 0 || range.step() > range.high() - range.low()) {
    out.Add(field, absl::StrCat("the step must be from 0 (continuous) to the range's width ",
                                range.high() - range.low(), ", not ", range.step()));
    return false;
  }
  if (grid && range.step() == 0) {
    out.Add(field, absl::StrCat("a grid cannot go through the continuous range ",
                                RangeWord(dimension), log ? "" : " without a step",
                                "; use choice", log ? ", or" : ", a step or",
                                " search.method: random"));
  }
  return true;
}

// The values whose validity stands for the whole dimension's: all of a choice,
// the ends of a range (every field's limits are intervals).
std::vector<core::ParamValue> Representatives(const v1::Dimension& dimension) {
  switch (dimension.range_case()) {
    case v1::Dimension::kUniform:
      return {dimension.uniform().low(), dimension.uniform().high()};
    case v1::Dimension::kLogUniform:
      return {dimension.log_uniform().low(), dimension.log_uniform().high()};
    case v1::Dimension::kInt:
      return {dimension.int_().low(), dimension.int_().high()};
    default: {
      std::vector<core::ParamValue> values;
      for (const v1::ParamValue& value : dimension.choice().values()) {
        values.push_back(ToCore(value));
      }
      return values;
    }
  }
}

// True if the dimension's values can be tried one by one.
bool CheckShape(const v1::Dimension& dimension, const std::string& field, bool grid,
                Violations& out) {
  switch (dimension.range_case()) {
    case v1::Dimension::RANGE_NOT_SET:
      out.Add(field, "needs one of uniform, log_uniform, int or choice");
      return false;
    case v1::Dimension::kUniform:
    case v1::Dimension::kLogUniform:
      return CheckFloatRange(field, dimension, grid, out);
    case v1::Dimension::kInt: {
      const v1::IntRange& range = dimension.int_();
      if (range.low() > range.high()) {
        out.Add(field, absl::StrCat("the range [", range.low(), ", ", range.high(),
                                    "] is empty: its low end must not be above its high end"));
        return false;
      }
      if (range.step() < 1) {
        out.Add(field, absl::StrCat("the step must be 1 or more, not ", range.step()));
        return false;
      }
      return true;
    }
    case v1::Dimension::kChoice:
      if (dimension.choice().values().empty()) {
        out.Add(field, "the choice is empty: list at least one value");
        return false;
      }
      for (const v1::ParamValue& value : dimension.choice().values()) {
        if (value.kind_case() == v1::ParamValue::KIND_NOT_SET) {
          out.Add(field, "a value of the choice is empty");
          return false;
        }
      }
      return true;
  }
  return false;
}

bool SameViolation(const v1::Violation& a, const v1::Violation& b) {
  return a.field() == b.field() && a.message() == b.message();
}

// Tries a dimension's values in the shared configuration and reports what they
// break that was not broken before.
void CheckValues(const v1::SweepSpec& spec, const v1::Dimension& dimension,
                 const std::string& field, const std::vector<v1::Violation>& known,
                 Violations& out) {
  std::set<std::string> said;
  for (const core::ParamValue& value : Representatives(dimension)) {
    v1::TrainConfig config = spec.train();
    const absl::Status applied = ApplyParam(config, {dimension.path(), value});
    if (!applied.ok()) {
      if (said.insert(std::string(applied.message())).second) {
        out.Add(field, std::string(applied.message()));
      }
      continue;
    }
    for (const v1::Violation& violation :
         ValidateTrainConfig(config, spec.resources())) {
      const bool new_here = std::none_of(
          known.begin(), known.end(),
          [&violation](const v1::Violation& other) { return SameViolation(violation, other); });
      if (new_here && said.insert(violation.message()).second) {
        out.Add(field, violation.message());
      }
    }
  }
}

void CheckSpace(const v1::SweepSpec& spec, const std::vector<v1::Violation>& train,
                Violations& out) {
  const bool grid = spec.search().method() == "grid";
  std::set<std::string> seen;
  for (const v1::Dimension& dimension : spec.space()) {
    const std::string field = absl::StrCat("space.", dimension.path());
    if (!seen.insert(dimension.path()).second) {
      out.Add(field, "is listed twice; keep one of them");
      continue;
    }
    // An unknown path is reported once, by its first value; a dimension without
    // values still needs its path checked.
    if (!CheckShape(dimension, field, grid, out)) {
      v1::TrainConfig config;
      if (FindSearchableField(dimension.path()) == nullptr) {
        const absl::Status unknown = ApplyParam(config, {dimension.path(), 0.0});
        out.Add(field, std::string(unknown.message()));
      }
      continue;
    }
    const SearchableField* target = FindSearchableField(dimension.path());
    const bool continuous = dimension.has_uniform() || dimension.has_log_uniform();
    if (target != nullptr && target->kind != FieldKind::kNumber && continuous) {
      const bool whole = target->kind == FieldKind::kInteger;
      out.Add(field, absl::StrCat(dimension.path(), " is ",
                                  whole ? "a whole number; use int or choice" : "not a number; use choice",
                                  ", not ", RangeWord(dimension)));
      continue;
    }
    if (spec.train().has_lr_range() && dimension.path() == "optimizer.lr") {
      out.Add(field, "a range test goes through the rates itself; leave one of the two out");
    }
    CheckValues(spec, dimension, field, train, out);
  }
  const int most = kMaxTrials / std::max(1, spec.search().folds());
  if (grid && GridPoints(spec) > most && spec.search().trials() == 0) {
    out.Add("search.trials", absl::StrCat("the grid has more than ", most,
                                          " points; make it smaller, or set search.trials"));
  }
}

}  // namespace

int GridPoints(const v1::SweepSpec& spec) {
  int64_t points = 1;
  for (const v1::Dimension& dimension : spec.space()) {
    double values = 1;
    if (dimension.has_choice()) {
      values = dimension.choice().values_size();
    } else if (dimension.has_int_() && dimension.int_().step() > 0) {
      const v1::IntRange& range = dimension.int_();
      values = std::floor((static_cast<double>(range.high()) - static_cast<double>(range.low())) /
                          static_cast<double>(range.step())) + 1;
    } else if (dimension.has_uniform() && dimension.uniform().step() > 0) {
      const v1::FloatRange& range = dimension.uniform();
      // The half step of slack keeps 0.1 steps from losing the last point to rounding.
      values = std::floor((range.high() - range.low()) / range.step() + 1e-9) + 1;
    }
    points *= static_cast<int64_t>(std::clamp(values, 1.0, kMaxTrials + 1.0));
    points = std::min<int64_t>(points, kMaxTrials + 1);
  }
  return static_cast<int>(points);
}

std::vector<v1::Violation> ValidateSpec(const v1::SweepSpec& spec, const v1::Dataset* dataset) {
  Violations out;
  if (!IsName(spec.name())) {
    out.Add("name", spec.name().empty()
                        ? "the sweep needs a name"
                        : absl::StrCat("'", spec.name(),
                                       "' is no name: use 1 to 63 letters, digits and . _ -"));
  }
  if (spec.dataset().empty()) {
    out.Add("dataset", "the sweep needs the name of a data set; 'mead dataset list' shows them");
  }
  CheckObjective(spec.objective(), dataset, out);
  CheckSearch(spec, out);
  out.CheckWord("stopper.method", spec.stopper().method(), {"none"},
                {"asha", "hyperband", "median"});
  out.CheckRange("resources.ranks", spec.resources().ranks(), 1, kMaxRanks);
  out.CheckWord("resources.accelerator", spec.resources().accelerator(), {"any", "cpu", "gpu"});
  CheckRetries(spec.retry(), out);
  const std::vector<v1::Violation> train =
      ValidateTrainConfig(spec.train(), spec.resources());
  out.Append(train);
  CheckSpace(spec, train, out);
  return out.Take();
}

absl::Status ViolationsError(std::vector<v1::Violation> violations) {
  v1::ValidationReport report;
  std::vector<std::string> lines;
  for (v1::Violation& violation : violations) {
    lines.push_back(absl::StrCat(violation.field(), ": ", violation.message()));
    *report.add_violations() = std::move(violation);
  }
  absl::Status status = absl::InvalidArgumentError(
      absl::StrCat("the sweep has ", lines.size(), lines.size() == 1 ? " error: " : " errors: ",
                   absl::StrJoin(lines, "; ")));
  status.SetPayload(kStatusDetailsUrl, absl::Cord(report.SerializeAsString()));
  return status;
}

}  // namespace mead::service
