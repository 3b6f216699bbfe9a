#include "worker/train/comm/gloo_communicator.h"

#ifdef MEAD_HAVE_GLOO

#include <gloo/context.h>

#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>
#include <utility>

#include "worker/train/comm/rendezvous_impl.h"
#include "worker/train/tensors.h"

namespace mead::train {
namespace {

// Gives Abort() a way to the connections, which the base class keeps to itself.
class AbortableGloo : public c10d::ProcessGroupGloo {
 public:
  using ProcessGroupGloo::ProcessGroupGloo;

  void CloseConnections() {
    for (const auto& context : contexts_) context->closeConnections();
  }
};

class GlooCommunicator : public Communicator {
 public:
  GlooCommunicator(const CommunicatorOptions& options, std::shared_ptr<RendezvousStore> store)
      : rank_(options.rank), world_size_(options.world_size), store_(std::move(store)) {
    auto gloo = c10d::ProcessGroupGloo::Options::create(options.timeout);
    try {
      gloo->devices.push_back(c10d::ProcessGroupGloo::createDeviceForHostname(options.host));
    } catch (const std::exception& error) {
      throw TrainError(ErrorKind::kUserError,
                       "cannot use '" + options.host + "' for this rank's connections: " +
                           FirstLine(error.what()) + "; start the worker with --address");
    }
    Calling("connecting to the other ranks", [&] {
      group_ = c10::make_intrusive<AbortableGloo>(store_->impl().store, rank_, world_size_, gloo);
    });
  }

  int rank() const override { return rank_; }
  int world_size() const override { return world_size_; }

  const char* transport() const override { return "gloo"; }

  std::unique_ptr<Pending> AllReduceSum(at::Tensor& tensor) override {
    std::vector<at::Tensor> tensors = {tensor};
    return Calling("an all-reduce", [&] {
      return std::make_unique<GlooPending>(*this, group_->allreduce(tensors));
    });
  }

  at::Tensor AllGather(const at::Tensor& tensor) override {
    std::vector<int64_t> shape = tensor.sizes().vec();
    shape.insert(shape.begin(), world_size_);
    at::Tensor all = at::empty(shape, tensor.options());  // [world_size, ...]
    std::vector<at::Tensor> inputs = {tensor.contiguous()};
    std::vector<std::vector<at::Tensor>> outputs = {all.unbind(0)};
    Calling("a gather", [&] { group_->allgather(outputs, inputs)->wait(); });
    return all;
  }

  void Broadcast(at::Tensor& tensor, int root) override {
    std::vector<at::Tensor> tensors = {tensor};
    c10d::BroadcastOptions options;
    options.rootRank = root;
    Calling("a broadcast", [&] { group_->broadcast(tensors, options)->wait(); });
  }

  void Barrier() override {
    Calling("a barrier", [&] { group_->barrier()->wait(); });
  }

  void Abort() noexcept override {
    try {
      group_->CloseConnections();
    } catch (const std::exception&) {
      // The connections are broken already, which is what was wanted.
    }
  }

 private:
  class GlooPending : public Pending {
   public:
    GlooPending(GlooCommunicator& owner, c10::intrusive_ptr<c10d::Work> work)
        : owner_(owner), work_(std::move(work)) {}
    void Wait() override {
      owner_.Calling("an all-reduce", [&] { work_->wait(); });
    }

   private:
    GlooCommunicator& owner_;
    c10::intrusive_ptr<c10d::Work> work_;
  };

  // Whatever a collective throws, the gang has lost one of its ranks.
  template <typename F>
  auto Calling(const char* what, F&& f) -> decltype(f()) {
    try {
      return f();
    } catch (const std::exception& error) {
      throw TrainError(ErrorKind::kPeerLost, "rank " + std::to_string(rank_) + " of " +
                                                 std::to_string(world_size_) + ": " + what +
                                                 " failed: " + FirstLine(error.what()));
    }
  }

  const int rank_;
  const int world_size_;
  const std::shared_ptr<RendezvousStore> store_;
  c10::intrusive_ptr<AbortableGloo> group_;
};

}  // namespace

std::shared_ptr<Communicator> MakeGlooCommunicator(const CommunicatorOptions& options,
                                                   std::shared_ptr<RendezvousStore> store) {
  return std::make_shared<GlooCommunicator>(options, std::move(store));
}

}  // namespace mead::train

#else

#include "worker/train/errors.h"

namespace mead::train {

std::shared_ptr<Communicator> MakeGlooCommunicator(const CommunicatorOptions&,
                                                   std::shared_ptr<RendezvousStore>) {
  throw TrainError(ErrorKind::kUserError,
                   "this build has no Gloo (libgloo-dev was not there), so ranks without GPUs "
                   "cannot meet over TCP");
}

}  // namespace mead::train

#endif
