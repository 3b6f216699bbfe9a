#include "coordinator/service/dataset_service.h"

#include <optional>
#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "common/grpc_status.h"
#include "common/status_util.h"
#include "coordinator/service/convert.h"
#include "coordinator/service/resolve.h"
#include "coordinator/service/rpc.h"

namespace mead::service {
namespace {

// Progress goes out as fast as the client takes it: what has not been sent when
// newer figures come is replaced by them.
class ImportReactor final : public grpc::ServerWriteReactor<v1::ImportDatasetResponse> {
 public:
  ImportReactor(DatasetRegistry& registry, const v1::ImportDatasetRequest& request)
      : registry_(registry), request_(request) {}

  // On the pool of long jobs.
  void Run() {
    const absl::StatusOr<std::string> manifest = registry_.Build(
        request_, [this](std::string_view phase, uint64_t done, uint64_t total) {
          v1::ImportDatasetResponse progress;
          progress.set_phase(std::string(phase));
          progress.set_done(done);
          progress.set_total(total);
          Offer(std::move(progress));
        });
    if (!manifest.ok()) {
      End(manifest.status());
      return;
    }
    registry_.Create(request_.name(), *manifest, [this](const absl::StatusOr<v1::Dataset>& made) {
      if (made.ok()) {
        v1::ImportDatasetResponse last;
        last.set_phase("done");
        *last.mutable_dataset() = *made;
        Offer(std::move(last));
      }
      End(made.status());
    });
  }

  void OnWriteDone(bool) override {
    {
      absl::MutexLock lock(&mu_);
      writing_ = false;
    }
    Pump();
  }
  void OnDone() override { delete this; }

 private:
  void Offer(v1::ImportDatasetResponse message) {
    {
      absl::MutexLock lock(&mu_);
      waiting_ = std::move(message);
    }
    Pump();
  }

  void End(absl::Status status) {
    {
      absl::MutexLock lock(&mu_);
      ending_ = std::move(status);
    }
    Pump();
  }

  void Pump() {
    std::optional<absl::Status> finish;
    bool write = false;
    {
      absl::MutexLock lock(&mu_);
      if (writing_) return;
      if (waiting_) {
        sending_ = *std::move(waiting_);
        waiting_.reset();
        writing_ = write = true;
      } else if (ending_) {
        finish = std::exchange(ending_, std::nullopt);
      }
    }
    if (write) {
      StartWrite(&sending_);
    } else if (finish) {
      Finish(ToGrpc(*finish));
    }
  }

  DatasetRegistry& registry_;
  const v1::ImportDatasetRequest request_;
  v1::ImportDatasetResponse sending_;

  absl::Mutex mu_;
  bool writing_ ABSL_GUARDED_BY(mu_) = false;
  std::optional<v1::ImportDatasetResponse> waiting_ ABSL_GUARDED_BY(mu_);
  std::optional<absl::Status> ending_ ABSL_GUARDED_BY(mu_);
};

// An unfinished sweep that trains on the data set, if there is one.
const core::Sweep* UserOf(const core::ClusterState& state, const std::string& dataset) {
  for (const auto& [id, sweep] : state.sweeps) {
    if (sweep.spec.dataset == dataset && !HasEnded(sweep.state)) return &sweep;
  }
  return nullptr;
}

}  // namespace

grpc::ServerUnaryReactor* DatasetServiceImpl::CreateDataset(
    grpc::CallbackServerContext* call, const v1::CreateDatasetRequest* request,
    v1::CreateDatasetResponse* response) {
  grpc::ServerUnaryReactor* reactor = call->DefaultReactor();
  context_.io.Run([this, reactor, request, response] {
    registry_.Create(request->name(), request->manifest_digest(),
                     [reactor, response](const absl::StatusOr<v1::Dataset>& made) {
                       if (made.ok()) *response->mutable_dataset() = *made;
                       reactor->Finish(ToGrpc(made.status()));
                     });
  });
  return reactor;
}

grpc::ServerWriteReactor<v1::ImportDatasetResponse>* DatasetServiceImpl::ImportDataset(
    grpc::CallbackServerContext*, const v1::ImportDatasetRequest* request) {
  auto* reactor = new ImportReactor(registry_, *request);
  long_jobs_.Run([reactor] { reactor->Run(); });
  return reactor;
}

grpc::ServerUnaryReactor* DatasetServiceImpl::ListDatasets(grpc::CallbackServerContext* call,
                                                           const v1::ListDatasetsRequest*,
                                                           v1::ListDatasetsResponse* response) {
  return Answer(call, context_.io, response, [this] {
    return absl::StatusOr<v1::ListDatasetsResponse>(queries_.ListDatasets());
  });
}

grpc::ServerUnaryReactor* DatasetServiceImpl::GetDataset(grpc::CallbackServerContext* call,
                                                         const v1::GetDatasetRequest* request,
                                                         v1::GetDatasetResponse* response) {
  return Answer(call, context_.io, response,
                [this, request] { return queries_.GetDataset(request->name()); });
}

grpc::ServerUnaryReactor* DatasetServiceImpl::VerifyDataset(
    grpc::CallbackServerContext* call, const v1::VerifyDatasetRequest* request,
    v1::VerifyDatasetResponse* response) {
  return Answer(call, long_jobs_, response, [this, call, request] {
    return registry_.Verify(request->name(), [call] { return call->IsCancelled(); });
  });
}

grpc::ServerUnaryReactor* DatasetServiceImpl::DeleteDataset(
    grpc::CallbackServerContext* call, const v1::DeleteDatasetRequest* request,
    v1::DeleteDatasetResponse*) {
  grpc::ServerUnaryReactor* reactor = call->DefaultReactor();
  const auto state = context_.engine.snapshot();
  const absl::StatusOr<const core::Dataset*> dataset = FindDataset(*state, request->name());
  if (!dataset.ok()) {
    reactor->Finish(ToGrpc(dataset.status()));
    return reactor;
  }
  context_.engine.Post(
      core::DatasetDeleted{(*dataset)->name},
      [this, reactor, name = (*dataset)->name, manifest = (*dataset)->manifest_digest](
          const absl::Status& status, const core::ClusterState& now) {
        if (!status.ok()) {
          reactor->Finish(ToGrpc(status));
        } else if (const core::Sweep* user = UserOf(now, name);
                   now.datasets.contains(name) && user != nullptr) {
          reactor->Finish({grpc::StatusCode::FAILED_PRECONDITION,
                           absl::StrCat("sweep ", user->id, " still trains on data set '", name,
                                        "'; wait for it, or stop it with 'mead stop ", user->id,
                                        "'")});
        } else {
          context_.io.Run([this, manifest] { registry_.RemoveFiles(manifest); });
          reactor->Finish(grpc::Status::OK);
        }
      });
  return reactor;
}

}  // namespace mead::service
