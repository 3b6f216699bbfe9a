// What loading a file gave: plain data, no LibTorch.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "common/base/sample_ledger.h"

namespace mead::train {

// What a weights file gave and did not give.
struct WeightsReport {
  std::vector<std::string> loaded;
  std::vector<std::string> missing;     // in the model, not in the file
  std::vector<std::string> unexpected;  // in the file, not in the model
  std::vector<std::string> mismatched;  // "fc.weight: file [1000, 2048], model [8, 2048]"
  std::string note;                     // what was done to find the file's names; may be empty
  // "layer4": a phase freezes it, and as the file does not hold all of it, it learns there too.
  std::vector<std::string> learning;
  // One line for a log: counts and the first names of each kind.
  std::string Summary() const;
};

// What an epoch under way has come to, so that one that is interrupted is reported as a whole.
struct EpochSoFar {
  int64_t steps = 0;    // done, of this epoch
  double loss_sum = 0;  // over samples
  int64_t correct = 0;
  int64_t samples = 0;
  double learning_rate = 0;         // of the last step
  double seconds = 0;               // spent training
  std::vector<LedgerEntry> ledger;  // of the steps done
};

// Where a checkpoint was saved.
struct ResumePoint {
  int epoch = 0;  // the last finished one, from 1; 0 within the first
  int64_t global_step = 0;
  EpochSoFar so_far;  // of the epoch after it
  // The stages that no weights file held whole, as StagesText writes them.
  std::string at_random = {};
  // What else a run remembers, as ObjectiveWatch writes it.
  std::map<std::string, std::string> notes = {};
};

}  // namespace mead::train
