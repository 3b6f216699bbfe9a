// Records a step's GPU work once and repeats it with one launch.
//
// A ResNet-50 step is some 400 kernels; launched one by one, the host is the
// slower side. What a recorded step reads and writes must lie at the same addresses
// every time, and nothing in it may wait for the device.
// Source: CUDA graphs; at::cuda::CUDAGraph.
// Thread: the train thread owns it. On a CPU, and in a build without CUDA, every
//         step simply runs.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>

#include "worker/train/tensors.h"

namespace mead::train {

class StepGraph {
 public:
  explicit StepGraph(bool enabled);
  ~StepGraph();

  // Does what `step` does. key tells steps apart that do different work: the first
  // few of a key run as they are (libraries choose algorithms, allocators fill),
  // then one is recorded, and from there on `step` is not called any more for it.
  // Steps of another key run as they are.
  // Returns what `step` returned when it was recorded: the same tensor every time.
  at::Tensor Run(int64_t key, const std::function<at::Tensor()>& step);

  // Forgets the recording: what it used has moved.
  void Reset();

  // How often a recording was repeated.
  int64_t replays() const { return replays_; }

 private:
  struct Recording;

  at::Tensor Replay();

  bool enabled_;
  int64_t key_ = -1;
  int runs_ = 0;  // of key_, without the recording
  int64_t replays_ = 0;
  std::unique_ptr<Recording> recording_;
};

}  // namespace mead::train
