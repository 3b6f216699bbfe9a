// Shapes that RPC handlers share: an answer made off gRPC's threads, and a
// stream that looks again now and then.
#pragma once

#include <grpcpp/alarm.h>
#include <grpcpp/grpcpp.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/grpc_status.h"
#include "coordinator/service/io_pool.h"

namespace mead::service {

// Answers a unary call with what `make` returns, on the pool.
template <class Response, class Make>
grpc::ServerUnaryReactor* Answer(grpc::CallbackServerContext* call, IoPool& io, Response* response,
                                 Make make) {
  grpc::ServerUnaryReactor* reactor = call->DefaultReactor();
  io.Run([reactor, response, make = std::move(make)]() mutable {
    absl::StatusOr<Response> answer = make();
    if (answer.ok()) *response = *std::move(answer);
    reactor->Finish(ToGrpc(answer.status()));
  });
  return reactor;
}

// A server stream that writes when there is news, at most once a period.
//
// Thread: Poll() runs on the pool, one call at a time.
template <class Response>
class PolledStream : public grpc::ServerWriteReactor<Response> {
 public:
  explicit PolledStream(IoPool& io) : io_(io) {}

  void Start() { Later(); }

  void OnWriteDone(bool ok) override {
    if (!ok || cancelled_) {
      this->Finish(grpc::Status::CANCELLED);
    } else if (last_) {
      this->Finish(grpc::Status::OK);
    } else if (more_) {
      Later();
    } else {
      Wait();
    }
  }
  void OnCancel() override { cancelled_ = true; }
  void OnDone() override { delete this; }

 protected:
  enum class News {
    kNone,  // look again in a period
    kSome,  // write, then wait
    kMore,  // write, then look again at once
    kLast,  // write, then end
    kEnd,   // end without writing
  };
  virtual absl::StatusOr<News> Poll(Response& response) = 0;

 private:
  static constexpr std::chrono::milliseconds kPeriod{200};

  void Later() {
    io_.Run([this] { Look(); });
  }

  void Look() {
    if (cancelled_) {
      this->Finish(grpc::Status::CANCELLED);
      return;
    }
    response_.Clear();
    const absl::StatusOr<News> news = Poll(response_);
    if (!news.ok()) {
      this->Finish(ToGrpc(news.status()));
    } else if (*news == News::kEnd) {
      this->Finish(grpc::Status::OK);
    } else if (*news == News::kNone) {
      Wait();
    } else {
      last_ = *news == News::kLast;
      more_ = *news == News::kMore;
      this->StartWrite(&response_);
    }
  }

  // A new alarm each time: setting one again from within its own callback would
  // replace the function that is running.
  void Wait() {
    alarm_ = std::make_unique<grpc::Alarm>();
    alarm_->Set(std::chrono::system_clock::now() + kPeriod, [this](bool) { Later(); });
  }

  IoPool& io_;
  Response response_;
  bool last_ = false;
  bool more_ = false;
  std::atomic<bool> cancelled_ = false;
  std::unique_ptr<grpc::Alarm> alarm_;
};

// A stream that ends at once with an error.
template <class Response>
class FailedStream : public grpc::ServerWriteReactor<Response> {
 public:
  explicit FailedStream(const absl::Status& status) { this->Finish(ToGrpc(status)); }
  void OnDone() override { delete this; }
};

}  // namespace mead::service
