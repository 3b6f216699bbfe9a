// Progress of something long: one line that redraws on a terminal; in a pipe a line when a
// phase begins and ends and every tenth in between.
//
// Thread: one thread at a time.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "absl/time/time.h"
#include "client/terminal.h"

namespace mead::client {

class ProgressLine {
 public:
  enum class Unit { kItems, kBytes };

  // Writes to terminal.err, so that standard output stays a command's result.
  // now: the time, replaceable by tests.
  explicit ProgressLine(const Terminal& terminal, std::function<absl::Time()> now = {});
  // Leaves the cursor at the beginning of a line.
  ~ProgressLine();
  ProgressLine(const ProgressLine&) = delete;
  ProgressLine& operator=(const ProgressLine&) = delete;

  // done of total (0: not known yet); `initial` of them were there before (an upload that
  // goes on), so they do not count for the rate.
  void Update(const std::string& phase, uint64_t done, uint64_t total, Unit unit,
              uint64_t initial = 0);
  // Ends the line that is being drawn.
  void Finish();

 private:
  std::string Text(uint64_t done, uint64_t total, Unit unit, uint64_t initial) const;

  const Terminal& terminal_;
  const std::function<absl::Time()> now_;
  std::string phase_;
  absl::Time phase_start_;
  absl::Time last_drawn_;
  int last_tenth_ = -1;
  bool open_ = false;
};

}  // namespace mead::client
