// What a training session is told: the settings of one trial on one rank.
//
// Plain data with the sweep file's meaning; no LibTorch, so that code which also
// sees protobuf may include it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/range_test.h"

namespace mead::train {

enum class ScheduleKind { kOneCycle, kCosine, kConstant, kStep, kPlateau };
enum class OptimizerKind { kSgd, kAdamW, kLars, kLamb };
enum class Precision { kFp32, kBf16 };
// What evaluation averages the softmax over: the picture, also its mirror image, or all four flips.
enum class Views { kOne, kFlip, kFlips };

struct OptimizerOptions {
  OptimizerKind kind = OptimizerKind::kSgd;
  double lr = 0.01;  // the schedule's peak
  double weight_decay = 1e-4;
  // SGD and LARS.
  double momentum = 0.9;
  bool nesterov = true;
  // LARS: a layer's step per length of its weights, at rate 1.
  double trust_coefficient = 0.001;
  // AdamW and LAMB.
  double beta1 = 0.9;
  double beta2 = 0.999;
  double epsilon = 1e-8;
};

// A stretch of epochs with settings of its own. Each phase runs the schedule
// from its beginning to its end, as fast.ai's fit_one_cycle per phase does.
struct Phase {
  int epochs = 0;
  bool freeze_body = false;  // only the classifier (fc) learns
  double body_lr_scale = 1;
  double head_lr_scale = 1;
  int frozen_stages = 0;  // 0 to 4: the first that keep their weights, with the stem
  // [4], the stem with the first; empty: the body's for each.
  std::vector<double> stage_lr_scales = {};
  int image_size = 0;  // 0: the trial's
};

// Half of what a GPU has to spare once a step is known to fit; on a CPU nothing, for the
// loader keeps pictures in the same memory.
inline constexpr int64_t kResidentAuto = -1;

struct TrainOptions {
  std::string model = "resnet50";  // resnet18 | 34 | 50 | 101 | 152
  int num_classes = 0;
  int image_size = 224;     // side of the square input, pixels
  int64_t batch_size = 64;  // global: over all ranks
  int64_t steps_per_epoch = 0;
  int epochs = 10;
  std::vector<Phase> phases;  // empty: one phase of `epochs`; otherwise their sum is `epochs`
  ScheduleKind schedule = ScheduleKind::kOneCycle;
  double warmup_epochs = 0;      // of each phase; 0 with one_cycle, which has its own
  std::vector<int> step_epochs;  // kStep: the rate falls after each; of a phase, from 1, rising
  double lr_gamma = 0.1;         // kStep and kPlateau: by which it falls, in (0, 1)
  int patience = 3;              // kPlateau: epochs without a better objective until it falls
  bool maximize = true;          // the objective; false: less of it is better
  // Early stopping: epochs without an objective better by more than stop_min_delta after which
  // a trial ends; 0: none.
  int stop_patience = 0;
  double stop_min_delta = 0;
  // With steps: they have its rates, whatever the schedule says.
  RangeTestOptions range_test;
  OptimizerOptions optimizer;
  double clip_grad_norm = 0;  // the longest gradient, over all parameters; 0: any
  double ema_decay = 0;       // [0, 1), of the averaged weights; 0: none are kept
  Precision precision = Precision::kFp32;
  // How gradients travel between ranks; they are held in float32 wherever they are.
  // bf16 not with virtual_ranks, whose sums are the same bits for any number of ranks.
  Precision gradients_on_wire = Precision::kFp32;
  double label_smoothing = 0;  // [0, 0.5]
  // Training batches come with what is mixed in them (mixup, CutMix), every one of them.
  bool mixes = false;
  // By class: what its pictures' loss counts in training; empty: 1 each.
  std::vector<double> class_weights;
  // Batch-norm layers use and keep their running statistics (fine-tuning on
  // small batches); their weights still learn.
  bool freeze_batch_norm = false;
  Views evaluation_views = Views::kOne;
  // A bottleneck's stride lies in its first convolution (1x1), not in its 3x3: the weights of He
  // et al. and of Caffe want it so.
  bool stride_in_first = false;
  uint64_t seed = 1;
  std::string device = "cpu";  // "cpu" or "cuda:N"
  int threads = 1;             // CPU threads of the tensor operations
  // Pictures per forward pass on this rank; 0: as many as fit.
  int micro_batch = 0;
  // The pieces that a batch is computed in and summed over in a fixed order, so
  // that the result is the same for every number of ranks that divides it; a power
  // of two up to 64, on a CPU, without micro_batch. 0: one piece per rank.
  int virtual_ranks = 0;
  // Bytes that large tensors on a CPU may take; beyond them batches are divided
  // (see FitMemory). 0: what the machine gives.
  int64_t memory_limit_bytes = 0;
  // Decoded pictures that stay in the device's memory: bytes at most, 0 for none.
  int64_t resident_bytes = kResidentAuto;
  // On a GPU: steps are recorded as a CUDA graph where they can be. false: launched
  // one by one, to compare with.
  bool record_steps = true;
  // Bytes of float32 gradients per all-reduce; small enough to start during backward.
  int64_t bucket_bytes = int64_t{8} << 20;
};

// Errors (all below): kUserError naming the value and what is possible.
// one_cycle | cosine | constant | step | plateau
ScheduleKind ScheduleFromName(std::string_view name);
OptimizerKind OptimizerFromName(std::string_view name);  // sgd | adamw | lars | lamb
// fp32 | bf16; key: whose value it is.
Precision PrecisionFromName(std::string_view name, std::string_view key = "precision");
int64_t ResidentBytesFromName(std::string_view name);  // auto | off
Views ViewsFromName(std::string_view name);            // none | flip | flips
bool StrideInFirstFromName(std::string_view name);     // v1.5 | v1

std::string_view OptimizerName(OptimizerKind kind);
// What its paper and PyTorch take for settings that nobody gave.
OptimizerOptions OptimizerDefaults(OptimizerKind kind);

// Checks every field and throws kUserError listing all that is wrong at once.
void Validate(const TrainOptions& options);

}  // namespace mead::train
