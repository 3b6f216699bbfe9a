// One rank of our training step on made-up pictures: what the benches of the step drive.
//
// Thread: one thread owns it.
// Errors: TrainError from every function.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "common/augment/picture_store.h"
#include "worker/train/config.h"
#include "worker/train/session.h"

namespace mead::bench {

struct RankOptions {
  std::string model;
  int side = 0;          // of the pictures, pixels
  int global_batch = 0;  // of all ranks; divisible by world_size
  int threads = 0;
  std::string device;     // "cpu" or "cuda:N"
  std::string precision;  // "fp32" or "bf16"
  int rank = 0;
  int world_size = 1;
  std::string store;  // in a gang: "serve", or the address that rank 0 printed
  // The pictures lie decoded in the device's memory, four batches of them, and each step augments
  // its own there. Otherwise every step gets the same pixels from the host.
  bool resident = false;
};

// argv: MODEL SIDE BATCH THREADS DEVICE PRECISION RANK WORLD STORE
RankOptions RankOptionsFrom(char** argv);

class SyntheticRank {
 public:
  // In a gang, prints "store ADDRESS" before it waits for the others.
  explicit SyntheticRank(const RankOptions& options);

  // As many steps as both sides take before anything is measured.
  void WarmUp();
  // Returns once all steps have ended.
  void Train(int steps);

  // The process's resident memory on a CPU, since the last ResetPeakMemory; on a GPU, what
  // LibTorch's allocator has handed out, from the start: a recorded graph keeps its memory
  // and is not seen to use it.
  void ResetPeakMemory();
  int64_t PeakMemoryBytes() const;

 private:
  void FillStore();
  const std::vector<PlannedPicture>& PlanNextStep();

  const RankOptions options_;
  const int batch_;  // this rank's
  std::unique_ptr<train::TrainingSession> session_;
  std::vector<uint8_t> pixels_;          // [batch_, side, side, 3], RGB; empty with a store
  std::vector<PlannedPicture> planned_;  // [batch_]; empty without a store
  std::vector<int32_t> labels_;          // [batch_]
  uint64_t planned_steps_ = 0;
};

}  // namespace mead::bench
