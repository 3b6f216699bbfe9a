// Which pictures went into an epoch's steps: a record that adds up and can be checked.
//
// An entry tells of the steps [begin, end) of an epoch that one attempt trained: how many
// pictures were fed to them on all ranks, and a fingerprint of which picture in which step.
// Fingerprints are sums modulo 2^64, twice: those of ranks and of steps add up in any order,
// and a picture that is left out, used twice or used in another step changes them. What
// they must be follows from the EpochPlan, whatever the number of ranks was.
//
// An epoch's ledger holds the entries of its accepted history: steps after the checkpoint
// that a restart goes on from are not in it, as their effects are gone with the weights.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/epoch_plan.h"

namespace mead {

struct LedgerEntry {
  int attempt = 0;     // from 1
  uint64_t begin = 0;  // steps of the epoch, from 0
  uint64_t end = 0;
  uint64_t samples = 0;
  uint64_t sum_a = 0;
  uint64_t sum_b = 0;
  bool operator==(const LedgerEntry&) const = default;
};

// Counts what is fed to steps.
// Thread: one thread owns it.
class SampleTally {
 public:
  // samples: indices within the split, of one step (from 0) of the epoch.
  void Feed(uint64_t step, std::span<const uint64_t> samples);

  // As numbers whose sums over ranks neither overflow nor lose a bit (up to 2^31 ranks).
  std::vector<int64_t> Parts() const;
  // The entry that the ranks' parts, summed, make.
  static LedgerEntry FromParts(std::span<const int64_t> sums, int attempt, uint64_t begin,
                               uint64_t end);

 private:
  uint64_t samples_ = 0;
  uint64_t sum_a_ = 0;
  uint64_t sum_b_ = 0;
};

// What is wrong with the ledger of an epoch whose first `steps` steps are done: a gap, a step
// that was done twice, or other pictures than the plan has. Empty: every picture of those
// steps was used exactly once.
std::string CheckLedger(const EpochPlan& plan, std::span<const LedgerEntry> ledger, uint64_t steps);

// For a file: "attempt:begin:end:samples:a:b" (a, b in hexadecimal), ';' between entries.
std::string LedgerText(std::span<const LedgerEntry> ledger);
// nullopt: not what LedgerText writes.
std::optional<std::vector<LedgerEntry>> LedgerFromText(std::string_view text);

}  // namespace mead
