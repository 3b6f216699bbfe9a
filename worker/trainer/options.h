// From the API's words to those of the training step and the data plane.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "common/augment/augment_plan.h"
#include "common/augment/mix.h"
#include "mead/v1/trainer.pb.h"
#include "worker/data/decoded_store.h"
#include "worker/train/config.h"
#include "worker/train/errors.h"
#include "worker/trainer/checkpoint_schedule.h"

namespace mead::trainer {

// The settings of a trial on this rank; absent fields get the defaults that
// train_config.proto states. The limit of memory is left to the caller: it depends on
// where the other ranks are.
// Errors: TrainError kUserError.
train::TrainOptions ToTrainOptions(const v1::Prepare& prepare, int num_classes,
                                   int64_t steps_per_epoch);

// Passes over the training split: `epochs`, or the phases' sum.
int EpochsOf(const v1::TrainConfig& config);
int64_t BatchSizeOf(const v1::TrainConfig& config);
uint64_t SeedOf(const v1::TrainConfig& config);
// 0: not deterministic.
int VirtualRanksOf(const v1::TrainConfig& config);

// By class: none, or pictures / (classes with pictures * pictures of the class), which is 1 on
// average over the pictures; 0 for a class without any. counts: of the training split.
// Source: sklearn.utils.class_weight.compute_class_weight("balanced").
// Errors: TrainError kUserError.
std::vector<double> ClassWeightsOf(const v1::TrainConfig& config,
                                   const std::vector<uint64_t>& counts);

// Errors: TrainError kUserError.
MixOptions ToMixOptions(const v1::AugmentConfig& config);
AugmentOptions ToAugmentOptions(const v1::AugmentConfig& config);

// The node's cache of decoded pictures, for the data set whose manifest has this digest.
data::DecodedCacheOptions ToDecodedCache(const v1::Prepare& prepare, std::string manifest_digest,
                                         std::function<void(const std::string&)> say);
// When checkpoints are due in the midst of an epoch.
CheckpointSchedule CheckpointScheduleOf(const v1::CheckpointConfig& config);

// Decoding threads of a loader.
int LoaderThreads(const v1::Prepare& prepare);

v1::FailureKind ToFailureKind(train::ErrorKind kind);

}  // namespace mead::trainer
