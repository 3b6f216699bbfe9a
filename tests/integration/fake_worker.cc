#include "tests/integration/fake_worker.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "common/base/sample_ledger.h"
#include "common/sha256.h"

namespace mead::testing {
namespace {

constexpr absl::Duration kPatience = absl::Seconds(20);

}  // namespace

FakeWorker::FakeWorker(std::shared_ptr<grpc::Channel> channel, FakeWorkerOptions options)
    : options_(std::move(options)), channel_(std::move(channel)) {
  Connect();
}

FakeWorker::~FakeWorker() {
  {
    absl::MutexLock lock(&mu_);
    stopping_ = true;
  }
  context_->TryCancel();
  thread_ = {};
  trials_.clear();
}

void FakeWorker::Connect() {
  const std::lock_guard<std::mutex> writing(write_mu_);
  context_ = std::make_unique<grpc::ClientContext>();
  stream_ = v1::WorkerService::NewStub(channel_)->Session(context_.get());
  v1::SessionRequest request;
  v1::RegisterWorker& registration = *request.mutable_register_();
  registration.set_worker_id(options_.id);
  registration.set_instance_id(options_.instance);
  registration.set_protocol_version(options_.protocol_version);
  registration.set_version(kVersion);
  registration.set_address("127.0.0.1");
  registration.set_slots(options_.slots);
  registration.set_accelerator("cpu");
  {
    absl::MutexLock lock(&mu_);
    for (const auto& [slot, running] : running_) {
      v1::Member& member = *registration.add_members();
      *member.mutable_trial() = running.assign.trial();
      member.set_rank(running.assign.rank());
      member.set_slot(slot);
      member.set_ended(running.exit_sequence > 0);
    }
  }
  stream_->Write(request);
  thread_ = std::jthread([this] { Loop(); });
}

void FakeWorker::Reconnect(std::shared_ptr<grpc::Channel> channel) {
  thread_ = {};
  {
    absl::MutexLock lock(&mu_);
    ended_ = false;
  }
  channel_ = std::move(channel);
  Connect();
}

void FakeWorker::Loop() {
  v1::SessionResponse message;
  while (stream_->Read(&message)) Handle(message);
  grpc::Status status = stream_->Finish();
  absl::MutexLock lock(&mu_);
  status_ = std::move(status);
  is_registered_ = false;
  ended_ = true;
}

void FakeWorker::Handle(const v1::SessionResponse& message) {
  if (message.has_registered()) {
    const std::lock_guard<std::mutex> writing(write_mu_);
    absl::MutexLock lock(&mu_);
    registered_ = message.registered();
    is_registered_ = true;
    Acknowledged(registered_.acked_sequence());
    for (const auto& [sequence, report] : outbox_) {
      v1::SessionRequest request;
      request.set_incarnation(registered_.incarnation());
      *request.mutable_report() = report;
      stream_->Write(request);
    }
  } else if (message.has_assign()) {
    {
      absl::MutexLock lock(&mu_);
      assigned_.push_back(message.assign());
      running_[message.assign().slot()] = {message.assign()};
    }
    v1::Report report;
    *report.mutable_trial() = message.assign().trial();
    report.set_rank(message.assign().rank());
    const int first = message.assign().has_resume_from() ? message.assign().resume_from().epoch() + 1
                                                         : 1;
    report.mutable_ready()->set_plan_digest(PlanOf(message.assign(), first).Digest());
    if (message.assign().rank() == 0) report.mutable_ready()->set_rendezvous("127.0.0.1:1");
    Send(std::move(report));
  } else if (message.has_go()) {
    v1::Assign assign;
    {
      absl::MutexLock lock(&mu_);
      for (auto& [slot, running] : running_) {
        const bool mine = running.assign.trial().trial_id() == message.go().trial().trial_id() &&
                          running.assign.rank() == message.go().rank();
        if (mine && !running.started) {
          running.started = true;
          assign = running.assign;
        }
      }
    }
    // A repeated Go finds nothing to start.
    if (assign.has_trial()) trials_.emplace_back([this, assign] { Train(assign); });
  } else if (message.has_abort()) {
    {
      absl::MutexLock lock(&mu_);
      told_.push_back(message.abort().reason());
    }
    Exit(message.abort().trial(), message.abort().rank(), false);
  } else if (message.has_ack()) {
    absl::MutexLock lock(&mu_);
    Acknowledged(message.ack().sequence());
  } else if (message.has_fenced()) {
    absl::MutexLock lock(&mu_);
    told_.push_back(message.fenced().reason());
  }
}

void FakeWorker::Acknowledged(uint64_t sequence) {
  acked_ = std::max(acked_, sequence);
  outbox_.erase(outbox_.begin(), outbox_.upper_bound(acked_));
  std::erase_if(running_, [this](const auto& entry) {
    return entry.second.exit_sequence > 0 && entry.second.exit_sequence <= acked_;
  });
}

void FakeWorker::Train(const v1::Assign& assign) {
  const int first = assign.has_resume_from() ? assign.resume_from().epoch() + 1 : 1;
  for (int epoch = first; assign.rank() == 0 && epoch <= assign.config().epochs(); ++epoch) {
    v1::Report progress;
    *progress.mutable_trial() = assign.trial();
    progress.mutable_progress()->set_epoch(epoch);
    progress.mutable_progress()->set_step(5);
    progress.mutable_progress()->set_steps_per_epoch(10);
    progress.mutable_progress()->set_images_per_second(100);
    progress.mutable_progress()->set_phase("train");
    v1::SessionRequest lossy;
    lossy.set_incarnation(registered().incarnation());
    *lossy.mutable_report() = progress;
    Write(lossy);

    v1::Report logs;
    *logs.mutable_trial() = assign.trial();
    v1::LogLine& line = *logs.mutable_logs()->add_lines();
    line.set_attempt(assign.trial().attempt());
    line.set_text(absl::StrCat("epoch ", epoch));
    Send(std::move(logs));

    v1::Report report;
    *report.mutable_trial() = assign.trial();
    v1::EpochReport& body = *report.mutable_epoch();
    body.set_epoch(epoch);
    body.set_step(epoch * 10);
    (*body.mutable_metrics())["val/accuracy"] = options_.accuracy(assign.config(), epoch);
    (*body.mutable_metrics())["val/loss"] = 1.0 / epoch;
    body.set_plan_digest(PlanOf(assign, epoch).Digest());
    FillLedger(assign, epoch, body);
    body.mutable_confusion()->mutable_classes()->Add(options_.classes.begin(),
                                                     options_.classes.end());
    const size_t cells = options_.classes.size() * options_.classes.size();
    for (size_t i = 0; i < cells; ++i) body.mutable_confusion()->add_counts(static_cast<int>(i));
    Send(std::move(report));
    SaveCheckpoint(assign, epoch);
    SavePredictions(assign, epoch);

    absl::MutexLock lock(&mu_);
    if (epoch == options_.pause_after_epoch) {
      paused_ = true;
      const auto may_go = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
        return let_go_ || stopping_;
      };
      mu_.Await(absl::Condition(&may_go));
    }
    if (stopping_) return;
  }
  Exit(assign.trial(), assign.rank(), true);
}

void FakeWorker::SaveCheckpoint(const v1::Assign& assign, int epoch) {
  const std::string data = absl::StrCat("checkpoint of ", assign.trial().trial_id(), ", attempt ",
                                        assign.trial().attempt(), ", epoch ", epoch);
  const std::string digest = Upload(data);
  if (digest.empty()) return;
  v1::Report report;
  *report.mutable_trial() = assign.trial();
  report.mutable_checkpoint()->set_epoch(epoch);
  report.mutable_checkpoint()->set_digest(digest);
  report.mutable_checkpoint()->set_size_bytes(data.size());
  Send(std::move(report));
}

void FakeWorker::SavePredictions(const v1::Assign& assign, int epoch) {
  const std::string data = absl::StrCat("predictions of ", assign.trial().trial_id(), ", attempt ",
                                        assign.trial().attempt(), ", epoch ", epoch);
  const std::string digest = Upload(data);
  if (digest.empty()) return;
  v1::Report report;
  *report.mutable_trial() = assign.trial();
  report.mutable_predictions()->set_epoch(epoch);
  report.mutable_predictions()->set_digest(digest);
  report.mutable_predictions()->set_size_bytes(data.size());
  Send(std::move(report));
}

std::string FakeWorker::Upload(const std::string& data) {
  const std::string digest = DigestOf(data);
  grpc::ClientContext context;
  v1::UploadArtifactResponse response;
  auto writer = v1::ArtifactService::NewStub(channel_)->UploadArtifact(&context, &response);
  v1::UploadArtifactRequest request;
  request.set_digest(digest);
  request.set_size_bytes(data.size());
  request.set_data(data);
  writer->Write(request);
  writer->WritesDone();
  return writer->Finish().ok() ? digest : "";
}

void FakeWorker::Exit(const v1::TrialRef& trial, int rank, bool succeeded) {
  v1::Report report;
  *report.mutable_trial() = trial;
  report.set_rank(rank);
  report.mutable_exited()->set_succeeded(succeeded);
  Send(std::move(report));
}

void FakeWorker::Send(v1::Report report) {
  v1::SessionRequest request;
  // Numbered and written in one go: the coordinator takes a number that comes
  // after a higher one for a repetition.
  const std::lock_guard<std::mutex> writing(write_mu_);
  {
    absl::MutexLock lock(&mu_);
    if (report.has_exited()) {
      // Held until acknowledged: a registration in between must name it.
      Running* member = nullptr;
      for (auto& [slot, running] : running_) {
        const v1::Assign& assign = running.assign;
        if (assign.trial().trial_id() == report.trial().trial_id() &&
            assign.trial().attempt() == report.trial().attempt() &&
            assign.rank() == report.rank() && running.exit_sequence == 0) {
          member = &running;
        }
      }
      if (member == nullptr) return;
      member->exit_sequence = sequence_ + 1;
    }
    report.set_sequence(++sequence_);
    outbox_[sequence_] = report;
    if (!is_registered_) return;  // goes out when the next session begins
    request.set_incarnation(registered_.incarnation());
    *request.mutable_report() = std::move(report);
  }
  stream_->Write(request);
}

void FakeWorker::Write(const v1::SessionRequest& request) {
  const std::lock_guard<std::mutex> lock(write_mu_);
  stream_->Write(request);
}

EpochPlan FakeWorker::PlanOf(const v1::Assign& assign, int epoch) const {
  return EpochPlan({.num_samples = options_.train_samples,
                    .seed = assign.config().seed() + (options_.wrong_plan ? 1 : 0),
                    .epoch = static_cast<uint64_t>(epoch),
                    .batch_size = static_cast<uint64_t>(assign.config().batch_size()),
                    .world_size = static_cast<uint32_t>(assign.world_size())});
}

void FakeWorker::FillLedger(const v1::Assign& assign, int epoch, v1::EpochReport& report) const {
  const EpochPlan plan = PlanOf(assign, epoch);
  SampleTally tally;
  for (uint64_t step = 0; step < plan.steps(); ++step) {
    const std::span<const uint64_t> batch = plan.Batch(step);
    std::vector<uint64_t> fed(batch.begin(), batch.end());
    if (options_.wrong_pictures && step + 1 == plan.steps()) fed.back() = plan.Batch(0).front();
    tally.Feed(step, fed);
  }
  if (plan.steps() == 0) return;
  const LedgerEntry entry =
      SampleTally::FromParts(tally.Parts(), assign.trial().attempt(), 0, plan.steps());
  v1::LedgerEntry& out = *report.add_ledger();
  out.set_attempt(entry.attempt);
  out.set_begin_step(entry.begin);
  out.set_end_step(entry.end);
  out.set_samples(entry.samples);
  out.set_sum_a(entry.sum_a);
  out.set_sum_b(entry.sum_b);
}

bool FakeWorker::WaitRegistered() {
  absl::MutexLock lock(&mu_);
  return mu_.AwaitWithTimeout(absl::Condition(&is_registered_), kPatience);
}
bool FakeWorker::WaitPaused() {
  absl::MutexLock lock(&mu_);
  return mu_.AwaitWithTimeout(absl::Condition(&paused_), kPatience);
}
bool FakeWorker::WaitEnded() {
  absl::MutexLock lock(&mu_);
  return mu_.AwaitWithTimeout(absl::Condition(&ended_), kPatience);
}
void FakeWorker::LetGo() {
  absl::MutexLock lock(&mu_);
  let_go_ = true;
}
grpc::Status FakeWorker::ended_with() {
  absl::MutexLock lock(&mu_);
  return status_;
}
v1::Registered FakeWorker::registered() {
  absl::MutexLock lock(&mu_);
  return registered_;
}
std::vector<v1::Assign> FakeWorker::assigned() {
  absl::MutexLock lock(&mu_);
  return assigned_;
}
uint64_t FakeWorker::sent_sequence() {
  absl::MutexLock lock(&mu_);
  return sequence_;
}
uint64_t FakeWorker::acked_sequence() {
  absl::MutexLock lock(&mu_);
  return acked_;
}
std::vector<std::string> FakeWorker::told() {
  absl::MutexLock lock(&mu_);
  return told_;
}

}  // namespace mead::testing
