#include "worker/train/comm/nccl_communicator.h"

#include "worker/train/comm/rendezvous.h"
#include "worker/train/tensors.h"

#ifdef MEAD_HAVE_CUDA

#include <ATen/cuda/CUDAEvent.h>
#include <c10/cuda/CUDACachingAllocator.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>
#include <nccl.h>

#include <mutex>
#include <thread>
#include <utility>

namespace mead::train {
namespace {

using Clock = std::chrono::steady_clock;

ncclDataType_t NcclType(at::ScalarType type) {
  switch (type) {
    case at::kFloat:
      return ncclFloat32;
    case at::kBFloat16:
      return ncclBfloat16;
    case at::kHalf:
      return ncclFloat16;
    case at::kDouble:
      return ncclFloat64;
    case at::kLong:
      return ncclInt64;
    case at::kInt:
      return ncclInt32;
    case at::kByte:
      return ncclUint8;
    default:
      throw TrainError(ErrorKind::kInternal,
                       std::string("NCCL cannot carry tensors of ") + at::toString(type));
  }
}

class NcclCommunicator : public Communicator {
 public:
  NcclCommunicator(const CommunicatorOptions& options, RendezvousStore& store)
      : rank_(options.rank),
        world_size_(options.world_size),
        device_(options.device),
        timeout_(options.timeout),
        stream_(c10::cuda::getStreamFromPool(/*isHighPriority=*/true, device_.index())) {
    const c10::cuda::CUDAGuard guard(device_);
    ncclUniqueId id;
    if (rank_ == 0) {
      Check(ncclGetUniqueId(&id), "making the unique id");
      store.Set("nccl/id", std::string_view(id.internal, sizeof(id.internal)));
    } else {
      const std::string bytes = store.Get("nccl/id");
      if (bytes.size() != sizeof(id.internal)) Fail("reading the unique id", "wrong length");
      bytes.copy(id.internal, bytes.size());
    }
    ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
    config.blocking = 0;  // so that a rank that never comes is a timeout, not a hang
    Check(ncclCommInitRankConfig(&communicator_, world_size_, id, rank_, &config), "connecting");
    WaitForHost("connecting");
  }

  ~NcclCommunicator() override { Abort(); }

  int rank() const override { return rank_; }
  int world_size() const override { return world_size_; }
  const char* transport() const override { return "nccl"; }
  std::string device() const override { return device_.str(); }

  std::unique_ptr<Pending> AllReduceSum(at::Tensor& tensor) override {
    return std::make_unique<NcclPending>(*this, Enqueue(tensor, "an all-reduce", [&] {
      return ncclAllReduce(tensor.data_ptr(), tensor.data_ptr(),
                           static_cast<size_t>(tensor.numel()), NcclType(tensor.scalar_type()),
                           ncclSum, communicator_, stream_.stream());
    }));
  }

  at::Tensor AllGather(const at::Tensor& tensor) override {
    std::vector<int64_t> shape = tensor.sizes().vec();
    shape.insert(shape.begin(), world_size_);
    at::Tensor all = at::empty(shape, tensor.options());  // [world_size, ...]
    const at::Tensor mine = tensor.contiguous();
    c10::cuda::CUDACachingAllocator::recordStream(all.storage().data_ptr(), stream_);
    Enqueue(mine, "a gather", [&] {
      return ncclAllGather(mine.const_data_ptr(), all.data_ptr(), static_cast<size_t>(mine.numel()),
                           NcclType(mine.scalar_type()), communicator_, stream_.stream());
    }).block(c10::cuda::getCurrentCUDAStream(device_.index()));
    Drain();
    return all;
  }

  void Broadcast(at::Tensor& tensor, int root) override {
    Enqueue(tensor, "a broadcast", [&] {
      return ncclBroadcast(tensor.data_ptr(), tensor.data_ptr(),
                           static_cast<size_t>(tensor.numel()), NcclType(tensor.scalar_type()),
                           root, communicator_, stream_.stream());
    }).block(c10::cuda::getCurrentCUDAStream(device_.index()));
    Drain();
  }

  void Barrier() override { SumOverRanks(std::vector<int64_t>{1}); }

  void Drain() override {
    const auto deadline = Clock::now() + timeout_;
    while (!last_.query()) {
      CheckAsyncError("a collective");
      if (Clock::now() > deadline) FailAndAbort("a collective", "timed out");
      std::this_thread::sleep_for(std::chrono::microseconds(20));
    }
    CheckAsyncError("a collective");
  }

  void Abort() noexcept override {
    const std::lock_guard lock(mutex_);
    if (std::exchange(aborted_, true) || communicator_ == nullptr) return;
    ncclCommAbort(communicator_);
  }

 private:
  class NcclPending : public Pending {
   public:
    NcclPending(NcclCommunicator& owner, at::cuda::CUDAEvent done)
        : owner_(owner), done_(std::move(done)) {}
    void Wait() override {
      owner_.CheckAsyncError("an all-reduce");
      done_.block(c10::cuda::getCurrentCUDAStream(owner_.device_.index()));
    }

   private:
    NcclCommunicator& owner_;
    at::cuda::CUDAEvent done_;
  };

  // Runs a collective on the side stream after what the compute stream has
  // queued so far. Returns the event of its end.
  template <typename F>
  at::cuda::CUDAEvent Enqueue(const at::Tensor& tensor, const char* what, F&& collective) {
    const c10::cuda::CUDAGuard guard(device_);
    at::cuda::CUDAEvent ready;
    ready.record(c10::cuda::getCurrentCUDAStream(device_.index()));
    ready.block(stream_);
    // The allocator must not give the memory away while the side stream uses it.
    c10::cuda::CUDACachingAllocator::recordStream(tensor.storage().data_ptr(), stream_);
    {
      const std::lock_guard lock(mutex_);
      if (aborted_) Fail(what, "the communicator was aborted");
      Check(collective(), what);
    }
    WaitForHost(what);
    last_.record(stream_);
    at::cuda::CUDAEvent done;
    done.record(stream_);
    return done;
  }

  // A non-blocking communicator answers ncclInProgress until the host side of a
  // call is done.
  void WaitForHost(const char* what) {
    const auto deadline = Clock::now() + timeout_;
    while (CheckAsyncError(what) == ncclInProgress) {
      if (Clock::now() > deadline) FailAndAbort(what, "timed out");
      std::this_thread::sleep_for(std::chrono::microseconds(50));
    }
  }

  ncclResult_t CheckAsyncError(const char* what) {
    ncclResult_t state = ncclSuccess;
    {
      const std::lock_guard lock(mutex_);
      if (aborted_) Fail(what, "the communicator was aborted");
      Check(ncclCommGetAsyncError(communicator_, &state), what);
    }
    if (state != ncclSuccess && state != ncclInProgress) {
      FailAndAbort(what, ncclGetErrorString(state));
    }
    return state;
  }

  void Check(ncclResult_t result, const char* what) {
    if (result != ncclSuccess && result != ncclInProgress) Fail(what, ncclGetErrorString(result));
  }

  [[noreturn]] void Fail(const char* what, const std::string& why) {
    throw TrainError(ErrorKind::kPeerLost, "rank " + std::to_string(rank_) + " of " +
                                               std::to_string(world_size_) + ": " + what +
                                               " failed: " + why);
  }

  [[noreturn]] void FailAndAbort(const char* what, const std::string& why) {
    Abort();
    Fail(what, why);
  }

  const int rank_;
  const int world_size_;
  const at::Device device_;
  const std::chrono::milliseconds timeout_;
  const c10::cuda::CUDAStream stream_;
  at::cuda::CUDAEvent last_;           // the end of the newest collective
  std::mutex mutex_;                   // Abort() may come from another thread
  bool aborted_ = false;               // guarded by mutex_
  ncclComm_t communicator_ = nullptr;  // guarded by mutex_ once made
};

}  // namespace

std::shared_ptr<Communicator> MakeNcclCommunicator(const CommunicatorOptions& options,
                                                   std::shared_ptr<RendezvousStore> store) {
  return Translated("starting NCCL",
                    [&] { return std::make_shared<NcclCommunicator>(options, *store); });
}

}  // namespace mead::train

#else

namespace mead::train {

std::shared_ptr<Communicator> MakeNcclCommunicator(const CommunicatorOptions& options,
                                                   std::shared_ptr<RendezvousStore>) {
  throw TrainError(ErrorKind::kUserError, "this build has no CUDA (MEAD_CUDA=OFF) and device '" +
                                              options.device + "' was asked for");
}

}  // namespace mead::train

#endif
