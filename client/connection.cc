#include "client/connection.h"

#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "client/interrupt.h"
#include "common/base/rng.h"
#include "common/grpc_status.h"

namespace mead::client {
namespace {

constexpr int kAttempts = 4;

std::shared_ptr<grpc::Channel> MakeChannel(const std::string& address) {
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 100);
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 100);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 2000);
  // A coordinator is inside the cluster; a web proxy in the environment does not lead there.
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  // Finds a peer that vanished without a word while a stream is open.
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, 30'000);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 10'000);
  arguments.SetMaxReceiveMessageSize(64 << 20);  // a status of thousands of trials
  return grpc::CreateCustomChannel(address, grpc::InsecureChannelCredentials(), arguments);
}

}  // namespace

ExitCode ExitCodeOf(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kOk:
      return kExitDone;
    case absl::StatusCode::kInvalidArgument:
    case absl::StatusCode::kNotFound:
    case absl::StatusCode::kAlreadyExists:
    case absl::StatusCode::kOutOfRange:
    case absl::StatusCode::kFailedPrecondition:
      return kExitUsage;
    case absl::StatusCode::kUnavailable:
    case absl::StatusCode::kDeadlineExceeded:
      return kExitUnreachable;
    case absl::StatusCode::kPermissionDenied:
    case absl::StatusCode::kUnauthenticated:
      return kExitNotAllowed;
    case absl::StatusCode::kCancelled:
      return kExitInterrupted;
    default:
      return kExitFailed;
  }
}

absl::Duration RetryDelay(int attempt) {
  // Jitter only: no result of a command depends on it.
  static Rng& rng = *new Rng(static_cast<uint64_t>(absl::GetCurrentTimeNanos()) ^
                             static_cast<uint64_t>(getpid()));
  const double seconds = std::min(5.0, 0.1 * std::exp2(std::min(attempt, 10)));
  return absl::Seconds(seconds * rng.Uniform(0.75, 1.25));
}

Connection::Connection(std::string address, std::string origin)
    : address_(std::move(address)), origin_(std::move(origin)) {
  const std::shared_ptr<grpc::Channel> channel = MakeChannel(address_);
  cluster_ = mead::v1::ClusterService::NewStub(channel);
  datasets_ = mead::v1::DatasetService::NewStub(channel);
  sweeps_ = mead::v1::SweepService::NewStub(channel);
  artifacts_ = mead::v1::ArtifactService::NewStub(channel);
}

void Connection::SetDeadline(grpc::ClientContext* context, absl::Duration deadline) {
  context->set_deadline(absl::ToChronoTime(absl::Now() + deadline));
}

absl::Status Connection::Retry(const std::function<grpc::Status()>& call) const {
  for (int attempt = 0;; ++attempt) {
    const grpc::Status status = call();
    if (status.error_code() != grpc::StatusCode::UNAVAILABLE || attempt + 1 == kAttempts) {
      return Explain(status);
    }
    if (!InterruptibleSleep(RetryDelay(attempt))) return absl::CancelledError("interrupted");
  }
}

absl::Status Connection::Explain(const grpc::Status& status) const {
  switch (status.error_code()) {
    case grpc::StatusCode::UNAVAILABLE:
      return absl::UnavailableError(absl::StrCat(
          "no coordinator answers at ", address_, " (from ", origin_, "): ", status.error_message(),
          "\n  start one here with \"mead local up\", or choose another with --server HOST:PORT, "
          "MEAD_SERVER or \"mead context use NAME\""));
    case grpc::StatusCode::DEADLINE_EXCEEDED:
      return absl::DeadlineExceededError(
          absl::StrCat("the coordinator at ", address_, " (from ", origin_,
                       ") did not answer in time; is it overloaded, or is something else "
                       "listening there?"));
    case grpc::StatusCode::UNIMPLEMENTED:
      return absl::UnimplementedError(
          absl::StrCat("the server at ", address_,
                       " does not know this call; it is of another version, or is not a "
                       "coordinator (the HTTP port?)"));
    case grpc::StatusCode::CANCELLED:
      return absl::CancelledError("interrupted");
    default:
      return FromGrpc(status);
  }
}

}  // namespace mead::client
