#include "worker/trainer/epoch_metrics.h"

#include <algorithm>
#include <limits>

#include "absl/strings/str_cat.h"
#include "common/base/classification_metrics.h"

namespace mead::trainer {
namespace {

std::string MetricOf(const v1::Objective& objective) {
  return objective.metric().empty() ? "val/accuracy" : objective.metric();
}

}  // namespace

std::map<std::string, double> EpochMetrics(const train::EpochSoFar& training,
                                           const ConfusionMatrix& confusion, double val_loss,
                                           const std::vector<std::string>& classes) {
  const auto samples = static_cast<double>(std::max<int64_t>(1, training.samples));
  const double seconds = std::max(1e-9, training.seconds);
  const ClassificationMetrics metrics = ComputeMetrics(confusion);
  std::map<std::string, double> out;
  out["train/loss"] = training.loss_sum / samples;
  out["train/accuracy"] = static_cast<double>(training.correct) / samples;
  out["train/images_per_second"] = samples / seconds;
  out["lr"] = training.learning_rate;
  out["val/loss"] = val_loss;
  out["val/accuracy"] = metrics.accuracy;
  out["val/balanced_accuracy"] = metrics.balanced_accuracy;
  out["val/macro_f1"] = metrics.macro_f1;
  out["val/mcc"] = metrics.mcc;
  out["val/r_k"] = metrics.r_k;
  out["val/one_vs_rest_accuracy"] = metrics.one_vs_rest_accuracy;
  for (size_t i = 0; i < classes.size(); ++i) {
    out["val/recall/" + classes[i]] = metrics.classes[i].recall;
    out["val/precision/" + classes[i]] = metrics.classes[i].precision;
    out["val/specificity/" + classes[i]] = metrics.classes[i].specificity;
    out["val/f1/" + classes[i]] = metrics.classes[i].f1;
  }
  return out;
}

double ObjectiveOf(const v1::Objective& objective, const std::map<std::string, double>& metrics) {
  const auto found = metrics.find(MetricOf(objective));
  return found == metrics.end() ? std::numeric_limits<double>::quiet_NaN() : found->second;
}

std::string EarlyStopWords(const v1::Objective& objective, const v1::EarlyStopping& stopping,
                           int epoch) {
  return absl::StrCat(
      "stopped early after epoch ", epoch, ": ", MetricOf(objective), " has not ",
      objective.goal() == "minimize" ? "fallen" : "risen",
      stopping.min_delta() > 0 ? absl::StrCat(" by more than ", stopping.min_delta()) : "", " for ",
      stopping.patience(), stopping.patience() == 1 ? " epoch" : " epochs");
}

}  // namespace mead::trainer
