#include "coordinator/service/recipe_validation.h"

#include <algorithm>
#include <cstdint>
#include <string>

#include "absl/strings/str_cat.h"

namespace mead::service {
namespace {

constexpr int kMaxEpochs = 10'000;

// The epochs that every phase has; the schedule runs in each from its beginning.
int ShortestPhase(const v1::TrainConfig& config) {
  int shortest = config.phases().empty() ? config.epochs() : kMaxEpochs;
  for (const v1::Phase& phase : config.phases()) shortest = std::min(shortest, phase.epochs());
  return shortest;
}

int LongestPhase(const v1::TrainConfig& config) {
  int longest = config.phases().empty() ? config.epochs() : 0;
  for (const v1::Phase& phase : config.phases()) longest = std::max(longest, phase.epochs());
  return longest;
}

void CheckSteps(const v1::TrainConfig& config, Violations& out) {
  const int epochs = LongestPhase(config);
  const std::string unit = config.phases().empty() ? "the trial's" : "the longest phase's";
  if (config.step_epochs().empty()) {
    if (config.schedule() == "step") {
      out.Add("train.step_epochs",
              "schedule step needs the epochs after which the rate falls; for example "
              "step_epochs: [3, 6]");
    }
    return;
  }
  int last = 0;
  for (const int epoch : config.step_epochs()) {
    if (epoch <= last) {
      out.Add("train.step_epochs",
              absl::StrCat("must rise, from 1 on; ", epoch,
                           last == 0 ? " is too early" : absl::StrCat(" comes after ", last)));
      return;
    }
    last = epoch;
  }
  if (config.schedule() == "step" && last >= epochs) {
    out.Add("train.step_epochs", absl::StrCat("the rate would fall after epoch ", last, ", where ",
                                              unit, " last is ", epochs));
  }
}

void CheckSchedule(const v1::TrainConfig& config, Violations& out) {
  out.CheckWord("train.schedule", config.schedule(),
                {"one_cycle", "cosine", "constant", "step", "plateau"});
  const double warmup = config.warmup_epochs();
  if (!(warmup >= 0 && warmup < std::max(1, ShortestPhase(config)))) {
    out.Add("train.warmup_epochs",
            absl::StrCat(
                "must be from 0 to below ", std::max(1, ShortestPhase(config)), ", the epochs of ",
                config.phases().empty() ? "the trial" : "the shortest phase", ", not ", warmup));
  } else if (warmup > 0 && config.schedule() == "one_cycle") {
    out.Add("train.warmup_epochs",
            "is not for one_cycle, which has a warm-up of its own; leave it out, or take another "
            "schedule");
  }
  CheckSteps(config, out);
  if (config.has_lr_gamma() && !(config.lr_gamma() > 0 && config.lr_gamma() < 1)) {
    out.Add("train.lr_gamma", absl::StrCat("must be above 0 and below 1, not ", config.lr_gamma()));
  }
  if (config.has_patience()) {
    out.CheckRange("train.patience", config.patience(), 1, kMaxEpochs);
  }
}

void CheckPhases(const v1::TrainConfig& config, Violations& out) {
  int64_t sum = 0;
  for (int i = 0; i < config.phases_size(); ++i) {
    const v1::Phase& phase = config.phases(i);
    const std::string field = absl::StrCat("train.phases[", i, "]");
    out.CheckRange(absl::StrCat(field, ".epochs"), phase.epochs(), 1, kMaxEpochs);
    sum += phase.epochs();
    if (phase.has_freeze()) {
      out.CheckWord(absl::StrCat(field, ".freeze"), phase.freeze(),
                    {"none", "body", "layer1", "layer2", "layer3", "layer4"});
    }
    const int factors = phase.lr_scale_size();
    if (factors != 0 && factors != 2 && factors != 5) {
      out.Add(absl::StrCat(field, ".lr_scale"),
              absl::StrCat("is two factors, [body, head], or five, [stem and layer1, layer2, "
                           "layer3, layer4, head], not ",
                           factors));
    }
    if (phase.has_image_size()) {
      out.CheckRange(absl::StrCat(field, ".image_size"), phase.image_size(), 64, 1024);
    }
    for (const double factor : phase.lr_scale()) {
      if (!(factor >= 0 && factor <= 1000)) {
        out.Add(absl::StrCat(field, ".lr_scale"),
                absl::StrCat("its factors must be from 0 to 1000, not ", factor));
      }
    }
  }
  if (config.phases().empty()) {
    out.CheckRange("train.epochs", config.epochs(), 1, kMaxEpochs);
  } else if (config.epochs() != sum) {
    out.Add("train.epochs", absl::StrCat("is ", config.epochs(), ", but the phases have ", sum,
                                         " in all; leave epochs out"));
  }
}

void CheckEarlyStopping(const v1::EarlyStopping& stopping, Violations& out) {
  if (stopping.patience() < 1 || stopping.patience() > kMaxEpochs) {
    out.Add("train.early_stopping.patience",
            absl::StrCat("is the number of epochs without a better objective after which the trial "
                         "ends, from 1 to ",
                         kMaxEpochs, ", not ", stopping.patience()));
  }
  out.CheckRange("train.early_stopping.min_delta", stopping.min_delta(), 0, 1e9);
}

}  // namespace

void CheckRecipe(const v1::TrainConfig& config, Violations& out) {
  CheckSchedule(config, out);
  CheckPhases(config, out);
  if (config.has_early_stopping()) CheckEarlyStopping(config.early_stopping(), out);
  out.CheckWord("train.class_weights", config.class_weights(), {"none", "balanced"});
  out.CheckWord("train.sampling", config.sampling(), {"all", "balanced"});
  out.CheckWord("train.test_time_augment", config.test_time_augment(), {"none", "flip", "flips"});
  out.CheckWord("train.stride", config.stride(), {"v1.5", "v1"});
  if (config.has_defaults()) {
    out.CheckWord("train.defaults", config.defaults(), {"none", "kvasir"});
  }
}

}  // namespace mead::service
