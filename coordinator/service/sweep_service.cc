#include "coordinator/service/sweep_service.h"

#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/grpc_status.h"
#include "common/ids.h"
#include "common/log.h"
#include "common/status_util.h"
#include "coordinator/core/folds.h"
#include "coordinator/core/search.h"
#include "coordinator/service/admission.h"
#include "coordinator/service/convert.h"
#include "coordinator/service/resolve.h"
#include "coordinator/service/rpc.h"
#include "coordinator/service/views.h"

namespace mead::service {
namespace {

constexpr size_t kSweepIdLength = 6;

// What a submission would make: no id, every trial waiting.
v1::Sweep PreviewOf(const v1::SweepSpec& spec, core::TimeMicros now) {
  v1::Sweep sweep;
  *sweep.mutable_spec() = spec;
  sweep.set_state(v1::SWEEP_STATE_RUNNING);
  *sweep.mutable_create_time() = ToTimestamp(now);
  const core::SweepSpec core_spec = ToCore(spec);
  const int trials = core::TotalConfigurations(core_spec) * core::FoldsOf(core_spec);
  sweep.set_trials_total(trials);
  sweep.set_trials_queued(trials);
  return sweep;
}

class WatchStream final : public PolledStream<v1::WatchSweepResponse> {
 public:
  WatchStream(ServiceContext& context, std::string id)
      : PolledStream(context.io), context_(context), queries_(context), id_(std::move(id)) {}

 private:
  absl::StatusOr<News> Poll(v1::WatchSweepResponse& response) override {
    // Read before the state, so that a change in between is seen next time.
    const std::pair<uint64_t, uint64_t> versions = {context_.engine.version(),
                                                    context_.live.version()};
    if (versions == seen_) return News::kNone;
    seen_ = versions;
    MEAD_ASSIGN_OR_RETURN(v1::GetSweepResponse now, queries_.GetSweep(id_));
    // Other sweeps change the version too; what is the same is no news.
    std::string encoded = now.SerializeAsString();
    if (encoded == sent_) return News::kNone;
    sent_ = std::move(encoded);
    id_ = now.sweep().id();  // a prefix may become ambiguous later
    *response.mutable_sweep() = std::move(*now.mutable_sweep());
    *response.mutable_trials() = std::move(*now.mutable_trials());
    *response.mutable_configurations() = std::move(*now.mutable_configurations());
    const v1::SweepState state = response.sweep().state();
    return state == v1::SWEEP_STATE_RUNNING || state == v1::SWEEP_STATE_STOPPING ? News::kSome
                                                                                 : News::kLast;
  }

  ServiceContext& context_;
  Queries queries_;
  std::string id_;
  std::pair<uint64_t, uint64_t> seen_ = {~0ull, ~0ull};
  std::string sent_;
};

class LogStream final : public PolledStream<v1::GetLogsResponse> {
 public:
  LogStream(ServiceContext& context, const v1::GetLogsRequest& request)
      : PolledStream(context.io),
        context_(context),
        id_(request.trial_id()),
        follow_(request.follow()) {}

 private:
  static constexpr int kLinesPerMessage = 500;

  absl::StatusOr<News> Poll(v1::GetLogsResponse& response) override {
    const auto state = context_.engine.snapshot();
    MEAD_ASSIGN_OR_RETURN(const core::Trial* trial, FindTrial(*state, id_));
    id_ = trial->id;
    MEAD_ASSIGN_OR_RETURN(const std::vector<store::LogRow> rows,
                          context_.store.Logs(trial->id, last_id_, kLinesPerMessage));
    for (const store::LogRow& row : rows) {
      v1::LogLine& line = *response.add_lines();
      *line.mutable_time() = ToTimestamp(row.time_micros);
      line.set_rank(row.rank);
      line.set_attempt(row.attempt);
      line.set_text(row.text);
      last_id_ = row.id;
    }
    if (static_cast<int>(rows.size()) == kLinesPerMessage) return News::kMore;
    // The snapshot is older than the rows: a trial that had ended then has said all.
    const bool over = !follow_ || HasEnded(trial->state);
    if (rows.empty()) return over ? News::kEnd : News::kNone;
    return over ? News::kLast : News::kSome;
  }

  ServiceContext& context_;
  std::string id_;
  const bool follow_;
  int64_t last_id_ = 0;
};

}  // namespace

grpc::ServerUnaryReactor* SweepServiceImpl::SubmitSweep(grpc::CallbackServerContext* call,
                                                        const v1::SubmitSweepRequest* request,
                                                        v1::SubmitSweepResponse* response) {
  grpc::ServerUnaryReactor* reactor = call->DefaultReactor();
  context_.io.Run([this, reactor, request, response] {
    const auto state = context_.engine.snapshot();
    const auto known = state->requests.find(request->request_id());
    if (known != state->requests.end() && !request->dry_run()) {
      *response->mutable_sweep() = SweepView(*state, state->sweeps.at(known->second));
      reactor->Finish(grpc::Status::OK);
      return;
    }
    const absl::StatusOr<v1::SweepSpec> spec = AdmitSweep(context_, *state, *request);
    if (!spec.ok() || request->dry_run()) {
      if (spec.ok()) *response->mutable_sweep() = PreviewOf(*spec, context_.clock.NowMicros());
      reactor->Finish(ToGrpc(spec.status()));
      return;
    }
    core::SweepSubmitted event;
    event.sweep_id = RandomId("s", kSweepIdLength);
    event.request_id =
        request->request_id().empty() ? RandomId("unnamed-", 16) : request->request_id();
    event.spec = ToCore(*spec);
    Log(LogLevel::kInfo, absl::StrCat("sweep ", event.sweep_id, " (", spec->name(), ") submitted"));
    context_.engine.Post(
        event, [reactor, response, request_id = event.request_id](
                   const absl::Status& status, const core::ClusterState& now) {
          // A repeated request that came at the same time has made the sweep already.
          const auto made = now.requests.find(request_id);
          if (!status.ok()) {
            reactor->Finish(ToGrpc(status));
          } else if (made == now.requests.end()) {
            reactor->Finish({grpc::StatusCode::ABORTED,
                             "the data set has just been removed; the sweep was not queued"});
          } else {
            *response->mutable_sweep() = SweepView(now, now.sweeps.at(made->second));
            reactor->Finish(grpc::Status::OK);
          }
        });
  });
  return reactor;
}

grpc::ServerUnaryReactor* SweepServiceImpl::ListSweeps(grpc::CallbackServerContext* call,
                                                       const v1::ListSweepsRequest*,
                                                       v1::ListSweepsResponse* response) {
  return Answer(call, context_.io, response,
                [this] { return absl::StatusOr<v1::ListSweepsResponse>(queries_.ListSweeps()); });
}

grpc::ServerUnaryReactor* SweepServiceImpl::GetSweep(grpc::CallbackServerContext* call,
                                                     const v1::GetSweepRequest* request,
                                                     v1::GetSweepResponse* response) {
  return Answer(call, context_.io, response,
                [this, request] { return queries_.GetSweep(request->sweep_id()); });
}

grpc::ServerWriteReactor<v1::WatchSweepResponse>* SweepServiceImpl::WatchSweep(
    grpc::CallbackServerContext*, const v1::WatchSweepRequest* request) {
  auto* stream = new WatchStream(context_, request->sweep_id());
  stream->Start();
  return stream;
}

grpc::ServerUnaryReactor* SweepServiceImpl::StopSweep(grpc::CallbackServerContext* call,
                                                      const v1::StopSweepRequest* request,
                                                      v1::StopSweepResponse* response) {
  grpc::ServerUnaryReactor* reactor = call->DefaultReactor();
  const auto state = context_.engine.snapshot();
  const absl::StatusOr<const core::Sweep*> sweep = FindSweep(*state, request->sweep_id());
  if (!sweep.ok()) {
    reactor->Finish(ToGrpc(sweep.status()));
    return reactor;
  }
  context_.engine.Post(core::SweepStopRequested{(*sweep)->id},
                       [reactor, response, id = (*sweep)->id](const absl::Status& status,
                                                              const core::ClusterState& now) {
                         if (status.ok()) {
                           *response->mutable_sweep() = SweepView(now, now.sweeps.at(id));
                         }
                         reactor->Finish(ToGrpc(status));
                       });
  return reactor;
}

grpc::ServerUnaryReactor* SweepServiceImpl::StopTrial(grpc::CallbackServerContext* call,
                                                      const v1::StopTrialRequest* request,
                                                      v1::StopTrialResponse* response) {
  grpc::ServerUnaryReactor* reactor = call->DefaultReactor();
  const auto state = context_.engine.snapshot();
  const absl::StatusOr<const core::Trial*> trial = FindTrial(*state, request->trial_id());
  if (!trial.ok()) {
    reactor->Finish(ToGrpc(trial.status()));
    return reactor;
  }
  context_.engine.Post(
      core::TrialStopRequested{(*trial)->id},
      [this, reactor, response, id = (*trial)->id](const absl::Status& status,
                                                   const core::ClusterState&) {
        // The view may ask the store, so it is made off the core thread.
        context_.io.Run([this, reactor, response, id, status] {
          absl::Status answer = status;
          if (answer.ok()) {
            absl::StatusOr<v1::GetTrialResponse> now = queries_.GetTrial(id);
            answer = now.status();
            if (now.ok()) *response->mutable_trial() = std::move(*now->mutable_trial());
          }
          reactor->Finish(ToGrpc(answer));
        });
      });
  return reactor;
}

grpc::ServerUnaryReactor* SweepServiceImpl::GetTrial(grpc::CallbackServerContext* call,
                                                     const v1::GetTrialRequest* request,
                                                     v1::GetTrialResponse* response) {
  return Answer(call, context_.io, response,
                [this, request] { return queries_.GetTrial(request->trial_id()); });
}

grpc::ServerUnaryReactor* SweepServiceImpl::GetMetrics(grpc::CallbackServerContext* call,
                                                       const v1::GetMetricsRequest* request,
                                                       v1::GetMetricsResponse* response) {
  return Answer(call, context_.io, response,
                [this, request] { return queries_.GetMetrics(*request); });
}

grpc::ServerUnaryReactor* SweepServiceImpl::GetConfusion(grpc::CallbackServerContext* call,
                                                         const v1::GetConfusionRequest* request,
                                                         v1::GetConfusionResponse* response) {
  return Answer(call, context_.io, response,
                [this, request] { return queries_.GetConfusion(*request); });
}

grpc::ServerWriteReactor<v1::GetLogsResponse>* SweepServiceImpl::GetLogs(
    grpc::CallbackServerContext*, const v1::GetLogsRequest* request) {
  auto* stream = new LogStream(context_, *request);
  stream->Start();
  return stream;
}

}  // namespace mead::service
