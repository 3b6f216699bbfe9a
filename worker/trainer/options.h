// From the API's words to those of the training step and the data plane.
#pragma once

#include <cstdint>
#include <vector>

#include "common/augment/augment_plan.h"
#include "mead/v1/trainer.pb.h"
#include "worker/train/config.h"
#include "worker/train/errors.h"

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
AugmentOptions ToAugmentOptions(const v1::AugmentConfig& config);

// Decoding threads of a loader.
int LoaderThreads(const v1::Prepare& prepare);

v1::FailureKind ToFailureKind(train::ErrorKind kind);

}  // namespace mead::trainer
