#include "worker/trainer/agent_link.h"

#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>
#include <unistd.h>

#include <chrono>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"

namespace mead::trainer {
namespace {

constexpr auto kConnectTimeout = std::chrono::seconds(10);

// Without destructors: other threads are in the midst of a step or a collective.
[[noreturn]] void EndWithAgent() { _exit(0); }

}  // namespace

absl::StatusOr<std::unique_ptr<AgentLink>> AgentLink::Connect(const std::string& socket, int slot,
                                                              const std::string& token) {
  const auto channel =
      grpc::CreateChannel(absl::StrCat("unix:", socket), grpc::InsecureChannelCredentials());
  if (!channel->WaitForConnected(std::chrono::system_clock::now() + kConnectTimeout)) {
    return absl::UnavailableError(absl::StrCat("no agent listens on ", socket));
  }
  std::unique_ptr<AgentLink> link(new AgentLink);
  link->stub_ = v1::TrainerService::NewStub(channel);
  link->stream_ = link->stub_->Attach(&link->context_);
  v1::AttachRequest hello;
  hello.mutable_hello()->set_slot(slot);
  hello.mutable_hello()->set_token(token);
  link->stream_->Write(hello);
  link->reader_ = std::jthread([raw = link.get()] { raw->Read(); });
  link->reporter_ = std::jthread([raw = link.get()] { raw->Report(); });
  return link;
}

void AgentLink::Read() {
  v1::AttachResponse message;
  while (stream_->Read(&message)) incoming_.Push(std::move(message));
  EndWithAgent();
}

void AgentLink::Report() {
  while (std::optional<v1::AttachRequest> message = outgoing_.Pop()) {
    if (!stream_->Write(*message)) EndWithAgent();
  }
}

v1::AttachResponse AgentLink::Next() {
  std::optional<v1::AttachResponse> message = incoming_.Pop();
  if (!message.has_value()) EndWithAgent();
  return *std::move(message);
}

void AgentLink::Send(v1::AttachRequest message) { outgoing_.Push(std::move(message)); }

void AgentLink::SendProgress(v1::Progress progress) {
  v1::AttachRequest message;
  *message.mutable_progress() = std::move(progress);
  outgoing_.TryPush(message);
}

}  // namespace mead::trainer
