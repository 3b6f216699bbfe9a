// What a run remembers of its objective from epoch to epoch: for schedule plateau how often
// the rate has fallen, and for early stopping since when nothing has got better.
//
// Pure: every rank is told the same figures, so all decide alike. A checkpoint holds it as text,
// exactly, so that a resumed run decides as the whole one would have.
// Source: torch.optim.lr_scheduler.ReduceLROnPlateau with threshold 0 and cooldown 0; its
//   patience is ours less 1, as it counts the epochs that are let pass.
// Thread: not thread-safe.
#pragma once

#include <map>
#include <string>

#include "worker/train/config.h"

namespace mead::train {

// The best of the figures so far, and how many have come since.
struct BestSoFar {
  bool any = false;
  double best = 0;
  int waited = 0;

  // A figure that is not a number is never better. min_delta: a better one must be so by more.
  void Add(double figure, bool maximize, double min_delta);
  bool operator==(const BestSoFar&) const = default;
};

class ObjectiveWatch {
 public:
  explicit ObjectiveWatch(const TrainOptions& options) : options_(options) {}

  // The phase that the next epoch belongs to; a new one runs its schedule from the beginning.
  void EnterPhase(int index);
  // An epoch has ended.
  void Add(double objective);

  // How often the rate has fallen in this phase.
  int cuts() const { return cuts_; }
  // Whether the trial is to end here, for want of progress.
  bool stops() const {
    return options_.stop_patience > 0 && stopping_.waited >= options_.stop_patience;
  }

  // For a checkpoint's metadata; empty where there is nothing to remember.
  std::map<std::string, std::string> ToMetadata() const;
  // Keys that are missing (an older checkpoint's) leave the beginning's state.
  // Errors: kUserError (a text that ToMetadata does not write).
  void FromMetadata(const std::map<std::string, std::string>& metadata);

 private:
  const TrainOptions& options_;
  int phase_ = 0;
  int cuts_ = 0;
  BestSoFar plateau_;
  BestSoFar stopping_;  // over all phases
};

}  // namespace mead::train
