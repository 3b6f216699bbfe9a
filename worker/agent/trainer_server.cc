#include "worker/agent/trainer_server.h"

#include <grpcpp/security/server_credentials.h>
#include <grpcpp/server_builder.h>
#include <sys/stat.h>

#include <chrono>
#include <deque>
#include <map>
#include <set>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"

namespace mead::agent {
namespace {
class Stream;
}  // namespace

class TrainerServer::Service : public v1::TrainerService::CallbackService {
 public:
  explicit Service(Handlers handlers) : handlers_(std::move(handlers)) {}

  grpc::ServerBidiReactor<v1::AttachRequest, v1::AttachResponse>* Attach(
      grpc::CallbackServerContext* context) override;

  void Expect(const std::string& token) {
    absl::MutexLock lock(&mutex_);
    expected_.insert(token);
  }
  void Forget(const std::string& token) {
    absl::MutexLock lock(&mutex_);
    expected_.erase(token);
  }
  void Send(const std::string& token, v1::AttachResponse response);
  // Takes the stream in when its token is expected and not attached already.
  bool Admit(const std::string& token, const std::shared_ptr<Stream>& stream);
  void Remove(const std::string& token);
  const Handlers& handlers() const { return handlers_; }

 private:
  const Handlers handlers_;
  absl::Mutex mutex_;
  std::set<std::string> expected_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, std::shared_ptr<Stream>> streams_ ABSL_GUARDED_BY(mutex_);
};

namespace {

// One trainer's stream. It holds itself until gRPC is done with it.
class Stream : public grpc::ServerBidiReactor<v1::AttachRequest, v1::AttachResponse>,
               public std::enable_shared_from_this<Stream> {
 public:
  explicit Stream(TrainerServer::Service& service) : service_(service) {}

  void Begin() {
    self_ = shared_from_this();
    StartRead(&request_);
  }

  void Send(v1::AttachResponse response) {
    absl::MutexLock lock(&mutex_);
    if (finished_) return;
    outgoing_.push_back(std::move(response));
    if (outgoing_.size() == 1) StartWrite(&outgoing_.front());
  }

  void OnReadDone(bool ok) override {
    if (!ok) return FinishOnce(grpc::Status::OK);
    if (token_.empty()) {
      if (!request_.has_hello() || request_.hello().token().empty() ||
          !service_.Admit(request_.hello().token(), shared_from_this())) {
        return FinishOnce(
            {grpc::StatusCode::PERMISSION_DENIED, "not a process that this agent started"});
      }
      token_ = request_.hello().token();
    }
    service_.handlers().on_message(token_, std::exchange(request_, {}),
                                   [self = shared_from_this()] { self->ReadNext(); });
  }

  void OnWriteDone(bool ok) override {
    if (!ok) return FinishOnce(grpc::Status::OK);
    absl::MutexLock lock(&mutex_);
    outgoing_.pop_front();
    if (!finished_ && !outgoing_.empty()) StartWrite(&outgoing_.front());
  }

  void OnCancel() override { FinishOnce(grpc::Status::CANCELLED); }

  void OnDone() override {
    if (!token_.empty()) {
      service_.Remove(token_);
      service_.handlers().on_closed(token_);
    }
    const std::shared_ptr<Stream> last = std::move(self_);  // may destroy this
  }

 private:
  void ReadNext() {
    absl::MutexLock lock(&mutex_);
    if (!finished_) StartRead(&request_);
  }

  void FinishOnce(const grpc::Status& status) {
    absl::MutexLock lock(&mutex_);
    if (std::exchange(finished_, true)) return;
    Finish(status);
  }

  TrainerServer::Service& service_;
  std::shared_ptr<Stream> self_;
  std::string token_;
  v1::AttachRequest request_;
  absl::Mutex mutex_;
  bool finished_ ABSL_GUARDED_BY(mutex_) = false;
  std::deque<v1::AttachResponse> outgoing_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace

grpc::ServerBidiReactor<v1::AttachRequest, v1::AttachResponse>* TrainerServer::Service::Attach(
    grpc::CallbackServerContext*) {
  const auto stream = std::make_shared<Stream>(*this);
  stream->Begin();
  return stream.get();
}

void TrainerServer::Service::Send(const std::string& token, v1::AttachResponse response) {
  std::shared_ptr<Stream> stream;
  {
    absl::MutexLock lock(&mutex_);
    const auto it = streams_.find(token);
    if (it == streams_.end()) return;
    stream = it->second;
  }
  stream->Send(std::move(response));
}

bool TrainerServer::Service::Admit(const std::string& token,
                                   const std::shared_ptr<Stream>& stream) {
  absl::MutexLock lock(&mutex_);
  return expected_.count(token) > 0 && streams_.emplace(token, stream).second;
}

void TrainerServer::Service::Remove(const std::string& token) {
  absl::MutexLock lock(&mutex_);
  streams_.erase(token);
}

absl::StatusOr<std::unique_ptr<TrainerServer>> TrainerServer::Create(
    const std::filesystem::path& socket, Handlers handlers) {
  if (socket.native().size() > 107) {
    return absl::InvalidArgumentError(
        absl::StrCat("the path of a Unix socket may have 107 bytes: ", socket.string()));
  }
  std::error_code ignored;
  std::filesystem::remove(socket, ignored);
  auto service = std::make_unique<Service>(std::move(handlers));
  grpc::ServerBuilder builder;
  builder.AddListeningPort("unix:" + socket.string(), grpc::InsecureServerCredentials());
  builder.RegisterService(service.get());
  std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
  if (server == nullptr) {
    return absl::UnavailableError(absl::StrCat("cannot listen on ", socket.string()));
  }
  chmod(socket.c_str(), 0600);
  return std::unique_ptr<TrainerServer>(new TrainerServer(std::move(service), std::move(server)));
}

TrainerServer::TrainerServer(std::unique_ptr<Service> service, std::unique_ptr<grpc::Server> server)
    : service_(std::move(service)), server_(std::move(server)) {}

TrainerServer::~TrainerServer() {
  server_->Shutdown(std::chrono::system_clock::now() + std::chrono::milliseconds(200));
  server_->Wait();
}

void TrainerServer::Expect(const std::string& token) { service_->Expect(token); }
void TrainerServer::Forget(const std::string& token) { service_->Forget(token); }
void TrainerServer::Send(const std::string& token, v1::AttachResponse response) {
  service_->Send(token, std::move(response));
}

}  // namespace mead::agent
