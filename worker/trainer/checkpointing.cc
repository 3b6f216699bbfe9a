#include "worker/trainer/checkpointing.h"

#include <iostream>
#include <string>

#include "absl/strings/str_cat.h"
#include "common/clock.h"
#include "worker/trainer/options.h"
#include "worker/trainer/yield_request.h"

namespace mead::trainer {

Checkpointing::Checkpointing(const v1::Prepare& prepare, train::TrainingSession& session,
                             AgentLink& link)
    : prepare_(prepare),
      session_(session),
      link_(link),
      schedule_(CheckpointScheduleOf(prepare.config().checkpoint())),
      trace_(absl::StrCat(prepare.trial().trial_id(), ".", prepare.trial().attempt(), ".",
                          prepare.rank())) {
  schedule_.Written(RealClock().Now());
}

void Checkpointing::StartEpoch(int epoch, const train::EpochSoFar& so_far) {
  if (epoch_ == 0) trace_.From(epoch, so_far.steps);
  epoch_ = epoch;
  tally_ = {};
  first_step_ = static_cast<uint64_t>(so_far.steps);
  earlier_ = so_far.ledger;
  schedule_.StartEpoch(so_far.steps, RealClock().Now());
}

void Checkpointing::Feed(uint64_t step, std::span<const uint64_t> samples) {
  trace_.Fed(epoch_, step, samples);
  tally_.Feed(step, samples);
}

bool Checkpointing::MayBeDue(int64_t steps) const {
  return schedule_.DueAfter(steps) || schedule_.AsksAfter(steps);
}

Checkpointing::Verdict Checkpointing::Ask(int64_t steps) {
  Verdict verdict{.write = schedule_.DueAfter(steps), .yields = std::nullopt};
  if (schedule_.AsksAfter(steps)) {
    CheckpointSchedule::Answer answer{.write = false, .steps_to_next = 0};
    if (is_rank_zero()) answer = schedule_.Ask(steps, RealClock().Now());
    // The others add nothing to what rank 0 says; whether it is to end, each says for itself.
    std::vector<int64_t> said = AskedToEnd();
    said.push_back(answer.write ? 1 : 0);
    said.push_back(answer.steps_to_next);
    said = session_.communicator().SumOverRanks(said);
    const int64_t* const of_rank_zero = &said[static_cast<size_t>(prepare_.world_size())];
    schedule_.Heard(steps, {.write = of_rank_zero[0] > 0, .steps_to_next = of_rank_zero[1]});
    verdict.write = verdict.write || of_rank_zero[0] > 0;
    verdict.yields = FirstAsked(said);
  }
  return verdict;
}

std::vector<int64_t> Checkpointing::AskedToEnd() const {
  std::vector<int64_t> asked(static_cast<size_t>(prepare_.world_size()));
  asked[static_cast<size_t>(prepare_.rank())] = YieldRequest::asked() ? 1 : 0;
  return asked;
}

std::optional<int> Checkpointing::FirstAsked(std::span<const int64_t> asked) const {
  for (int rank = 0; rank < prepare_.world_size(); ++rank) {
    if (asked[static_cast<size_t>(rank)] > 0) return rank;
  }
  return std::nullopt;
}

void Checkpointing::YieldFor(int rank, int epoch, const train::EpochSoFar& so_far) {
  session_.AwaitCheckpoint();  // this one is not to be left out
  Write(epoch, so_far);
  Yield(rank, absl::StrCat(so_far.steps, " steps of epoch ", epoch));
}

void Checkpointing::YieldIfAsked(int epoch) {
  const std::optional<int> rank = FirstAsked(session_.communicator().SumOverRanks(AskedToEnd()));
  if (rank.has_value()) Yield(*rank, absl::StrCat("epoch ", epoch));
}

void Checkpointing::Yield(int rank, const std::string& place) {
  session_.AwaitCheckpoint();
  // The first to be gone ends the others; so nobody goes before the checkpoint is written.
  session_.communicator().SumOverRanks(std::vector<int64_t>{0});
  throw Yielded(absl::StrCat(
      "rank ", rank, " was asked to end, and its gang has, with a checkpoint", " after ", place));
}

std::vector<LedgerEntry> Checkpointing::Ledger(int64_t steps) {
  const auto end = static_cast<uint64_t>(steps);
  std::vector<LedgerEntry> ledger = earlier_;
  const std::vector<int64_t> sums = session_.communicator().SumOverRanks(tally_.Parts());
  if (end > first_step_) {
    ledger.push_back(SampleTally::FromParts(sums, prepare_.trial().attempt(), first_step_, end));
  }
  return ledger;
}

void Checkpointing::Write(int epoch, const train::EpochSoFar& so_far) {
  schedule_.Written(RealClock().Now());
  if (!is_rank_zero()) return;
  const std::string path =
      absl::StrCat(prepare_.work_dir(), "/epoch-", epoch, "-step-", so_far.steps, ".safetensors");
  if (session_.checkpoint_under_way()) {
    std::cerr << absl::StrCat("the checkpoint of epoch ", epoch, " after ", so_far.steps,
                              " steps is left out: the one before is still being written\n");
    return;
  }
  Start(epoch - 1, path, so_far);
}

void Checkpointing::WriteEpoch(int epoch) {
  schedule_.Written(RealClock().Now());
  if (!is_rank_zero()) return;
  const std::string path = absl::StrCat(prepare_.work_dir(), "/epoch-", epoch, ".safetensors");
  Start(epoch, path, {});
}

void Checkpointing::Start(int epoch, const std::string& path, const train::EpochSoFar& so_far) {
  v1::AttachRequest message;
  v1::WrittenCheckpoint& written = *message.mutable_checkpoint();
  written.set_epoch(epoch);
  written.set_path(path);
  written.set_step(so_far.steps);
  SetLedger(so_far.ledger, *written.mutable_ledger());
  session_.StartCheckpoint(path, epoch, so_far, [&link = link_, message] { link.Send(message); });
}

void SetLedger(std::span<const LedgerEntry> ledger,
               google::protobuf::RepeatedPtrField<v1::LedgerEntry>& out) {
  for (const LedgerEntry& entry : ledger) {
    v1::LedgerEntry& to = *out.Add();
    to.set_attempt(entry.attempt);
    to.set_begin_step(entry.begin);
    to.set_end_step(entry.end);
    to.set_samples(entry.samples);
    to.set_sum_a(entry.sum_a);
    to.set_sum_b(entry.sum_b);
  }
}

}  // namespace mead::trainer
