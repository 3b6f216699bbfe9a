// The ledger of the epoch under way, the checkpoints that rank 0 writes, and a gang's end after
// one of them because a rank was asked to end.
//
// All ranks make the same calls in the same order: some of them talk.
// Thread: the train thread owns it.
// Errors: TrainError.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

#include "common/base/sample_ledger.h"
#include "mead/v1/trainer.pb.h"
#include "worker/train/comm/communicator.h"
#include "worker/train/session.h"
#include "worker/trainer/agent_link.h"
#include "worker/trainer/checkpoint_schedule.h"
#include "worker/trainer/sample_trace.h"

namespace mead::trainer {

// The gang has agreed to end where a checkpoint is written. what(): where, and whose wish it was.
class Yielded : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

class Checkpointing {
 public:
  // All outlive it.
  Checkpointing(const v1::Prepare& prepare, train::TrainingSession& session, AgentLink& link);

  // An epoch begins, or goes on after so_far.steps.
  void StartEpoch(int epoch, const train::EpochSoFar& so_far);

  // This rank's pictures of the step that begins.
  void Feed(uint64_t step, std::span<const uint64_t> samples);

  // After so many steps of the epoch, not all: whether Ask() is to be called, when they have
  // ended. Talks to nobody.
  bool MayBeDue(int64_t steps) const;
  struct Verdict {
    bool write = false;
    std::optional<int> yields;  // the first rank that was asked to end
  };
  // What is to be done here. The same on every rank.
  Verdict Ask(int64_t steps);

  // Of the epoch's first steps, over all ranks and attempts.
  std::vector<LedgerEntry> Ledger(int64_t steps);

  // These two return before it is written; what goes wrong ends the trial later.
  // In the midst of an epoch; left out where the one before is not written yet.
  void Write(int epoch, const train::EpochSoFar& so_far);
  // At its end.
  void WriteEpoch(int epoch);

  // Writes in the midst of an epoch, and returns never: Yielded, on every rank, when it is written.
  [[noreturn]] void YieldFor(int rank, int epoch, const train::EpochSoFar& so_far);
  // After WriteEpoch: Yielded where a rank was asked to end. epoch: that has ended.
  void YieldIfAsked(int epoch);

 private:
  bool is_rank_zero() const { return prepare_.rank() == 0; }
  // [world_size]: 1 at this rank's place if it was asked to end, 0 elsewhere.
  std::vector<int64_t> AskedToEnd() const;
  std::optional<int> FirstAsked(std::span<const int64_t> asked) const;
  // When rank 0 has sent word of its last checkpoint.
  [[noreturn]] void Yield(int rank, const std::string& place);
  // Begins to write, and sends word when it is written.
  void Start(int epoch, const std::string& path, const train::EpochSoFar& so_far);

  const v1::Prepare& prepare_;
  train::TrainingSession& session_;
  AgentLink& link_;
  CheckpointSchedule schedule_;
  SampleTrace trace_;
  // Of the epoch under way.
  int epoch_ = 0;
  SampleTally tally_;  // this rank's, in this attempt
  uint64_t first_step_ = 0;
  std::vector<LedgerEntry> earlier_;  // attempts'
};

// For a report.
void SetLedger(std::span<const LedgerEntry> ledger,
               google::protobuf::RepeatedPtrField<v1::LedgerEntry>& out);

}  // namespace mead::trainer
