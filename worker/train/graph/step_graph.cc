#include "worker/train/graph/step_graph.h"

#ifdef MEAD_HAVE_CUDA
#include <ATen/cuda/CUDAGraph.h>
#endif

namespace mead::train {

#ifdef MEAD_HAVE_CUDA
struct StepGraph::Recording {
  at::cuda::CUDAGraph graph;
  at::Tensor result;
};
#else
struct StepGraph::Recording {};
#endif

StepGraph::StepGraph(bool enabled) : enabled_(enabled) {}

StepGraph::~StepGraph() = default;

void StepGraph::Reset() {
  recording_.reset();
  key_ = -1;
}

#ifdef MEAD_HAVE_CUDA
at::Tensor StepGraph::Replay() {
  recording_->graph.replay();
  ++replays_;
  return recording_->result;
}
#endif

at::Tensor StepGraph::Run(int64_t key, const std::function<at::Tensor()>& step) {
#ifdef MEAD_HAVE_CUDA
  constexpr int kWarmUpRuns = 3;
  if (!enabled_) return step();
  if (recording_ != nullptr) {
    if (key != key_) return step();
    return Replay();
  }
  if (key != key_) {
    key_ = key;
    runs_ = 0;
  }
  if (runs_++ < kWarmUpRuns) return step();
  auto recording = std::make_unique<Recording>();
  // Thread-local: loader threads may allocate meanwhile.
  recording->graph.capture_begin(/*pool=*/{0, 0}, cudaStreamCaptureModeThreadLocal);
  try {
    recording->result = step();
  } catch (...) {
    // The stream must not stay in capture; what the step says is what is wrong.
    try {
      recording->graph.capture_end();
    } catch (const std::exception&) {
    }
    enabled_ = false;
    throw;
  }
  recording->graph.capture_end();
  recording_ = std::move(recording);
  return Replay();  // recording computes nothing
#else
  static_cast<void>(key);
  return step();
#endif
}

}  // namespace mead::train
