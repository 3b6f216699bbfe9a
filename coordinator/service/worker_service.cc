#include "coordinator/service/worker_service.h"

#include <algorithm>
#include <deque>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "common/grpc_status.h"
#include "common/log.h"
#include "common/version.h"
#include "coordinator/service/checkpoint_janitor.h"
#include "coordinator/service/checkpoint_quota.h"
#include "coordinator/service/convert.h"
#include "coordinator/service/report_translator.h"

namespace mead::service {
namespace {

constexpr int kMaxInFlight = 256;
constexpr int kMaxSlots = 1024;
constexpr size_t kRecentArtifacts = 64;

class Session final : public grpc::ServerBidiReactor<v1::SessionRequest, v1::SessionResponse>,
                      public WorkerLink,
                      public std::enable_shared_from_this<Session> {
 public:
  explicit Session(ServiceContext& context) : context_(context) {}

  // The session keeps itself alive until gRPC is done with it; the core's
  // completions may hold it a little longer.
  void Start() {
    self_ = shared_from_this();
    StartRead(&request_);
  }

  void OnReadDone(bool ok) override {
    if (!ok) {  // the agent has closed its side, or is gone
      End(absl::OkStatus());
      return;
    }
    if (!translator_) {
      Register();
    } else if (Handle()) {
      ReadOn();
    }
  }

  void OnWriteDone(bool ok) override {
    {
      absl::MutexLock lock(&mu_);
      outbox_.pop_front();
      writing_ = false;
      if (!ok) outbox_.clear();
    }
    if (!ok) End(absl::UnavailableError("the stream broke"));
    Pump();
  }

  void OnDone() override {
    context_.sessions.Detach(*this);
    self_.reset();
  }

  void Send(v1::SessionResponse message) override {
    {
      absl::MutexLock lock(&mu_);
      if (ending_) return;
      // A later acknowledgement covers an earlier one that has not gone out.
      const bool covers =
          message.has_ack() && outbox_.size() > (writing_ ? 1u : 0u) && outbox_.back().has_ack();
      if (covers) {
        outbox_.back() = std::move(message);
      } else {
        outbox_.push_back(std::move(message));
      }
    }
    Pump();
  }

  void End(absl::Status status) override {
    {
      absl::MutexLock lock(&mu_);
      if (ending_) return;
      ending_ = std::move(status);
    }
    Pump();
  }

 private:
  // Starts the next operation if none is under way: a write, or the finish
  // when everything has been written. Never called with mu_ held.
  void Pump() {
    const v1::SessionResponse* next = nullptr;
    std::optional<absl::Status> finish;
    {
      absl::MutexLock lock(&mu_);
      // A finish while another thread is inside StartRead could free the stream under it.
      if (writing_ || finished_ || (starting_read_ && outbox_.empty())) return;
      if (!outbox_.empty()) {
        writing_ = true;
        next = &outbox_.front();
      } else if (ending_) {
        finished_ = true;
        finish = ending_;
      }
    }
    if (next != nullptr) {
      StartWrite(next);
    } else if (finish) {
      Finish(ToGrpc(*finish));
    }
  }

  void Register() {
    if (!request_.has_register_()) {
      End(absl::InvalidArgumentError("the first message of a session must be `register`"));
      return;
    }
    const v1::RegisterWorker& registration = request_.register_();
    if (absl::Status valid = ValidateRegistration(registration); !valid.ok()) {
      Log(LogLevel::kWarning, absl::StrCat("worker '", registration.worker_id(),
                                           "' was turned away: ", valid.message()));
      End(std::move(valid));
      return;
    }
    // A process that comes back after it was fenced for a newer one of its name:
    // taking the name back would have the two fence each other for ever.
    const auto snapshot = context_.engine.snapshot();
    const auto known = snapshot->workers.find(registration.worker_id());
    if (request_.incarnation() > 0 && known != snapshot->workers.end() &&
        known->second.instance_id != registration.instance_id()) {
      End(absl::AbortedError(absl::StrCat("a newer process has registered as worker ",
                                          registration.worker_id(),
                                          "; give this one another --name")));
      return;
    }
    core::WorkerRegistered event;
    event.worker_id = registration.worker_id();
    event.instance_id = registration.instance_id();
    event.address = registration.address();
    event.version = registration.version();
    event.accelerator = AcceleratorOf(registration.accelerator());
    event.device = registration.device();
    event.slots = registration.slots();
    for (const v1::Member& member : registration.members()) {
      event.held.push_back({ToCore(member.trial()), member.rank(), member.slot(), member.ended()});
    }
    context_.sessions.Attach(registration.worker_id(), shared_from_this());
    context_.engine.Post(
        std::move(event),
        [self = shared_from_this()](const absl::Status& status, const core::ClusterState& state) {
          self->Registered(status, state);
        });
  }

  // On the core thread, after the commit.
  void Registered(const absl::Status& status, const core::ClusterState& state) {
    const v1::RegisterWorker& registration = request_.register_();
    if (!status.ok()) {
      End(status);
      return;
    }
    const auto worker = state.workers.find(registration.worker_id());
    if (worker == state.workers.end() || worker->second.instance_id != registration.instance_id()) {
      End(absl::AbortedError(
          absl::StrCat("a newer process has registered as worker ", registration.worker_id())));
      return;
    }
    worker_ = {worker->second.id, worker->second.incarnation};
    translator_.emplace(worker_, registration.instance_id(), context_.artifacts);

    v1::SessionResponse message;
    v1::Registered& registered = *message.mutable_registered();
    registered.set_incarnation(worker_.incarnation);
    const absl::Duration lease = context_.engine.lease();
    *registered.mutable_lease() = ToProto(lease);
    // Three may be lost or late before the lease runs out.
    *registered.mutable_heartbeat_interval() = ToProto(lease / 4);
    registered.set_acked_sequence(context_.engine.AckedSequence(registration.instance_id()));
    for (const v1::Member& member : registration.members()) {
      if (!member.ended() && !Holds(state, member)) *registered.add_stale_members() = member;
    }
    Log(LogLevel::kInfo,
        absl::StrCat("worker ", worker_.worker_id, " registered: incarnation ", worker_.incarnation,
                     ", ", registration.slots(), " ", registration.accelerator(), " slots at ",
                     registration.address()));
    context_.sessions.Bind(worker_, shared_from_this(), std::move(message));
    context_.engine.Heartbeat(worker_);
    ReadOn();
  }

  // Whether the state has this member on this worker's incarnation.
  bool Holds(const core::ClusterState& state, const v1::Member& member) const {
    const auto trial = state.trials.find(member.trial().trial_id());
    if (trial == state.trials.end() || trial->second.attempt != member.trial().attempt()) {
      return false;
    }
    const auto& gang = trial->second.gang;
    const auto rank = static_cast<size_t>(member.rank());
    return member.rank() >= 0 && rank < gang.size() && gang[rank].worker == worker_ &&
           !gang[rank].exited;
  }

  // False if the session is over.
  bool Handle() {
    if (request_.incarnation() != worker_.incarnation) {
      Fence(absl::StrCat("message of incarnation ", request_.incarnation(), ", but worker ",
                         worker_.worker_id, " is incarnation ", worker_.incarnation));
      return false;
    }
    if (!context_.engine.Heartbeat(worker_)) {
      Fence("the lease has run out; register again");
      return false;
    }
    if (request_.has_report()) HandleReport(request_.report());
    if (request_.heartbeat().draining()) Drain();
    return true;
  }

  // Each heartbeat says so again; the core needs to hear it once.
  void Drain() {
    if (std::exchange(draining_, true)) return;
    Log(LogLevel::kInfo, absl::StrCat("worker ", worker_.worker_id, " is being stopped"));
    context_.engine.Post(core::WorkerDraining{worker_});
  }

  void HandleReport(const v1::Report& report) {
    if (report.has_progress()) {
      if (report.rank() == 0) context_.live.SetProgress(ToCore(report.trial()), report.progress());
      return;
    }
    const std::shared_ptr<const core::ClusterState> state = context_.engine.snapshot();
    ReportTranslator::Result result =
        translator_->Translate(report, *state, context_.clock.NowMicros());
    if (result.abort) Send(*std::move(result.abort));
    {
      absl::MutexLock lock(&mu_);
      ++in_flight_;
    }
    Aftermath after;
    after.sequence = report.sequence();
    after.trial = ToCore(report.trial());
    after.exited = report.has_exited();
    if (report.has_epoch() && result.report.event) {
      after.metrics.insert(report.epoch().metrics().begin(), report.epoch().metrics().end());
    }
    const auto trial = state->trials.find(report.trial().trial_id());
    if ((report.has_checkpoint() || report.has_predictions()) && trial != state->trials.end()) {
      // The snapshot may be older than the reports before this one, so those are
      // remembered here.
      recent_artifacts_.push_back(report.has_checkpoint() ? report.checkpoint().digest()
                                                          : report.predictions().digest());
      if (recent_artifacts_.size() > kRecentArtifacts) recent_artifacts_.pop_front();
      after.superseded.assign(recent_artifacts_.begin(), recent_artifacts_.end());
      after.superseded.push_back(trial->second.latest.digest);
      after.superseded.push_back(trial->second.best.digest);
      for (const core::Checkpoint& one : trial->second.older) {
        after.superseded.push_back(one.digest);
      }
      after.superseded.push_back(trial->second.latest_predictions.digest);
      after.superseded.push_back(trial->second.best_predictions.digest);
    }
    context_.reports.fetch_add(1, std::memory_order_relaxed);
    context_.engine.PostReport(
        std::move(result.report),
        [self = shared_from_this(), after = std::move(after)](
            const absl::Status& status, const core::ClusterState& now) mutable {
          self->Committed(status, now, std::move(after));
        });
  }

  // What follows from a report once it is durable.
  struct Aftermath {
    uint64_t sequence = 0;
    core::TrialRef trial;
    bool exited = false;
    MetricMap metrics;
    // Checkpoints and predictions that this one may have replaced.
    std::vector<std::string> superseded;
  };

  // On the core thread, after the commit.
  void Committed(const absl::Status& status, const core::ClusterState& state, Aftermath after) {
    if (status.ok()) {
      const auto trial = state.trials.find(after.trial.trial_id);
      // One rank's exit is not the gang's: the others may go on.
      if (after.exited && trial != state.trials.end() &&
          trial->second.state != core::TrialState::kRunning) {
        context_.live.Forget(after.trial.trial_id);
      }
      if (!after.metrics.empty() && trial != state.trials.end() &&
          trial->second.attempt == after.trial.attempt) {
        context_.live.SetLastMetrics(after.trial.trial_id, std::move(after.metrics));
      }
      if (!after.superseded.empty()) {
        context_.io.Run([&context = context_, now = context_.engine.snapshot(),
                         digests = std::move(after.superseded)] {
          RemoveUnreferenced(*now, digests, context.artifacts);
          KeepQuota(context);
        });
      }
      if (after.sequence > 0) {
        v1::SessionResponse message;
        message.mutable_ack()->set_sequence(after.sequence);
        Send(std::move(message));
      }
    } else if (absl::IsAborted(status)) {
      Fence(std::string(status.message()));
    } else {
      End(status);
    }
    bool read = false;
    {
      absl::MutexLock lock(&mu_);
      --in_flight_;
      read = std::exchange(read_paused_, false);
    }
    if (read) ReadOn();
  }

  void ReadOn() {
    {
      absl::MutexLock lock(&mu_);
      if (ending_) return;
      if (in_flight_ >= kMaxInFlight) {
        read_paused_ = true;
        return;
      }
      starting_read_ = true;
    }
    StartRead(&request_);
    {
      absl::MutexLock lock(&mu_);
      starting_read_ = false;
    }
    Pump();
  }

  void Fence(const std::string& reason) {
    Log(LogLevel::kWarning, absl::StrCat("worker ", worker_.worker_id, " fenced: ", reason));
    v1::SessionResponse message;
    message.mutable_fenced()->set_reason(reason);
    Send(std::move(message));
    End(absl::AbortedError(reason));
  }

  ServiceContext& context_;
  // Touched by one read at a time; the registration by its completion, while no
  // read is under way.
  v1::SessionRequest request_;
  core::WorkerRef worker_;
  bool draining_ = false;
  std::optional<ReportTranslator> translator_;
  std::deque<std::string> recent_artifacts_;  // digests, of any of its trials

  absl::Mutex mu_;
  std::deque<v1::SessionResponse> outbox_ ABSL_GUARDED_BY(mu_);  // front: being written
  bool writing_ ABSL_GUARDED_BY(mu_) = false;
  std::optional<absl::Status> ending_ ABSL_GUARDED_BY(mu_);
  bool finished_ ABSL_GUARDED_BY(mu_) = false;
  int in_flight_ ABSL_GUARDED_BY(mu_) = 0;
  bool read_paused_ ABSL_GUARDED_BY(mu_) = false;
  bool starting_read_ ABSL_GUARDED_BY(mu_) = false;

  std::shared_ptr<Session> self_;
};

bool IsWorkerName(std::string_view name) {
  return !name.empty() && name.size() <= 63 && std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '-';
  });
}

}  // namespace

absl::Status ValidateRegistration(const v1::RegisterWorker& registration) {
  if (registration.protocol_version() != kProtocolVersion) {
    const bool older = registration.protocol_version() < kProtocolVersion;
    return absl::FailedPreconditionError(
        absl::StrCat("worker '", registration.worker_id(), "' (version ", registration.version(),
                     ") speaks protocol ", registration.protocol_version(),
                     ", this coordinator (version ", kVersion, ") protocol ", kProtocolVersion,
                     "; upgrade the ", older ? "worker" : "coordinator"));
  }
  if (!IsWorkerName(registration.worker_id())) {
    return absl::InvalidArgumentError(
        absl::StrCat("'", registration.worker_id(),
                     "' is no worker name: use 1 to 63 of a-z, 0-9, '.' and '-' (--name)"));
  }
  if (registration.instance_id().empty()) {
    return absl::InvalidArgumentError("the worker's instance_id is empty");
  }
  if (registration.slots() < 1 || registration.slots() > kMaxSlots) {
    return absl::InvalidArgumentError(absl::StrCat("a worker has 1 to ", kMaxSlots, " slots, not ",
                                                   registration.slots(), " (--slots)"));
  }
  if (registration.accelerator() != "cpu" && registration.accelerator() != "gpu") {
    return absl::InvalidArgumentError(absl::StrCat(
        "the accelerator is cpu or gpu, not '", registration.accelerator(), "' (--accelerator)"));
  }
  return absl::OkStatus();
}

grpc::ServerBidiReactor<v1::SessionRequest, v1::SessionResponse>* WorkerServiceImpl::Session(
    grpc::CallbackServerContext*) {
  const auto session = std::make_shared<service::Session>(context_);
  session->Start();
  return session.get();
}

}  // namespace mead::service
