#include "tests/unit/agent/fake_coordinator.h"

#include <grpcpp/security/server_credentials.h>
#include <grpcpp/server_builder.h>

#include <algorithm>
#include <chrono>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/sha256.h"

namespace mead::agent {

// One open stream. The synchronous API writes from any one thread at a time.
struct FakeCoordinator::Session {
  grpc::ServerContext* context;
  grpc::ServerReaderWriter<v1::SessionResponse, v1::SessionRequest>* stream;
  absl::Mutex write_mutex;
  void Write(const v1::SessionResponse& response) {
    absl::MutexLock lock(&write_mutex);
    stream->Write(response);
  }
};

class FakeCoordinator::Workers : public v1::WorkerService::Service {
 public:
  explicit Workers(FakeCoordinator& owner) : owner_(owner) {}

  grpc::Status Session(
      grpc::ServerContext* context,
      grpc::ServerReaderWriter<v1::SessionResponse, v1::SessionRequest>* stream) override {
    FakeCoordinator::Session session{context, stream, {}};
    v1::SessionRequest request;
    if (!stream->Read(&request) || !request.has_register_()) {
      return {grpc::StatusCode::INVALID_ARGUMENT, "no registration"};
    }
    v1::SessionResponse response;
    {
      absl::MutexLock lock(&owner_.mutex_);
      if (!owner_.refusal_.ok()) return owner_.refusal_;
      owner_.registrations_.push_back(request.register_());
      owner_.incarnations_.push_back(request.incarnation());
      v1::Registered& registered = *response.mutable_registered();
      registered.set_incarnation(7);
      registered.mutable_heartbeat_interval()->set_nanos(50'000'000);
      registered.set_acked_sequence(owner_.acked_sequence_);
      for (const v1::Member& member : owner_.stale_) *registered.add_stale_members() = member;
      owner_.stale_.clear();
    }
    session.Write(response);
    {
      absl::MutexLock lock(&owner_.mutex_);
      owner_.session_ = &session;
      owner_.changed_.SignalAll();
    }
    while (stream->Read(&request)) {
      bool acknowledge = false;
      {
        absl::MutexLock lock(&owner_.mutex_);
        if (request.has_heartbeat()) ++owner_.heartbeats_;
        if (request.heartbeat().draining()) owner_.draining_ = true;
        if (request.has_report()) {
          owner_.reports_.push_back(request.report());
          acknowledge = owner_.acknowledging_ && request.report().sequence() > 0;
          if (acknowledge) owner_.acked_sequence_ = request.report().sequence();
        }
        owner_.changed_.SignalAll();
      }
      if (acknowledge) {
        response.mutable_ack()->set_sequence(request.report().sequence());
        session.Write(response);
      }
    }
    absl::MutexLock lock(&owner_.mutex_);
    if (owner_.session_ == &session) owner_.session_ = nullptr;
    owner_.changed_.SignalAll();
    return grpc::Status::OK;
  }

 private:
  FakeCoordinator& owner_;
};

class FakeCoordinator::Artifacts : public v1::ArtifactService::Service {
 public:
  explicit Artifacts(FakeCoordinator& owner) : owner_(owner) {}

  grpc::Status StatArtifact(grpc::ServerContext*, const v1::StatArtifactRequest* request,
                            v1::StatArtifactResponse* response) override {
    response->set_complete(owner_.HasArtifact(request->digest()));
    return grpc::Status::OK;
  }

  grpc::Status UploadArtifact(grpc::ServerContext*,
                              grpc::ServerReader<v1::UploadArtifactRequest>* reader,
                              v1::UploadArtifactResponse*) override {
    std::string digest;
    std::string content;
    v1::UploadArtifactRequest request;
    while (reader->Read(&request)) {
      if (!request.digest().empty()) digest = request.digest();
      content += request.data();
    }
    if (DigestOf(content) != digest) return {grpc::StatusCode::DATA_LOSS, "another digest"};
    owner_.Put(content);
    return grpc::Status::OK;
  }

  grpc::Status DownloadArtifact(grpc::ServerContext*, const v1::DownloadArtifactRequest* request,
                                grpc::ServerWriter<v1::DownloadArtifactResponse>* writer) override {
    std::string content;
    {
      absl::MutexLock lock(&owner_.mutex_);
      const auto it = owner_.artifacts_.find(request->digest());
      if (it == owner_.artifacts_.end()) return {grpc::StatusCode::NOT_FOUND, request->digest()};
      content = it->second;
    }
    v1::DownloadArtifactResponse response;
    response.set_offset(request->offset());
    response.set_size_bytes(content.size());
    response.set_data(content.substr(request->offset()));
    writer->Write(response);
    return grpc::Status::OK;
  }

 private:
  FakeCoordinator& owner_;
};

FakeCoordinator::FakeCoordinator(int port)
    : workers_(std::make_unique<Workers>(*this)),
      artifact_service_(std::make_unique<Artifacts>(*this)) {
  grpc::ServerBuilder builder;
  builder.AddListeningPort(absl::StrCat("127.0.0.1:", port), grpc::InsecureServerCredentials(),
                           &port_);
  builder.RegisterService(workers_.get());
  builder.RegisterService(artifact_service_.get());
  server_ = builder.BuildAndStart();
}

FakeCoordinator::~FakeCoordinator() {
  server_->Shutdown(std::chrono::system_clock::now());
  server_->Wait();
}

std::string FakeCoordinator::address() const { return absl::StrCat("127.0.0.1:", port_); }

std::string FakeCoordinator::Put(const std::string& content) {
  const std::string digest = DigestOf(content);
  absl::MutexLock lock(&mutex_);
  artifacts_[digest] = content;
  return digest;
}

bool FakeCoordinator::HasArtifact(const std::string& digest) const {
  absl::MutexLock lock(&mutex_);
  return artifacts_.count(digest) > 0;
}

void FakeCoordinator::RefuseWith(const grpc::Status& status) {
  absl::MutexLock lock(&mutex_);
  refusal_ = status;
}

void FakeCoordinator::SetAckedSequence(uint64_t sequence) {
  absl::MutexLock lock(&mutex_);
  acked_sequence_ = sequence;
}

void FakeCoordinator::AddStaleMember(const v1::Member& member) {
  absl::MutexLock lock(&mutex_);
  stale_.push_back(member);
}

void FakeCoordinator::SetAcknowledging(bool acknowledging) {
  absl::MutexLock lock(&mutex_);
  acknowledging_ = acknowledging;
}

bool FakeCoordinator::AwaitLocked(const std::function<bool()>& condition) const {
  const absl::Time deadline = absl::Now() + absl::Seconds(20);
  while (!condition()) {
    if (changed_.WaitWithDeadline(&mutex_, deadline)) return condition();
  }
  return true;
}

void FakeCoordinator::Send(const v1::SessionResponse& response) {
  absl::MutexLock lock(&mutex_);
  if (AwaitLocked([this] { return session_ != nullptr; })) session_->Write(response);
}

void FakeCoordinator::BreakSession() {
  absl::MutexLock lock(&mutex_);
  if (!AwaitLocked([this] { return session_ != nullptr; })) return;
  const Session* const broken = session_;
  session_->context->TryCancel();
  AwaitLocked([&] { return session_ != broken; });
}

bool FakeCoordinator::WaitForReports(const std::function<bool(const Reports&)>& predicate) {
  absl::MutexLock lock(&mutex_);
  return AwaitLocked([&] { return predicate(reports_); });
}

FakeCoordinator::Reports FakeCoordinator::reports() const {
  absl::MutexLock lock(&mutex_);
  return reports_;
}

std::vector<v1::RegisterWorker> FakeCoordinator::WaitForRegistrations(size_t count) {
  absl::MutexLock lock(&mutex_);
  AwaitLocked([&] { return registrations_.size() >= count; });
  return registrations_;
}

std::vector<uint64_t> FakeCoordinator::registration_incarnations() const {
  absl::MutexLock lock(&mutex_);
  return incarnations_;
}

bool FakeCoordinator::draining() const {
  absl::MutexLock lock(&mutex_);
  return draining_;
}

int FakeCoordinator::heartbeats() const {
  absl::MutexLock lock(&mutex_);
  return heartbeats_;
}

}  // namespace mead::agent
