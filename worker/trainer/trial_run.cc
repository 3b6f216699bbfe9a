#include "worker/trainer/trial_run.h"

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <map>
#include <memory>
#include <new>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/time/time.h"
#include "common/augment/picture_store.h"
#include "common/base/epoch_plan.h"
#include "common/clock.h"
#include "common/dataset/manifest.h"
#include "common/files.h"
#include "worker/train/comm/communicator.h"
#include "worker/train/comm/rendezvous.h"
#include "worker/train/image_size.h"
#include "worker/train/session.h"
#include "worker/trainer/available_memory.h"
#include "worker/trainer/checkpointing.h"
#include "worker/trainer/epoch_metrics.h"
#include "worker/trainer/evaluation.h"
#include "worker/trainer/lr_range.h"
#include "worker/trainer/options.h"
#include "worker/trainer/progress_reporter.h"
#include "worker/trainer/say.h"
#include "worker/trainer/trial_data.h"
#include "worker/trainer/yield_request.h"

namespace mead::trainer {
namespace {

constexpr auto kRendezvousTimeout = std::chrono::seconds(60);

// How ranks without GPUs talk: auto, gloo or shm. The environment is mead-worker's.
train::Transport TransportAsked() {
  const char* name = std::getenv("MEAD_TRANSPORT");
  return train::TransportFromName(name == nullptr ? "auto" : name);
}

// What the trial was to go on from cannot be used: another attempt takes another one.
class UnusableCheckpoint : public train::TrainError {
 public:
  explicit UnusableCheckpoint(const std::string& why)
      : TrainError(train::ErrorKind::kInternal, "the checkpoint cannot be gone on from: " + why) {}
};

class TrialRun {
 public:
  TrialRun(const v1::Prepare& prepare, AgentLink& link)
      : prepare_(prepare),
        config_(prepare.config()),
        link_(link),
        progress_(link, prepare.rank() == 0) {}

  // Returns what there is to say of an end before the last epoch; empty after all of them.
  std::string Run() {
    PrepareData();
    ReportReady();
    const std::string rendezvous = AwaitGo();
    if (options_.range_test.steps > 0) {
      JoinGang(rendezvous);
      return FindRates();
    }
    const YieldRequest::Scope has_something_to_save;
    JoinGang(rendezvous);
    int epoch = first_epoch_;
    for (; epoch <= EpochsOf(config_) && !session_->stops_early(); ++epoch) {
      // Only the first may have been begun by an attempt before this one.
      so_far_ = epoch == first_epoch_ ? resumed_so_far_ : train::EpochSoFar();
      Train(epoch);
      Evaluate(epoch);
      EndEpoch(epoch);
      checkpoints_->WriteEpoch(epoch);
      SavePredictions(epoch);
      if (epoch < EpochsOf(config_) && !session_->stops_early()) checkpoints_->YieldIfAsked(epoch);
    }
    session_->AwaitCheckpoint();
    if (!session_->stops_early() || epoch > EpochsOf(config_)) return "";
    const std::string words =
        EarlyStopWords(prepare_.objective(), config_.early_stopping(), epoch - 1);
    if (is_rank_zero()) Say(words);
    return words;
  }

 private:
  bool is_rank_zero() const { return prepare_.rank() == 0; }

  // Everything that needs no other rank.
  void PrepareData() {
    data_.emplace(prepare_);
    const dataset::Manifest& manifest = data_->manifest();
    evaluation_.emplace(manifest);
    if (!evaluation_->record().kept() && is_rank_zero()) {
      Say(
          absl::StrFormat("the validation split is too large for a record of each picture (%d "
                          "pictures, %d classes): no predictions, calibration or average precision",
                          data_->Count(dataset::Split::kVal), manifest.classes.size()));
    }
    // The session checks these too, but only after Go; a wrong one should not
    // bring a whole gang together first.
    options_ = ToTrainOptions(prepare_, static_cast<int>(manifest.classes.size()),
                              static_cast<int64_t>(data_->plans().Training(1).steps()));
    options_.class_weights = ClassWeightsOf(config_, manifest.ClassCounts(dataset::Split::kTrain));
    train::Validate(options_);
    data_->Open(train::ImageSizeOfEpoch(options_, prepare_.resume_epoch() + 1));
    if (is_rank_zero() && prepare_.world_size() > 1) {
      store_ = train::RendezvousStore::Serve(prepare_.host(), kRendezvousTimeout);
    }
  }

  void ReportReady() {
    v1::AttachRequest message;
    v1::MemberReady& ready = *message.mutable_ready();
    if (store_ != nullptr) ready.set_rendezvous(store_->address());
    ready.set_plan_digest(
        data_->plans().Training(prepare_.resume_epoch() + 1, prepare_.resume_step()).Digest());
    link_.Send(std::move(message));
  }

  std::string AwaitGo() {
    for (;;) {
      const v1::AttachResponse message = link_.Next();
      if (message.has_start()) return message.start().rendezvous();
    }
  }

  void JoinGang(const std::string& rendezvous) {
    const bool gang = prepare_.world_size() > 1;
    if (gang && !is_rank_zero()) {
      store_ = train::RendezvousStore::Connect(rendezvous, kRendezvousTimeout);
    }
    ShareMemory();
    communicator_ = train::MakeCommunicator({.rank = prepare_.rank(),
                                             .world_size = prepare_.world_size(),
                                             .host = prepare_.host(),
                                             .device = prepare_.device(),
                                             .transport = TransportAsked()},
                                            store_);
    session_ = std::make_unique<train::TrainingSession>(options_, communicator_);
    if (!prepare_.resume_path().empty()) {
      const train::ResumePoint point = ResumeOrSay();
      first_epoch_ = point.epoch + 1;
      resumed_so_far_ = point.so_far;
      const std::string place = point.so_far.steps == 0
                                    ? absl::StrCat(point.epoch)
                                    : absl::StrCat(point.epoch + 1, " after ", point.so_far.steps,
                                                   " of ", options_.steps_per_epoch, " steps");
      Say(absl::StrCat("resumed from the checkpoint of epoch ", place, ", step ",
                       point.global_step));
    } else if (!prepare_.weights_path().empty()) {
      Say("weights: " + session_->LoadWeights(prepare_.weights_path()).Summary());
    } else if (const auto unfrozen = session_->StayAtRandom(); !unfrozen.empty()) {
      Say(absl::StrCat("weights: none, so never frozen: ", absl::StrJoin(unfrozen, ", "),
                       "; train.weights names a file to start from"));
    }
    FitMemory();
    checkpoints_ = std::make_unique<Checkpointing>(prepare_, *session_, link_);
    data_->KeepIn(session_->KeepPictures());
    Say(absl::StrFormat("rank %d of %d trains %s (%.1f million parameters) on %s with %d threads%s",
                        prepare_.rank(), prepare_.world_size(), options_.model,
                        static_cast<double>(session_->parameter_count()) / 1e6, options_.device,
                        options_.threads,
                        gang ? absl::StrCat(", sums over ", communicator_->transport()) : ""));
  }

  train::ResumePoint ResumeOrSay() {
    try {
      return session_->Resume(prepare_.resume_path());
    } catch (const train::TrainError& error) {
      if (error.kind() != train::ErrorKind::kUserError) throw;
      throw UnusableCheckpoint(error.what());
    }
  }

  // Everybody looks before anybody takes: no rank's session begins until all have told
  // where their memory is.
  void ShareMemory() {
    const std::vector<MemorySource> sources = MemorySources();
    std::vector<std::string> lines = {MemoryLine(sources)};
    if (store_ != nullptr) {
      lines =
          store_->Exchange("memory", prepare_.rank(), prepare_.world_size(), MemoryLine(sources));
    }
    // A tenth is for what is not large tensors. A GPU knows its own memory.
    if (options_.device == "cpu") {
      options_.memory_limit_bytes = MemoryShareBytes(sources, lines) / 10 * 9;
    }
  }

  // A phase with another image_size decodes, and keeps, at another scale.
  void FollowImageSize() {
    const int size = session_->image_size();
    if (size == data_->image_size()) return;
    data_->Open(size);
    data_->KeepIn(session_->KeepPictures());
    resident_said_ = 0;
    Say(absl::StrFormat("rank %d goes on with pictures of %d x %d", prepare_.rank(), size, size));
  }

  // Before the first step, so that a batch that does not fit costs no epoch.
  void FitMemory() {
    const int piece = session_->FitMemory();
    if (piece == 0) return;
    Say(
        absl::StrFormat("rank %d computes its batches in pieces of %d pictures%s and adds their "
                        "gradients up; batch-norm normalises over a piece",
                        prepare_.rank(), piece,
                        options_.micro_batch > 0 && piece == options_.micro_batch
                            ? " (micro_batch)"
                            : ", the most that fits into memory,"));
  }

  // Begins a step of the plan with what its loader has next. Returns the pictures of this rank
  // that went into it.
  std::vector<uint64_t> StartStep(const EpochPlan& plan, uint64_t step) {
    TrialData::Step next = data_->NextTraining();
    session_->StartStep(next.batch.pixels.data(), next.batch.labels.data(), next.pictures,
                        static_cast<int64_t>(plan.BatchSize(step)),
                        next.batch.planned.empty() ? nullptr : next.batch.planned.data(), next.mix);
    next.batch.indices.resize(static_cast<size_t>(next.pictures));
    return std::move(next.batch.indices);
  }

  // A range test in place of epochs; it passes over the data as often as its steps need.
  std::string FindRates() {
    int pass = 0;
    std::optional<EpochPlan> plan;
    uint64_t step = 0;
    progress_.Start();
    const auto begin_step = [&] {
      if (!plan.has_value() || step == plan->steps()) {
        plan.emplace(data_->plans().Training(++pass));
        data_->StartTraining(pass, *plan, options_.mixes);
        step = 0;
      }
      StartStep(*plan, step++);
    };
    const auto after_step = [&](const RangeTest& test, const train::StepResult& result) {
      if (test.points().empty()) return;
      const auto samples = static_cast<double>(result.samples);
      progress_.Add("range", 1, test.points().size(), static_cast<uint64_t>(test.options().steps),
                    result.samples,
                    {.loss_sum = test.points().back().smoothed_loss * samples,
                     .correct = result.correct,
                     .samples = result.samples,
                     .learning_rate = result.learning_rate,
                     .ledger = {}});
    };
    const RangeTest test = RunRangeTest(*session_, options_.range_test, begin_step, after_step);
    const std::string words = RangeTestWords(test);
    if (is_rank_zero()) {
      Say("learning-rate range test: " + words);
      link_.Send(RangeTestReport(test));
    }
    return words;
  }

  void Train(int epoch) {
    const EpochPlan plan = data_->plans().Training(epoch, so_far_.steps);
    session_->StartEpoch(epoch);
    FollowImageSize();
    checkpoints_->StartEpoch(epoch, so_far_);
    const double seconds_before = so_far_.seconds;
    const absl::Time start = RealClock().Now();
    progress_.Start();
    data_->StartTraining(epoch, plan, options_.mixes);
    for (uint64_t step = plan.first_step(); step < plan.steps(); ++step) {
      checkpoints_->Feed(step, data_->plans().ToPlan(StartStep(plan, step)));
      const auto begun = static_cast<int64_t>(step) + 1;
      const bool last = step + 1 == plan.steps();
      const bool may_be_due = !last && checkpoints_->MayBeDue(begun);
      TakeFinishedSteps(epoch, plan, /*wait=*/last || may_be_due);
      so_far_.seconds = seconds_before + absl::ToDoubleSeconds(RealClock().Now() - start);
      if (!may_be_due) continue;
      const Checkpointing::Verdict verdict = checkpoints_->Ask(begun);
      if (!verdict.write && !verdict.yields) continue;
      so_far_.ledger = checkpoints_->Ledger(begun);
      if (verdict.yields) checkpoints_->YieldFor(*verdict.yields, epoch, so_far_);
      checkpoints_->Write(epoch, so_far_);
    }
    so_far_.ledger = checkpoints_->Ledger(static_cast<int64_t>(plan.steps()));
    SayResident();
  }

  // wait: all that have begun.
  void TakeFinishedSteps(int epoch, const EpochPlan& plan, bool wait) {
    for (const train::StepResult& result : session_->FinishedSteps(wait)) {
      so_far_.loss_sum += result.loss * static_cast<double>(result.samples);
      so_far_.correct += result.correct;
      so_far_.samples += result.samples;
      so_far_.learning_rate = result.learning_rate;
      ++so_far_.steps;
      progress_.Add("train", epoch, static_cast<uint64_t>(so_far_.steps), plan.steps(),
                    result.samples, so_far_);
    }
  }

  // A rank of a gang meets new pictures for some epochs.
  void SayResident() {
    if (data_->pictures() == nullptr) return;
    const PictureStore::Usage usage = data_->pictures()->usage();
    if (usage.pictures == resident_said_) return;
    resident_said_ = usage.pictures;
    Say(
        absl::StrFormat("rank %d holds %d of %d training pictures in the memory of %s: %d bytes, "
                        "of %d at most",
                        prepare_.rank(), usage.pictures, data_->training_pictures(),
                        options_.device, usage.bytes, usage.capacity_bytes));
  }

  void Evaluate(int epoch) {
    const absl::Time start = RealClock().Now();
    evaluation_->Start();
    session_->StartEvaluation();
    const EpochPlan plan = data_->plans().Evaluation();
    data_->StartEvaluation(epoch, plan);
    for (uint64_t step = 0; step < plan.steps(); ++step) {
      const data::Batch batch = data_->NextEvaluation();
      if (batch.size > 0) {
        evaluation_->Add(batch.labels, batch.indices,
                         session_->EvalStep(batch.pixels.data(), batch.labels.data(), batch.size));
      }
      progress_.Add("eval", epoch, step + 1, plan.steps(),
                    static_cast<int64_t>(plan.BatchSize(step)), so_far_);
    }
    session_->EndEvaluation();
    evaluation_->Join(*communicator_);
    evaluation_seconds_ = absl::ToDoubleSeconds(RealClock().Now() - start);
  }

  // Rank 0 reports, and its objective is everybody's, so that all decide alike what follows.
  void EndEpoch(int epoch) {
    auto metrics = EpochMetrics(so_far_, evaluation_->confusion(), evaluation_->loss(),
                                data_->manifest().classes);
    metrics["train/checkpoint_stall_ms"] = 1e3 * session_->TakeCheckpointStall();
    metrics["val/images_per_second"] = static_cast<double>(data_->Count(dataset::Split::kVal)) /
                                       std::max(1e-9, evaluation_seconds_);
    evaluation_->record().AddMetrics(metrics);
    if (is_rank_zero()) ReportEpoch(epoch, metrics);
    const double mine = is_rank_zero() ? ObjectiveOf(prepare_.objective(), metrics) : 0;
    session_->EndEpoch(communicator_->SumOverRanks(std::vector<double>{mine})[0]);
  }

  void ReportEpoch(int epoch, const std::map<std::string, double>& metrics) {
    v1::AttachRequest message;
    v1::EpochReport& report = *message.mutable_epoch();
    report.set_epoch(epoch);
    report.set_step(session_->global_step());
    report.set_plan_digest(data_->plans().Training(epoch).Digest());
    SetLedger(so_far_.ledger, *report.mutable_ledger());
    report.mutable_metrics()->insert(metrics.begin(), metrics.end());
    for (const std::string& name : data_->manifest().classes)
      report.mutable_confusion()->add_classes(name);
    for (const int64_t count : evaluation_->confusion().counts()) {
      report.mutable_confusion()->add_counts(count);
    }
    Say(absl::StrFormat(
        "epoch %d/%d: train loss %.4f, accuracy %.4f; val loss %.4f, accuracy "
        "%.4f; %.1f images/s",
        epoch, EpochsOf(config_), metrics.at("train/loss"), metrics.at("train/accuracy"),
        metrics.at("val/loss"), metrics.at("val/accuracy"), metrics.at("train/images_per_second")));
    link_.Send(std::move(message));
  }

  void SavePredictions(int epoch) {
    const EvaluationRecord& record = evaluation_->record();
    if (!is_rank_zero() || !record.kept()) return;
    const std::string path =
        absl::StrCat(prepare_.work_dir(), "/predictions-", epoch, ".safetensors");
    OrThrow(WriteFileAtomically(
        path, record.ToPredictions(prepare_.trial().trial_id(), epoch, data_->manifest_digest())
                  .ToBytes()));
    v1::AttachRequest message;
    message.mutable_predictions()->set_epoch(epoch);
    message.mutable_predictions()->set_path(path);
    link_.Send(std::move(message));
  }

  const v1::Prepare& prepare_;
  const v1::TrainConfig& config_;
  AgentLink& link_;
  std::optional<TrialData> data_;
  std::optional<Evaluation> evaluation_;
  double evaluation_seconds_ = 0;  // of the last one, all ranks' pictures
  train::TrainOptions options_;
  std::shared_ptr<train::RendezvousStore> store_;
  std::shared_ptr<train::Communicator> communicator_;
  std::unique_ptr<train::TrainingSession> session_;
  uint64_t resident_said_ = 0;  // pictures, in the log
  std::unique_ptr<Checkpointing> checkpoints_;
  int first_epoch_ = 1;
  train::EpochSoFar resumed_so_far_;  // of the first
  train::EpochSoFar so_far_;          // of the epoch under way
  ProgressReporter progress_;
};

v1::MemberExited Failed(v1::FailureKind kind, const std::string& message) {
  Say("failed: " + message);
  v1::MemberExited exited;
  exited.set_kind(kind);
  exited.set_message(message);
  return exited;
}

}  // namespace

v1::MemberExited RunTrial(const v1::Prepare& prepare, AgentLink& link) {
  std::string words;
  try {
    words = TrialRun(prepare, link).Run();
  } catch (const Yielded& end) {
    Say(end.what());
    v1::MemberExited exited;
    exited.set_kind(v1::FAILURE_KIND_PREEMPTED);
    exited.set_message(end.what());
    exited.set_yielded(true);
    return exited;
  } catch (const UnusableCheckpoint& error) {
    v1::MemberExited exited = Failed(ToFailureKind(error.kind()), error.what());
    exited.set_checkpoint_damaged(true);
    return exited;
  } catch (const train::TrainError& error) {
    return Failed(ToFailureKind(error.kind()), error.what());
  } catch (const std::bad_alloc&) {
    return Failed(v1::FAILURE_KIND_OUT_OF_MEMORY,
                  "this machine has no memory left; make batch_size or image_size smaller");
  } catch (const std::exception& error) {
    return Failed(v1::FAILURE_KIND_INFRASTRUCTURE, error.what());
  }
  v1::MemberExited exited;
  exited.set_succeeded(true);
  exited.set_message(words);
  return exited;
}

}  // namespace mead::trainer
