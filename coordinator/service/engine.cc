#include "coordinator/service/engine.h"

#include <algorithm>
#include <cstdlib>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/log.h"
#include "common/status_util.h"
#include "coordinator/core/step.h"

namespace mead::service {
namespace {

constexpr int kExitIoError = 74;  // EX_IOERR of sysexits.h

// Whether `state` still knows that process under that number.
bool IsCurrent(const core::ClusterState& state, const core::WorkerRef& worker) {
  const auto it = state.workers.find(worker.worker_id);
  return it != state.workers.end() && it->second.incarnation == worker.incarnation &&
         !it->second.lost;
}

bool IsLive(core::TrialState state) {
  return state == core::TrialState::kStarting || state == core::TrialState::kRunning ||
         state == core::TrialState::kStopping;
}

// Figures of an attempt that is over would overwrite those of its successor.
template <class Row>
void DropStale(const core::ClusterState& state, std::vector<Row>& rows) {
  std::erase_if(rows, [&](const Row& row) {
    const auto it = state.trials.find(row.trial_id);
    return it == state.trials.end() || it->second.attempt != row.attempt ||
           !IsLive(it->second.state);
  });
}

}  // namespace

// What one group commit gathers.
struct Engine::Round {
  core::TimeMicros at = 0;
  std::vector<core::Event> events;
  std::vector<core::Command> commands;
  store::Rows rows;
  store::Cursors cursors;  // the changed ones
  std::vector<std::pair<Completion, absl::Status>> completions;
  bool workers_changed = false;

  bool durable() const { return !events.empty() || !rows.empty() || !cursors.empty(); }
};

absl::StatusOr<std::unique_ptr<Engine>> Engine::Create(EngineOptions options) {
  MEAD_ASSIGN_OR_RETURN(core::ClusterState state, options.store.LoadState());
  MEAD_ASSIGN_OR_RETURN(store::Cursors cursors, options.store.LoadCursors());
  return std::unique_ptr<Engine>(
      new Engine(std::move(options), std::move(state), std::move(cursors)));
}

Engine::Engine(EngineOptions options, core::ClusterState state, store::Cursors cursors)
    : options_(std::move(options)),
      time_offset_(std::max(absl::ZeroDuration(),
                            absl::FromUnixMicros(state.last_event_time) - options_.clock.Now())),
      state_(std::move(state)),
      cursors_(std::move(cursors)) {
  {
    absl::MutexLock lock(&mu_);
    acked_ = cursors_;
    // Other tunables than last time are an event like any other, so that a
    // replay sees the change where it happened.
    if (state_.config != options_.config) {
      queue_.push_back({core::Configured{options_.config}, {}});
    }
    const absl::Time now = options_.clock.Now();
    for (const auto& [id, worker] : state_.workers) {
      if (worker.lost) continue;
      leases_[id] = {worker.incarnation, now, std::max(options_.lease, options_.restart_grace)};
    }
    snapshot_ = std::make_shared<const core::ClusterState>(state_);
    next_deadline_ = core::NextDeadline(state_);
    journal_events_ = options_.store.event_count();
  }
  thread_ = std::jthread([this] { Run(); });
}

Engine::~Engine() {
  {
    absl::MutexLock lock(&mu_);
    stopping_ = true;
    wake_.SignalAll();
  }
  thread_.join();
}

void Engine::Post(Body body, Completion done) { Enqueue({std::move(body), std::move(done)}); }

void Engine::PostReport(WorkerReport report, Completion done) {
  Enqueue({std::move(report), std::move(done)});
}

void Engine::Enqueue(Item item) {
  absl::Status refusal;
  std::shared_ptr<const core::ClusterState> current;
  {
    absl::MutexLock lock(&mu_);
    if (stopping_) {
      refusal = absl::CancelledError("the coordinator is shutting down; try again when it is back");
    } else if (queue_.size() >= kMaxQueued) {
      refusal = absl::ResourceExhaustedError(
          absl::StrCat("the coordinator has ", queue_.size(),
                       " requests waiting for its disk; try again in some seconds"));
    } else {
      queue_.push_back(std::move(item));
      wake_.Signal();
      return;
    }
    current = snapshot_;
  }
  if (item.done) item.done(refusal, *current);
}

bool Engine::Heartbeat(const core::WorkerRef& worker) {
  const absl::Time now = options_.clock.Now();
  absl::MutexLock lock(&mu_);
  const auto it = leases_.find(worker.worker_id);
  if (it == leases_.end() || it->second.incarnation != worker.incarnation) return false;
  it->second = {worker.incarnation, now, options_.lease};
  return true;
}

std::optional<absl::Time> Engine::LastHeartbeat(const std::string& worker_id) const {
  absl::MutexLock lock(&mu_);
  const auto it = leases_.find(worker_id);
  if (it == leases_.end()) return std::nullopt;
  return it->second.renewed;
}

std::shared_ptr<const core::ClusterState> Engine::snapshot() const {
  absl::MutexLock lock(&mu_);
  return snapshot_;
}

uint64_t Engine::version() const {
  absl::MutexLock lock(&mu_);
  return version_;
}

uint64_t Engine::journal_events() const {
  absl::MutexLock lock(&mu_);
  return journal_events_;
}

uint64_t Engine::AckedSequence(const std::string& instance_id) const {
  absl::MutexLock lock(&mu_);
  const auto it = acked_.find(instance_id);
  return it == acked_.end() ? 0 : it->second;
}

int Engine::Subscribe(std::function<void()> changed) {
  std::lock_guard lock(subscribers_mu_);
  const int id = next_subscriber_++;
  subscribers_[id] = std::make_shared<const std::function<void()>>(std::move(changed));
  return id;
}

void Engine::Unsubscribe(int id) {
  std::lock_guard lock(subscribers_mu_);
  subscribers_.erase(id);
}

absl::Time Engine::NextWake() const {
  absl::Time wake = absl::InfiniteFuture();
  for (const auto& [id, lease] : leases_) wake = std::min(wake, lease.end());
  if (next_deadline_.has_value()) {
    wake = std::min(wake, absl::FromUnixMicros(*next_deadline_) - time_offset_);
  }
  return wake;
}

std::vector<core::WorkerLost> Engine::ExpiredLeases(absl::Time now) {
  std::vector<core::WorkerLost> lost;
  for (auto it = leases_.begin(); it != leases_.end();) {
    const auto& [id, lease] = *it;
    if (now < lease.end()) {
      ++it;
      continue;
    }
    lost.push_back({.worker = {id, lease.incarnation},
                    .reason = absl::StrCat("nothing was heard of worker ", id, " for ",
                                           absl::FormatDuration(lease.lasts),
                                           " (its lease): host, network or agent is down")});
    it = leases_.erase(it);  // fenced from this moment on
  }
  return lost;
}

void Engine::Run() {
  while (true) {
    std::deque<Item> items;
    std::vector<core::WorkerLost> lost;
    Round round;
    {
      absl::MutexLock lock(&mu_);
      absl::Time now = options_.clock.Now();
      while (!stopping_ && queue_.empty() && now < NextWake()) {
        options_.clock.WaitUntil(wake_, mu_, NextWake());
        now = options_.clock.Now();
      }
      if (stopping_ && queue_.empty()) break;
      items.swap(queue_);
      lost = ExpiredLeases(now);
      round.at = absl::ToUnixMicros(now + time_offset_);
    }
    for (core::WorkerLost& event : lost) StepInto(round, std::move(event));
    for (Item& item : items) {
      absl::Status status;
      if (Body* body = std::get_if<Body>(&item.what)) {
        StepInto(round, std::move(*body));
      } else {
        status = ApplyReport(round, std::get<WorkerReport>(std::move(item.what)));
      }
      if (item.done) round.completions.emplace_back(std::move(item.done), std::move(status));
    }
    // Any event passes deadlines, so a Tick is needed only where none came. One
    // per deadline: a core that leaves a passed one in its state must not make
    // this loop fill the journal.
    const std::optional<core::TimeMicros> deadline = core::NextDeadline(state_);
    if (deadline.has_value() && *deadline <= round.at && *deadline > last_tick_) {
      last_tick_ = *deadline;
      StepInto(round, core::Tick{});
    }
    Commit(round);
    Publish(round);
    if (options_.store.events_since_snapshot() >= options_.snapshot_every_events) SaveSnapshot();
  }
  if (options_.store.events_since_snapshot() > 0) SaveSnapshot();
}

void Engine::StepInto(Round& round, Body body) {
  core::Event event{.at = round.at, .body = std::move(body)};
  if (const auto* registered = std::get_if<core::WorkerRegistered>(&event.body)) {
    round.workers_changed = true;
    // A new process on that node: the reports of the old one are over.
    const auto old = state_.workers.find(registered->worker_id);
    if (old != state_.workers.end() && old->second.instance_id != registered->instance_id &&
        cursors_.erase(old->second.instance_id) > 0) {
      round.cursors[old->second.instance_id] = 0;
    }
  } else if (std::holds_alternative<core::WorkerLost>(event.body)) {
    round.workers_changed = true;
  }
  std::vector<core::Command> commands = core::Step(state_, event);
  round.commands.insert(round.commands.end(), std::make_move_iterator(commands.begin()),
                        std::make_move_iterator(commands.end()));
  round.events.push_back(std::move(event));
}

absl::Status Engine::ApplyReport(Round& round, WorkerReport report) {
  if (!IsCurrent(state_, report.worker)) {
    return absl::AbortedError(absl::StrCat("worker ", report.worker.worker_id, ", incarnation ",
                                           report.worker.incarnation,
                                           ", is over (its lease ran out, or a newer process has "
                                           "its name); register again"));
  }
  if (report.sequence > 0) {
    uint64_t& cursor = cursors_[report.instance_id];
    if (report.sequence <= cursor) return absl::OkStatus();  // sent again after a reconnect
    cursor = report.sequence;
    round.cursors[report.instance_id] = cursor;
  }
  DropStale(state_, report.rows.metrics);
  DropStale(state_, report.rows.confusion);
  round.rows.Append(std::move(report.rows));
  if (report.event.has_value()) StepInto(round, *std::move(report.event));
  return absl::OkStatus();
}

void Engine::Commit(Round& round) {
  if (!round.durable()) return;
  const absl::Status status = options_.store.Append(round.events, round.rows, round.cursors);
  if (status.ok()) return;
  // Nothing of this round has been acted on or acknowledged, but the state in
  // memory is ahead of the disk. The disk is the truth: start again from it.
  Log(LogLevel::kError,
      absl::StrCat("the journal cannot be written: ", std::string(status.message()),
                   ". Nothing that was acknowledged is lost; the coordinator ends now and goes on "
                   "from the journal when it is started again"));
  std::_Exit(kExitIoError);
}

void Engine::Publish(Round& round) {
  // Made outside the lock; readers wait for a pointer's assignment, not for a copy.
  std::shared_ptr<const core::ClusterState> published;
  if (!round.events.empty()) published = std::make_shared<const core::ClusterState>(state_);
  {
    absl::MutexLock lock(&mu_);
    for (const auto& [instance_id, sequence] : round.cursors) {
      if (sequence == 0) {
        acked_.erase(instance_id);
      } else {
        acked_[instance_id] = sequence;
      }
    }
    if (round.workers_changed) {
      const absl::Time now = options_.clock.Now();
      std::erase_if(leases_, [&](const auto& entry) {
        return !IsCurrent(state_, {entry.first, entry.second.incarnation});
      });
      for (const core::Event& event : round.events) {
        const auto* registered = std::get_if<core::WorkerRegistered>(&event.body);
        if (registered == nullptr) continue;
        const auto worker = state_.workers.find(registered->worker_id);
        if (worker == state_.workers.end() || worker->second.lost) continue;
        leases_[worker->first] = {worker->second.incarnation, now, options_.lease};
      }
    }
    // Rows alone count as a change too: followers of logs and metrics wait for it.
    if (published != nullptr) snapshot_ = published;
    if (round.durable()) ++version_;
    next_deadline_ = core::NextDeadline(state_);
    if (next_deadline_.has_value() && *next_deadline_ <= last_tick_) next_deadline_.reset();
    journal_events_ = options_.store.event_count();
  }
  if (options_.on_command) {
    for (const core::Command& command : round.commands) options_.on_command(command);
  }
  for (auto& [done, status] : round.completions) done(status, state_);
  if (!round.durable()) return;
  std::lock_guard lock(subscribers_mu_);
  std::vector<int> ids;
  for (const auto& [id, subscriber] : subscribers_) ids.push_back(id);
  for (const int id : ids) {
    const auto it = subscribers_.find(id);
    if (it == subscribers_.end()) continue;  // one before it unsubscribed it
    const std::shared_ptr<const std::function<void()>> subscriber = it->second;
    (*subscriber)();
  }
}

void Engine::SaveSnapshot() {
  const absl::Status status = options_.store.SaveSnapshot(state_);
  if (status.ok()) return;
  Log(LogLevel::kWarning,
      absl::StrCat("no snapshot could be saved: ", std::string(status.message()),
                   "; the journal is whole, the next start takes longer"));
}

}  // namespace mead::service
