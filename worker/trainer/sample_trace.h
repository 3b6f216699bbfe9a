// For tests of what was trained on: which pictures were fed to which step, as text.
//
// With MEAD_SAMPLE_TRACE=DIR in mead-worker's environment each rank of an attempt appends to
// DIR/TRIAL.ATTEMPT.RANK: "from EPOCH STEP" once, where the attempt begins, and before each
// step "EPOCH STEP SAMPLE..." (epochs from 1, steps of the epoch from 0, indices within the
// training split). Each line is with the kernel before the step begins, so that killing the
// process loses none.
// Thread: the train thread owns it.
// Errors: TrainError (the file cannot be written).
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "common/files.h"

namespace mead::trainer {

class SampleTrace {
 public:
  // name: of the file. Writes nothing without the environment variable.
  explicit SampleTrace(const std::string& name);

  void From(int epoch, int64_t step);
  void Fed(int epoch, uint64_t step, std::span<const uint64_t> samples);

 private:
  void Write(const std::string& line);

  std::string path_;
  ScopedFd file_;
};

}  // namespace mead::trainer
