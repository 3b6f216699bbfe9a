// A trial's whole training state in one safetensors file.
//
// Format: the model's tensors under torchvision's names (so the file is also a
//         weights file), the optimizer's under "optimizer.", and __metadata__:
//         mead.checkpoint (format version; 1 had no checksums), mead.crc32c, model, num_classes,
//         optimizer, epoch, global_step, steps_per_epoch, seed; watch.* where a schedule follows the
//         objective; in the midst of an epoch also step (of it), ledger (see LedgerText), and its
//         figures so far: loss_sum, seconds and learning_rate (hexadecimal, so that no bit is lost),
//         correct, samples.
// Any other schedule is a function of the step, which pictures a step has of (seed, epoch, step)
// and the augmentation of (seed, epoch, sample), so nothing else is needed to go on exactly.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "worker/train/config.h"
#include "worker/train/state/reports.h"
#include "worker/train/tensors.h"

namespace mead::train {

inline constexpr const char* kOptimizerPrefix = "optimizer.";

// All tensors of a run that outlive a step; written through by a read.
struct TrainState {
  std::vector<NamedTensor> model;      // parameters and buffers
  std::vector<NamedTensor> optimizer;  // without the prefix
};

// data_read: as WriteSafetensors.
// Errors: kInternal (disk), naming the path; the old file then stays.
void WriteCheckpoint(const std::string& path, const TrainOptions& options, const TrainState& state,
                     const ResumePoint& point, const std::function<void()>& data_read = {});

// Errors: kUserError (no checkpoint, or one of other settings; says which); the
//   model may then hold a part.
ResumePoint ReadCheckpoint(const std::string& path, const TrainOptions& options,
                           const TrainState& state);

}  // namespace mead::train
