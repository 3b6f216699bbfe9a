// Reading a server's stream to its end: interrupts end it, a lost connection is taken up again.
#pragma once

#include <grpcpp/grpcpp.h>

#include <functional>
#include <memory>

#include "absl/status/status.h"
#include "absl/time/clock.h"
#include "client/connection.h"
#include "client/interrupt.h"

namespace mead::client {

struct StreamOptions {
  // How long to keep trying after a connection that had worked was lost; zero: not at all.
  absl::Duration reconnect_for = absl::Minutes(2);
  // Of one connection; when it passes the stream is opened anew.
  absl::Duration deadline = absl::Hours(1);
  // Told once when the connection is lost.
  std::function<void()> on_lost = [] {};
  // Told before each opening but the first.
  std::function<void()> on_reopen = [] {};
};

// open: starts the call. on_message: false to end the stream early, which is a success.
// Errors: CANCELLED after an interrupt; else as Connection::Explain.
template <typename Response>
[[nodiscard]] absl::Status ReadStream(
    const Connection& connection,
    const std::function<std::unique_ptr<grpc::ClientReader<Response>>(grpc::ClientContext*)>& open,
    const std::function<bool(const Response&)>& on_message, const StreamOptions& options = {}) {
  constexpr int kFirstAttempts = 4;
  bool ever_worked = false;
  absl::Time lost_at = absl::InfiniteFuture();
  for (int attempt = 0;; ++attempt) {
    grpc::ClientContext context;
    Connection::SetDeadline(&context, options.deadline);
    InterruptScope scope([&context] { context.TryCancel(); });
    const std::unique_ptr<grpc::ClientReader<Response>> reader = open(&context);
    Response response;
    while (reader->Read(&response)) {
      ever_worked = true;
      attempt = 0;
      lost_at = absl::InfiniteFuture();
      if (!on_message(response)) {
        context.TryCancel();
        (void)reader->Finish();  // cancelled by ourselves
        return absl::OkStatus();
      }
    }
    const grpc::Status status = reader->Finish();
    if (Interrupted()) return absl::CancelledError("interrupted");
    const bool timed_out = status.error_code() == grpc::StatusCode::DEADLINE_EXCEEDED;
    if (status.error_code() != grpc::StatusCode::UNAVAILABLE && !(timed_out && ever_worked)) {
      return connection.Explain(status);
    }
    if (!ever_worked && attempt + 1 >= kFirstAttempts) return connection.Explain(status);
    if (ever_worked && !timed_out) {
      if (lost_at == absl::InfiniteFuture()) {
        if (options.reconnect_for == absl::ZeroDuration()) return connection.Explain(status);
        lost_at = absl::Now();
        options.on_lost();
      }
      if (absl::Now() - lost_at > options.reconnect_for) return connection.Explain(status);
    }
    if (!InterruptibleSleep(RetryDelay(attempt))) return absl::CancelledError("interrupted");
    options.on_reopen();
  }
}

}  // namespace mead::client
