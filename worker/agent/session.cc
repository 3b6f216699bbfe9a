#include "worker/agent/session.h"

#include <grpcpp/client_context.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>
#include <grpcpp/support/channel_arguments.h>

#include <algorithm>
#include <thread>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "common/grpc_status.h"
#include "common/log.h"
#include "worker/agent/artifact_cache.h"
#include "worker/agent/backoff.h"

namespace mead::agent {
namespace {

// Whether an answer to a registration stays the same however often it is asked.
bool IsRefusal(const absl::Status& status) {
  return status.code() == absl::StatusCode::kFailedPrecondition ||
         status.code() == absl::StatusCode::kInvalidArgument ||
         status.code() == absl::StatusCode::kAborted ||
         status.code() == absl::StatusCode::kUnimplemented ||
         status.code() == absl::StatusCode::kPermissionDenied ||
         status.code() == absl::StatusCode::kUnauthenticated;
}

absl::Duration FromProto(const google::protobuf::Duration& duration) {
  return absl::Seconds(duration.seconds()) + absl::Nanoseconds(duration.nanos());
}

// What the reader of one stream has seen.
struct StreamState {
  absl::Mutex mutex;
  absl::CondVar changed;
  bool broken ABSL_GUARDED_BY(mutex) = false;
  bool registered ABSL_GUARDED_BY(mutex) = false;
  v1::Registered registration ABSL_GUARDED_BY(mutex);
};

}  // namespace

std::shared_ptr<grpc::Channel> MakeChannel(const std::string& coordinator) {
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, 10'000);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 5'000);
  arguments.SetInt(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
  // The session's own backoff decides when to try; gRPC must not hold it up.
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 100);
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 100);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 1'000);
  return grpc::CreateCustomChannel(coordinator, grpc::InsecureChannelCredentials(), arguments);
}

absl::Status Session::Run(std::stop_token stop) {
  stub_ = v1::WorkerService::NewStub(options_.channel);
  Backoff backoff(options_.first_backoff, options_.max_backoff, options_.seed);
  std::string last_said;
  while (!stop.stop_requested()) {
    bool registered = false;
    const absl::Status status = RunStream(stop, registered);
    if (stop.stop_requested()) break;
    // An open session that ends so is one that was fenced: registering again is
    // how the worker gets its next incarnation, or is told of its successor.
    if (!registered && IsRefusal(status)) return status;
    if (registered) {
      backoff.Reset();
      last_said.clear();
    }
    std::string text = absl::StrCat("no session with the coordinator at ", options_.coordinator,
                                    " (", std::string(status.message()), "); trying again");
    if (text != last_said) Log(LogLevel::kWarning, text);
    last_said = std::move(text);
    WaitUnlessStopped(backoff.Next(), stop);
  }
  return absl::OkStatus();
}

void Session::SetDraining() {
  draining_ = true;
  outbox_.Interrupt();
}

absl::Status Session::RunStream(std::stop_token stop, bool& registered) {
  grpc::ClientContext context;  // no deadline: the stream is as long as the agent's life
  const auto stream = stub_->Session(&context);
  StreamState state;
  v1::SessionRequest request;
  // The incarnation that this process had: a newer process under its name is
  // told from a first start by it.
  request.set_incarnation(incarnation_);
  *request.mutable_register_() = handlers_.registration();
  stream->Write(request);

  std::jthread reader([&] {
    v1::SessionResponse response;
    while (stream->Read(&response)) {
      if (response.has_registered()) {
        // Before the agent hears of it, so that what it then reports is sent.
        outbox_.Rewind(response.registered().acked_sequence());
        handlers_.on_message(response);
        absl::MutexLock lock(&state.mutex);
        state.registered = true;
        state.registration = response.registered();
        state.changed.SignalAll();
        continue;
      }
      if (response.has_ack()) outbox_.Ack(response.ack().sequence());
      handlers_.on_message(response);
    }
    {
      absl::MutexLock lock(&state.mutex);
      state.broken = true;
      state.changed.SignalAll();
    }
    outbox_.Interrupt();
  });
  const std::stop_callback cancel(stop, [&] {
    context.TryCancel();
    outbox_.Interrupt();
  });

  absl::Duration heartbeat = absl::Seconds(1);
  bool timed_out = false;
  {
    const absl::Time deadline = absl::Now() + options_.registration_timeout;
    absl::MutexLock lock(&state.mutex);
    while (!state.broken && !state.registered) {
      if (state.changed.WaitWithDeadline(&state.mutex, deadline)) break;
    }
    registered = state.registered;
    if (registered) {
      incarnation_ = state.registration.incarnation();
      const absl::Duration asked = FromProto(state.registration.heartbeat_interval());
      if (asked > absl::ZeroDuration()) heartbeat = asked;
    }
    timed_out = !state.broken && !registered;
  }
  // Not a stream that has ended: a cancellation would hide why.
  if (timed_out) context.TryCancel();
  open_ = registered;

  const auto broken = [&] {
    absl::MutexLock lock(&state.mutex);
    return state.broken;
  };
  absl::Time next_heartbeat = absl::Now() + heartbeat;
  bool said_draining = false;
  while (registered && !broken() && !stop.stop_requested()) {
    request.Clear();
    request.set_incarnation(incarnation_);
    std::optional<v1::Report> report =
        outbox_.Next(std::max(absl::ZeroDuration(), next_heartbeat - absl::Now()));
    if (report.has_value()) {
      request.mutable_report()->Swap(&*report);
      if (!stream->Write(request)) break;
      request.Clear();
      request.set_incarnation(incarnation_);
    }
    const bool draining = draining_;
    if (absl::Now() < next_heartbeat && draining == said_draining) continue;
    said_draining = draining;
    request.mutable_heartbeat()->set_draining(draining);
    if (!stream->Write(request)) break;
    next_heartbeat = absl::Now() + heartbeat;
  }
  open_ = false;
  // A refused write is a broken stream too; a stop has cancelled the call.
  reader.join();
  const absl::Status status = FromGrpc(stream->Finish());
  if (status.ok()) return absl::UnavailableError("the coordinator closed the session");
  if (timed_out) {
    return absl::UnavailableError("it did not answer the registration in time");
  }
  return status;
}

}  // namespace mead::agent
