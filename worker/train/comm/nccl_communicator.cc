#include "worker/train/comm/nccl_communicator.h"

#include "worker/train/comm/heartbeat.h"
#include "worker/train/comm/rendezvous.h"
#include "worker/train/comm/watchdog.h"
#include "worker/train/tensors.h"

#ifdef MEAD_HAVE_CUDA

#include <ATen/cuda/CUDAEvent.h>
#include <c10/cuda/CUDACachingAllocator.h>
#include <c10/cuda/CUDAGraphsC10Utils.h>
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
        heartbeat_(options, store),
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
    AwaitWatchfully("a collective", [&] { return last_.query(); });
  }

  bool capturable() const override { return true; }

  std::unique_ptr<Pending> Watch() override {
    heartbeat_.Begin();
    at::cuda::CUDAEvent event;
    event.record(c10::cuda::getCurrentCUDAStream(device_.index()));
    return std::make_unique<Watched>(*this, std::move(event));
  }

  // NCCL ends the kernels under way at once, and then waits until nobody holds a graph
  // with its collectives: the caller may have to unwind for that.
  void Abort() noexcept override {
    const std::lock_guard lock(mutex_);
    if (std::exchange(aborted_, true) || communicator_ == nullptr) return;
    aborting_ = std::jthread([communicator = communicator_] { ncclCommAbort(communicator); });
  }

 private:
  class NcclPending : public Pending {
   public:
    NcclPending(NcclCommunicator& owner, at::cuda::CUDAEvent done)
        : owner_(owner), done_(std::move(done)) {}
    void Wait() override {
      owner_.Check(owner_.State("an all-reduce"), "an all-reduce");
      done_.block(c10::cuda::getCurrentCUDAStream(owner_.device_.index()));
    }

   private:
    NcclCommunicator& owner_;
    at::cuda::CUDAEvent done_;
  };

  class Watched : public Pending {
   public:
    Watched(NcclCommunicator& owner, at::cuda::CUDAEvent passed)
        : owner_(owner), passed_(std::move(passed)) {}
    void Wait() override {
      owner_.AwaitWatchfully("a step", [&] { return passed_.query(); });
    }

   private:
    NcclCommunicator& owner_;
    at::cuda::CUDAEvent passed_;
  };

  // Runs a collective on the side stream after what the compute stream has
  // queued so far. Returns the event of its end.
  template <typename F>
  at::cuda::CUDAEvent Enqueue(const at::Tensor& tensor, const char* what, F&& collective) {
    const c10::cuda::CUDAGuard guard(device_);
    heartbeat_.Begin();
    at::cuda::CUDAEvent ready;
    ready.record(c10::cuda::getCurrentCUDAStream(device_.index()));
    ready.block(stream_);
    // The allocator must not give the memory away while the side stream uses it.
    c10::cuda::CUDACachingAllocator::recordStream(tensor.storage().data_ptr(), stream_);
    ncclResult_t result = ncclSuccess;
    {
      const std::lock_guard lock(mutex_);
      if (aborted_) Fail(what, "the communicator was aborted");
      result = collective();
    }
    Check(result, what);
    WaitForHost(what);
    // An event of a recording cannot be asked.
    if (c10::cuda::currentStreamCaptureStatusMayInitCtx() == c10::cuda::CaptureStatus::None) {
      last_.record(stream_);
    }
    at::cuda::CUDAEvent done;
    done.record(stream_);
    return done;
  }

  // A non-blocking communicator answers ncclInProgress until the host side of a
  // call is done.
  void WaitForHost(const char* what) {
    AwaitWatchfully(what, [&] { return State(what) != ncclInProgress; });
  }

  // Returns once passed() is true. Errors: kPeerLost, naming who is to blame.
  // error: of the transport, that is known already.
  template <typename F>
  void AwaitWatchfully(const char* what, F&& passed, const std::string& error = "") {
    Watchdog watchdog(timeout_, Clock::now());
    for (;;) {
      Watchdog::Sight sight{.passed = passed(), .error = error, .progress = heartbeat_.progress()};
      const ncclResult_t state = State(what);
      if (state != ncclSuccess && state != ncclInProgress) sight.error = ncclGetErrorString(state);
      const Watchdog::Verdict verdict = heartbeat_.Ask(
          [&](const Roster& roster) { return watchdog.Look(sight, roster, Clock::now()); });
      if (verdict.kind == Watchdog::Verdict::Kind::kDone) return;
      if (verdict.kind == Watchdog::Verdict::Kind::kLost) {
        heartbeat_.Accuse(verdict.rank);
        Abort();
        Fail(what, verdict.why);
      }
      std::this_thread::sleep_for(std::chrono::microseconds(20));
    }
  }

  // Errors: kPeerLost, if the communicator was aborted.
  ncclResult_t State(const char* what) {
    ncclResult_t state = ncclSuccess;
    const std::lock_guard lock(mutex_);
    if (aborted_) Fail(what, "the communicator was aborted");
    const ncclResult_t asked = ncclCommGetAsyncError(communicator_, &state);
    return asked == ncclSuccess ? state : asked;
  }

  // An error is thrown once it is known who is to blame, or soon.
  void Check(ncclResult_t result, const char* what) {
    if (result == ncclSuccess || result == ncclInProgress) return;
    AwaitWatchfully(
        what, [] { return false; }, ncclGetErrorString(result));
  }

  [[noreturn]] void Fail(const char* what, const std::string& why) {
    throw TrainError(ErrorKind::kPeerLost, "rank " + std::to_string(rank_) + " of " +
                                               std::to_string(world_size_) + ": " + what +
                                               " failed: " + why);
  }

  const int rank_;
  const int world_size_;
  const at::Device device_;
  const std::chrono::milliseconds timeout_;
  Heartbeat heartbeat_;
  const c10::cuda::CUDAStream stream_;
  at::cuda::CUDAEvent last_;           // the end of the newest collective
  std::mutex mutex_;                   // Abort() may come from another thread
  bool aborted_ = false;               // guarded by mutex_
  ncclComm_t communicator_ = nullptr;  // guarded by mutex_ once made
  std::jthread aborting_;              // set once, under mutex_
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
