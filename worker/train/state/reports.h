// What loading a file gave: plain data, no LibTorch.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace mead::train {

// What a weights file gave and did not give.
struct WeightsReport {
  std::vector<std::string> loaded;
  std::vector<std::string> missing;     // in the model, not in the file
  std::vector<std::string> unexpected;  // in the file, not in the model
  std::vector<std::string> mismatched;  // "fc.weight: file [1000, 2048], model [8, 2048]"
  std::string note;                     // what was done to find the file's names; may be empty
  // One line for a log: counts and the first names of each kind.
  std::string Summary() const;
};

// Where a checkpoint was saved.
struct ResumePoint {
  int epoch = 0;  // the last finished one, from 1
  int64_t global_step = 0;
  // What else a run remembers, as ObjectiveWatch writes it.
  std::map<std::string, std::string> notes = {};
};

}  // namespace mead::train
