// One rank's pictures: the data set as the trial's config has it, its fold included, the plans
// of its epochs, and loaders that follow them.
//
// Thread: the train thread; loaders have threads of their own.
// Errors: TrainError.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/augment/mix.h"
#include "common/augment/picture_store.h"
#include "common/base/epoch_plan.h"
#include "common/dataset/manifest.h"
#include "mead/v1/trainer.pb.h"
#include "worker/data/loader.h"
#include "worker/trainer/trial_plans.h"

namespace mead::trainer {

class TrialData {
 public:
  // Reads the manifest. prepare outlives it.
  explicit TrialData(const v1::Prepare& prepare);

  // Of the fold, if the trial has one: its splits are what is trained on and evaluated.
  const dataset::Manifest& manifest() const { return manifest_; }
  // Of the data set as it was added.
  const std::string& manifest_digest() const { return manifest_digest_; }
  const TrialPlans& plans() const { return *plans_; }
  // In all, over all ranks.
  int64_t Count(dataset::Split split) const { return static_cast<int64_t>(manifest_.Count(split)); }

  // Makes loaders of pictures of this side, pixels. Those of another size go first, with the
  // pictures that they keep.
  void Open(int image_size);
  int image_size() const { return image_size_; }
  // Where training's pictures stay once they have been decoded; of this size alone. null: nowhere.
  void KeepIn(std::shared_ptr<PictureStore> pictures);
  const PictureStore* pictures() const { return pictures_.get(); }
  // Of this rank's training loader.
  uint64_t training_pictures() const { return train_loader_->num_samples(); }

  // Sets the loader to work on this rank's share of the plan. mixes: whether the batches are
  // mixed; a step's share then has a picture of another rank's behind it, where one is needed.
  void StartTraining(int epoch, const EpochPlan& plan, bool mixes);
  struct Step {
    data::Batch batch;
    int pictures = 0;               // that are this rank's; the others only lend their pixels
    const BatchMix* mix = nullptr;  // until training starts anew; null where nothing is mixed
  };
  // In order, from the plan's first step on.
  Step NextTraining();

  void StartEvaluation(int epoch, const EpochPlan& plan);
  data::Batch NextEvaluation();

 private:
  void TakeFold();
  void Start(data::Loader& loader, int epoch, TrialPlans::Share share);

  const v1::Prepare& prepare_;
  const v1::TrainConfig& config_;
  std::string manifest_digest_;
  std::string splits_digest_;  // the manifest's, or a fold's
  dataset::Manifest manifest_;
  std::optional<TrialPlans> plans_;
  int image_size_ = 0;
  std::unique_ptr<data::Loader> train_loader_;
  std::unique_ptr<data::Loader> val_loader_;
  std::shared_ptr<PictureStore> pictures_;
  std::vector<BatchMix> mixing_;  // by step; empty where nothing is mixed
  size_t next_mix_ = 0;
};

}  // namespace mead::trainer
