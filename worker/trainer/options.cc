#include "worker/trainer/options.h"

#include <algorithm>
#include <numeric>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/augment/augment_words.h"
#include "worker/trainer/lr_range.h"

namespace mead::trainer {
namespace {

constexpr int kStages = 4;  // of a ResNet

// [low, high] or the default pair of a repeated field.
std::pair<double, double> PairOf(const google::protobuf::RepeatedField<double>& values,
                                 const char* name, double first, double second) {
  if (values.empty()) return {first, second};
  if (values.size() != 2) {
    throw train::TrainError(train::ErrorKind::kUserError,
                            absl::StrCat(name, " needs two numbers, got ", values.size()));
  }
  return {values[0], values[1]};
}

// What a word means, or what it should have been.
template <typename Value>
Value WordOf(const char* key, const std::string& word,
             std::optional<Value> (*from_name)(std::string_view), const char* known) {
  const std::optional<Value> value = from_name(word);
  if (!value) {
    throw train::TrainError(train::ErrorKind::kUserError,
                            absl::StrCat(key, " is ", known, ", got '", word, "'"));
  }
  return *value;
}

train::OptimizerOptions ToOptimizer(const v1::OptimizerConfig& config) {
  train::OptimizerOptions out =
      train::OptimizerDefaults(train::OptimizerFromName(config.has_name() ? config.name() : "sgd"));
  if (config.has_lr()) out.lr = config.lr();
  if (config.has_weight_decay()) out.weight_decay = config.weight_decay();
  if (config.has_momentum()) out.momentum = config.momentum();
  if (config.has_nesterov()) out.nesterov = config.nesterov();
  if (config.has_beta1()) out.beta1 = config.beta1();
  if (config.has_beta2()) out.beta2 = config.beta2();
  if (config.has_trust_coefficient()) out.trust_coefficient = config.trust_coefficient();
  return out;
}

train::Phase ToPhase(const v1::Phase& phase) {
  train::Phase out{.epochs = phase.epochs(),
                   .freeze_body = phase.freeze() == "body",
                   .stage_lr_scales = {},
                   .image_size = phase.image_size()};
  const int factors = phase.lr_scale_size();
  if (factors == kStages + 1) {
    out.stage_lr_scales.assign(phase.lr_scale().begin(), phase.lr_scale().end() - 1);
    out.head_lr_scale = phase.lr_scale(kStages);
  } else if (factors == 2) {
    out.body_lr_scale = phase.lr_scale(0);
    out.head_lr_scale = phase.lr_scale(1);
  } else if (factors != 0) {
    throw train::TrainError(train::ErrorKind::kUserError,
                            absl::StrCat("lr_scale needs two numbers, or five, got ", factors));
  }
  const std::string& freeze = phase.freeze();
  if (freeze.size() == 6 && freeze.starts_with("layer") && freeze[5] >= '1' && freeze[5] <= '4') {
    out.frozen_stages = freeze[5] - '0';
  } else if (!freeze.empty() && freeze != "none" && freeze != "body") {
    throw train::TrainError(
        train::ErrorKind::kUserError,
        absl::StrCat("freeze is none, body or layer1 to layer4, got '", freeze, "'"));
  }
  return out;
}

}  // namespace

int EpochsOf(const v1::TrainConfig& config) {
  int sum = 0;
  for (const v1::Phase& phase : config.phases()) sum += phase.epochs();
  if (config.phases_size() > 0) return sum;
  return config.has_epochs() ? config.epochs() : 10;
}

int64_t BatchSizeOf(const v1::TrainConfig& config) {
  return config.has_batch_size() ? config.batch_size() : 64;
}

int VirtualRanksOf(const v1::TrainConfig& config) {
  if (!config.deterministic()) return 0;
  return config.has_virtual_ranks() ? config.virtual_ranks() : 4;
}

uint64_t SeedOf(const v1::TrainConfig& config) { return config.has_seed() ? config.seed() : 1; }

train::TrainOptions ToTrainOptions(const v1::Prepare& prepare, int num_classes,
                                   int64_t steps_per_epoch) {
  const v1::TrainConfig& config = prepare.config();
  train::TrainOptions out;
  if (config.has_model()) out.model = config.model();
  out.num_classes = num_classes;
  if (config.has_image_size()) out.image_size = config.image_size();
  out.batch_size = BatchSizeOf(config);
  out.steps_per_epoch = steps_per_epoch;
  out.epochs = EpochsOf(config);
  for (const v1::Phase& phase : config.phases()) {
    out.phases.push_back(ToPhase(phase));
  }
  if (config.has_schedule()) out.schedule = train::ScheduleFromName(config.schedule());
  out.warmup_epochs = config.warmup_epochs();
  out.step_epochs.assign(config.step_epochs().begin(), config.step_epochs().end());
  if (config.has_lr_gamma()) out.lr_gamma = config.lr_gamma();
  if (config.has_patience()) out.patience = config.patience();
  out.maximize = prepare.objective().goal() != "minimize";
  if (config.has_early_stopping()) {
    out.stop_patience = std::max(1, config.early_stopping().patience());
    out.stop_min_delta = config.early_stopping().min_delta();
  }
  if (config.has_lr_range()) out.range_test = ToRangeTestOptions(config.lr_range());
  out.optimizer = ToOptimizer(config.optimizer());
  out.clip_grad_norm = config.optimizer().clip_grad_norm();
  out.ema_decay = config.ema();
  const bool gpu = prepare.device() != "cpu";
  out.precision = config.has_precision() ? train::PrecisionFromName(config.precision())
                  : gpu                  ? train::Precision::kBf16
                                         : train::Precision::kFp32;
  if (config.has_gradients_on_wire()) {
    out.gradients_on_wire =
        train::PrecisionFromName(config.gradients_on_wire(), "gradients_on_wire");
  }
  if (config.has_label_smoothing()) out.label_smoothing = config.label_smoothing();
  out.mixes = ToMixOptions(config.augment()).any();
  out.freeze_batch_norm = config.freeze_batch_norm();
  if (config.has_test_time_augment()) {
    out.evaluation_views = train::ViewsFromName(config.test_time_augment());
  }
  if (config.has_stride()) out.stride_in_first = train::StrideInFirstFromName(config.stride());
  out.micro_batch = config.micro_batch();
  out.virtual_ranks = VirtualRanksOf(config);
  if (config.has_resident()) out.resident_bytes = train::ResidentBytesFromName(config.resident());
  out.seed = SeedOf(config);
  out.device = prepare.device();
  out.threads = std::max(1, prepare.threads());
  return out;
}

std::vector<double> ClassWeightsOf(const v1::TrainConfig& config,
                                   const std::vector<uint64_t>& counts) {
  if (!config.has_class_weights() || config.class_weights() == "none") return {};
  if (config.class_weights() != "balanced") {
    throw train::TrainError(
        train::ErrorKind::kUserError,
        absl::StrCat("class_weights is none or balanced, got '", config.class_weights(), "'"));
  }
  const auto samples =
      static_cast<double>(std::accumulate(counts.begin(), counts.end(), uint64_t{0}));
  const auto present =
      static_cast<double>(std::ranges::count_if(counts, [](uint64_t count) { return count > 0; }));
  std::vector<double> weights;
  for (const uint64_t count : counts) {
    weights.push_back(count == 0 ? 0 : samples / (present * static_cast<double>(count)));
  }
  return weights;
}

AugmentOptions ToAugmentOptions(const v1::AugmentConfig& config) {
  AugmentOptions out;
  out.rotate = config.rotate();
  out.flip = WordOf("flip", config.has_flip() ? config.flip() : "horizontal", FlipFromName,
                    "none, horizontal, vertical or both");
  std::tie(out.crop_lo, out.crop_hi) = PairOf(config.crop_scale(), "crop_scale", 1, 1);
  out.lighting = config.lighting();
  out.erasing = config.erasing();
  out.position_box =
      WordOf("position_box", config.has_position_box() ? config.position_box() : "keep",
             PositionBoxFromName, "keep, mask or crop");
  return out;
}

data::DecodedCacheOptions ToDecodedCache(const v1::Prepare& prepare, std::string manifest_digest,
                                         std::function<void(const std::string&)> say) {
  data::DecodedCacheOptions cache;
  cache.dir = prepare.cache_dir();
  cache.limit_bytes = prepare.cache_limit_bytes();
  cache.dataset_digest = std::move(manifest_digest);
  cache.say = std::move(say);
  return cache;
}

MixOptions ToMixOptions(const v1::AugmentConfig& config) {
  const MixOptions out{.mixup = config.mixup(), .cutmix = config.cutmix()};
  if (const std::string problem = ProblemOf(out); !problem.empty()) {
    throw train::TrainError(train::ErrorKind::kUserError, problem);
  }
  return out;
}

CheckpointSchedule CheckpointScheduleOf(const v1::CheckpointConfig& config) {
  const double minutes = config.has_every_minutes() ? config.every_minutes() : 5;
  return {config.every_steps(), absl::Minutes(1) * minutes};
}

int LoaderThreads(const v1::Prepare& prepare) {
  if (prepare.config().loader_threads() > 0) return prepare.config().loader_threads();
  // On a CPU the step itself wants the threads, and decoded pictures are kept.
  const int threads = prepare.device() == "cpu" ? prepare.threads() / 2 : prepare.threads();
  return std::max(1, threads);
}

v1::FailureKind ToFailureKind(train::ErrorKind kind) {
  switch (kind) {
    case train::ErrorKind::kUserError:
    // The same settings diverge again; the user has to change them.
    case train::ErrorKind::kDiverged:
      return v1::FAILURE_KIND_USER_ERROR;
    case train::ErrorKind::kOutOfMemory:
      return v1::FAILURE_KIND_OUT_OF_MEMORY;
    case train::ErrorKind::kPeerLost:
    case train::ErrorKind::kInternal:
      return v1::FAILURE_KIND_INFRASTRUCTURE;
  }
  return v1::FAILURE_KIND_INFRASTRUCTURE;
}

}  // namespace mead::trainer
