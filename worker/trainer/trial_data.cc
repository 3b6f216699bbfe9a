#include "worker/trainer/trial_data.h"

#include <utility>

#include "absl/strings/str_format.h"
#include "common/dataset/folds.h"
#include "common/files.h"
#include "common/sha256.h"
#include "worker/trainer/options.h"
#include "worker/trainer/say.h"

namespace mead::trainer {

TrialData::TrialData(const v1::Prepare& prepare) : prepare_(prepare), config_(prepare.config()) {
  const std::string manifest = OrThrow(ReadFile(prepare_.manifest_path()));
  manifest_digest_ = DigestOf(manifest);
  manifest_ = OrThrow(dataset::Manifest::FromJson(manifest));
  splits_digest_ = manifest_digest_;
  if (config_.has_fold()) TakeFold();
  plans_.emplace(config_, manifest_, prepare_.world_size());
}

void TrialData::TakeFold() {
  const auto fold = static_cast<uint32_t>(config_.fold().index() - 1);
  const auto folds = static_cast<uint32_t>(config_.fold().folds());
  const uint64_t seed = config_.fold().seed();
  manifest_ = OrThrow(dataset::ManifestOfFold(std::move(manifest_), fold, folds, seed));
  splits_digest_ = dataset::FoldDigest(manifest_digest_, fold, folds, seed);
  if (prepare_.rank() != 0) return;
  Say(absl::StrFormat("fold %d of %d: trains on %d pictures, is evaluated on %d", fold + 1, folds,
                      Count(dataset::Split::kTrain), Count(dataset::Split::kVal)));
}

void TrialData::Open(int image_size) {
  pictures_.reset();
  train_loader_.reset();
  val_loader_.reset();
  image_size_ = image_size;
  data::LoaderOptions loader;
  loader.manifest = &manifest_;
  loader.shard_paths.assign(prepare_.shard_paths().begin(), prepare_.shard_paths().end());
  loader.image_size = image_size_;
  loader.augment = ToAugmentOptions(config_.augment());
  loader.seed = SeedOf(config_);
  loader.threads = LoaderThreads(prepare_);
  loader.shared_cache = ToDecodedCache(prepare_, splits_digest_, Say);
  loader.split = dataset::Split::kTrain;
  train_loader_ = OrThrow(data::Loader::Create(loader));
  loader.split = dataset::Split::kVal;
  val_loader_ = OrThrow(data::Loader::Create(loader));
}

void TrialData::KeepIn(std::shared_ptr<PictureStore> pictures) {
  pictures_ = std::move(pictures);
  if (pictures_ != nullptr) train_loader_->KeepIn(pictures_);
}

void TrialData::StartTraining(int epoch, const EpochPlan& plan, bool mixes) {
  TrialPlans::Share share = plans_->ShareOf(plan, prepare_.rank());
  mixing_.clear();
  next_mix_ = 0;
  for (uint64_t i = 0; mixes && i < share.steps.size(); ++i) {
    const uint64_t step = plan.first_step() + i;
    const uint64_t size = plan.BatchSize(step);
    const uint64_t begin = plans_->BeginOf(plan, step, prepare_.rank());
    BatchMix& mix = mixing_.emplace_back(PartnersOf(size, begin, share.steps[i].size()));
    mix.plan = DrawMix({SeedOf(config_), static_cast<uint64_t>(epoch), step},
                       ToMixOptions(config_.augment()), image_size_);
    const auto extra = PlaceFromElsewhere(size, begin, share.steps[i].size());
    if (!extra.has_value()) continue;
    const TrialPlans::Use use = plans_->At(plan, step, *extra);
    share.steps[i].push_back(use.sample);
    if (plan.balanced()) share.turns[i].push_back(use.turn);
  }
  Start(*train_loader_, epoch, std::move(share));
}

TrialData::Step TrialData::NextTraining() {
  Step step{.batch = OrThrow(train_loader_->Next())};
  step.pictures = step.batch.size;
  if (mixing_.empty()) return step;
  step.mix = &mixing_[next_mix_++];
  step.pictures = static_cast<int>(step.mix->partners.size());
  return step;
}

void TrialData::StartEvaluation(int epoch, const EpochPlan& plan) {
  Start(*val_loader_, epoch, plans_->ShareOf(plan, prepare_.rank()));
}

data::Batch TrialData::NextEvaluation() { return OrThrow(val_loader_->Next()); }

void TrialData::Start(data::Loader& loader, int epoch, TrialPlans::Share share) {
  OrThrow(loader.StartEpoch(static_cast<uint64_t>(epoch), std::move(share.steps),
                            std::move(share.turns)));
}

}  // namespace mead::trainer
