// The steps that have begun and whose figures have not been looked at, in order.
//
// A step's figures are copied to the host behind its work on the device, and read when
// they have arrived: the host waits for no step that it need not wait for.
// Bound: kMost steps; MakeRoom() waits for the oldest.
// Thread: the train thread owns it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <vector>

#include "worker/train/comm/communicator.h"
#include "worker/train/device.h"
#include "worker/train/step_result.h"
#include "worker/train/tensors.h"

namespace mead::train {

class StepsUnderWay {
 public:
  static constexpr size_t kMost = 2;

  explicit StepsUnderWay(int world_size) : world_size_(world_size) {}

  // The number of the next step to begin, from 0.
  int64_t next_step() const { return next_step_; }
  // Errors (these two): kPeerLost; kDiverged, naming the ranks whose loss or gradient is not
  // finite.
  //   The steps begun after that one are forgotten, as they have changed nothing, and
  //   it is the next again.
  // Waits until a step may begin.
  void MakeRoom();
  // The steps that have ended since the last call, in order. wait: all that have begun.
  std::vector<StepResult> Finished(bool wait);

  // The next step has begun, after MakeRoom(). figures: what TrainingStep::Run returned,
  // on its way; ended: the communicator's watch of the step and that copy; samples: of
  // the global batch.
  void Add(HostCopy figures, std::unique_ptr<Pending> ended, int64_t samples, double learning_rate);
  // Returns when all that have begun have ended on the device: before the host waits for
  // it in a way that sees no lost peer.
  // Errors: kPeerLost.
  void Await();

  // Whatever they were is of no more interest; the next step keeps its number.
  void Forget();
  // Begins with that step, and forgets those before.
  void GoOnWith(int64_t step);

 private:
  struct UnderWay {
    HostCopy figures;
    std::unique_ptr<Pending> ended;
    int64_t step;
    int64_t samples;
    double learning_rate;
  };

  void TakeOldest();

  const int world_size_;
  int64_t next_step_ = 0;
  std::deque<UnderWay> under_way_;
  std::vector<StepResult> finished_;
};

}  // namespace mead::train
