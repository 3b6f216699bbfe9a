#include "worker/train/comm/communicator.h"

#include <utility>

#include "worker/train/comm/gloo_communicator.h"
#include "worker/train/comm/nccl_communicator.h"
#include "worker/train/comm/shm_communicator.h"
#include "worker/train/comm/shm_meeting.h"
#include "worker/train/tensors.h"

namespace mead::train {
namespace {

// Has ended before it is waited for.
class Done : public Pending {
  void Wait() override {}
};

// A gang of one: every sum is its own part.
class SingleCommunicator : public Communicator {
 public:
  explicit SingleCommunicator(std::string device) : device_(std::move(device)) {}
  int rank() const override { return 0; }
  int world_size() const override { return 1; }
  const char* transport() const override { return "alone"; }
  std::unique_ptr<Pending> AllReduceSum(at::Tensor&) override { return std::make_unique<Done>(); }
  at::Tensor AllGather(const at::Tensor& tensor) override { return tensor.unsqueeze(0).clone(); }
  void Broadcast(at::Tensor&, int) override {}
  void Barrier() override {}
  bool capturable() const override { return true; }
  std::string device() const override { return device_; }

 private:
  std::string device_;
};

template <typename T>
std::vector<T> Sum(Communicator& communicator, std::vector<T> values, at::ScalarType type) {
  if (communicator.world_size() == 1 || values.empty()) return values;
  at::NoGradGuard no_grad;
  const at::Tensor host =
      at::from_blob(values.data(), {static_cast<int64_t>(values.size())}, at::dtype(type));
  at::Tensor tensor = host.to(at::Device(communicator.device()), type, /*non_blocking=*/false,
                              /*copy=*/true);
  communicator.AllReduceSum(tensor)->Wait();
  communicator.Drain();
  host.copy_(tensor);
  return values;
}

}  // namespace

at::Tensor Communicator::AllocateBuffer(int64_t elements, at::ScalarType type) {
  return at::zeros({elements}, at::dtype(type).device(at::Device(device())));
}

// Whose sums are there when they have been waited for has nobody to wait for afterwards.
std::unique_ptr<Pending> Communicator::Watch() { return std::make_unique<Done>(); }

std::vector<int64_t> Communicator::SumOverRanks(std::vector<int64_t> values) {
  return Sum(*this, std::move(values), at::kLong);
}

std::vector<double> Communicator::SumOverRanks(std::vector<double> values) {
  return Sum(*this, std::move(values), at::kDouble);
}

Transport TransportFromName(const std::string& name) {
  if (name == "auto") return Transport::kAuto;
  if (name == "gloo") return Transport::kGloo;
  if (name == "shm") return Transport::kShm;
  throw TrainError(ErrorKind::kUserError, "transport is auto, gloo or shm, got '" + name + "'");
}

std::shared_ptr<Communicator> MakeCommunicator(const CommunicatorOptions& options,
                                               std::shared_ptr<RendezvousStore> store) {
  if (options.world_size < 1 || options.rank < 0 || options.rank >= options.world_size) {
    throw TrainError(ErrorKind::kUserError, "rank " + std::to_string(options.rank) + " of " +
                                                std::to_string(options.world_size) +
                                                " is not a place in a gang");
  }
  if (options.world_size == 1) return std::make_shared<SingleCommunicator>(options.device);
  if (store == nullptr) {
    throw TrainError(ErrorKind::kUserError, "a gang of several ranks needs a rendezvous store");
  }
  if (options.device.starts_with("cuda")) return MakeNcclCommunicator(options, std::move(store));
  ShmMeeting meeting = MeetOnOneHost(options, *store);
  if (meeting.segment) return MakeShmCommunicator(options, std::move(meeting), std::move(store));
  if (options.transport == Transport::kShm) {
    throw TrainError(
        ErrorKind::kUserError,
        "shared memory was asked for, and the ranks cannot share any: " + meeting.why_not);
  }
  return MakeGlooCommunicator(options, std::move(store));
}

}  // namespace mead::train
