#include "worker/train/comm/shm_communicator.h"

#include <poll.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "worker/train/comm/shm_memory.h"
#include "worker/train/tensors.h"

namespace mead::train {
namespace {

ShmType TypeOf(const at::Tensor& tensor) {
  switch (tensor.scalar_type()) {
    case at::kFloat:
      return ShmType::kFloat32;
    case at::kDouble:
      return ShmType::kFloat64;
    case at::kBFloat16:
      return ShmType::kBfloat16;
    case at::kLong:
      return ShmType::kInt64;
    default:
      throw TrainError(ErrorKind::kInternal, std::string("shared memory cannot sum tensors of ") +
                                                 at::toString(tensor.scalar_type()));
  }
}

std::byte* BytesOf(const at::Tensor& tensor) {
  if (!tensor.is_cpu() || !tensor.is_non_overlapping_and_dense()) {
    throw TrainError(ErrorKind::kInternal, "a collective needs a dense tensor on the CPU");
  }
  return static_cast<std::byte*>(tensor.data_ptr());
}

// "rank 1", "rank 1 and rank 3", ...
std::string Listed(const std::vector<int>& ranks) {
  std::string text;
  for (size_t i = 0; i < ranks.size(); ++i) {
    if (i > 0) text += i + 1 == ranks.size() ? " and " : ", ";
    text += "rank " + std::to_string(ranks[i]);
  }
  return text;
}

class ShmCommunicator : public Communicator {
 public:
  ShmCommunicator(const CommunicatorOptions& options, ShmMeeting meeting,
                  std::shared_ptr<RendezvousStore> store)
      : rank_(options.rank),
        world_size_(options.world_size),
        timeout_(options.timeout),
        store_(std::move(store)),
        memory_(std::make_shared<ShmMemory>(std::move(meeting.segment), options.rank)),
        segment_(memory_->segment()),
        links_(std::move(meeting.links)),
        summing_([this] { TakePart(); }),
        watching_([this] { WatchLinks(); }) {}

  ~ShmCommunicator() override {
    // Ends both threads. What has ended stays so for the others, too.
    segment_.Break({.kind = ShmFault::Kind::kLeft, .rank = Short(rank_)});
    for (const ShmMeeting::Link& link : links_) shutdown(link.socket.get(), SHUT_RDWR);
  }

  int rank() const override { return rank_; }
  int world_size() const override { return world_size_; }
  const char* transport() const override { return "shm"; }

  std::unique_ptr<Pending> AllReduceSum(at::Tensor& tensor) override {
    const auto bytes = static_cast<uint64_t>(tensor.nbytes());
    std::byte* const data = BytesOf(tensor);
    ShmPost post{.kind = ShmKind::kSum, .type = TypeOf(tensor), .size = tensor.numel()};
    ShmBlock staging = Stage(data, bytes, post);
    const uint64_t n = Post(post, {});
    return std::make_unique<Sum>(*this, n, tensor, std::move(staging));
  }

  at::Tensor AllGather(const at::Tensor& tensor) override {
    std::vector<int64_t> shape = tensor.sizes().vec();
    shape.insert(shape.begin(), world_size_);
    at::Tensor all = at::empty(shape, tensor.options());  // [world_size, ...]
    const at::Tensor mine = tensor.contiguous();
    ShmPost post{.kind = ShmKind::kGather, .size = static_cast<int64_t>(mine.nbytes())};
    ShmBlock staging = Stage(BytesOf(mine), mine.nbytes(), post);
    Run(post, {.result = all, .staging = std::move(staging)});
    return all;
  }

  void Broadcast(at::Tensor& tensor, int root) override {
    std::byte* const data = BytesOf(tensor);
    ShmPost post{
        .kind = ShmKind::kBroadcast, .root = root, .size = static_cast<int64_t>(tensor.nbytes())};
    ShmBlock staging;
    if (rank_ == root) staging = Stage(data, tensor.nbytes(), post);
    Run(post, {.result = tensor, .staging = std::move(staging)});
  }

  void Barrier() override { Run({.kind = ShmKind::kBarrier}, {}); }

  at::Tensor AllocateBuffer(int64_t elements, at::ScalarType type) override {
    const auto bytes = static_cast<uint64_t>(elements) * c10::elementSize(type);
    const ShmBlock block = memory_->Allocate(bytes);
    std::memset(block.get(), 0, bytes);
    return at::from_blob(
        block.get(), {elements}, [block](void*) {}, at::dtype(type));
  }

  void Abort() noexcept override {
    segment_.Break({.kind = ShmFault::Kind::kAborted, .rank = Short(rank_)});
  }

 private:
  // What the summing thread needs of a broadcast or a gather beside the posts. If
  // the collective fails, that thread may be at it still, so nothing is let go.
  struct Task {
    at::Tensor result;
    ShmBlock staging;
  };

  class Sum : public Pending {
   public:
    Sum(ShmCommunicator& owner, uint64_t n, at::Tensor tensor, ShmBlock staging)
        : owner_(owner), n_(n), tensor_(std::move(tensor)), staging_(std::move(staging)) {}
    // The others may still read what nobody waits for, so it is not used again.
    ~Sum() override {
      if (!ended_) owner_.abandoned_.emplace_back(std::move(tensor_), std::move(staging_));
    }
    void Wait() override {
      if (ended_) return;
      owner_.Await(ShmKind::kSum, n_);
      if (staging_) std::memcpy(tensor_.data_ptr(), staging_.get(), tensor_.nbytes());
      ended_ = true;
    }

   private:
    ShmCommunicator& owner_;
    const uint64_t n_;
    at::Tensor tensor_;
    ShmBlock staging_;  // none if the tensor lies in the segment
    bool ended_ = false;
  };

  static int16_t Short(int rank) { return static_cast<int16_t>(rank); }

  // Tells the others where the data lie; copies them into the segment first,
  // unless they are there. Returns the copy.
  ShmBlock Stage(const std::byte* data, uint64_t bytes, ShmPost& post) {
    if (bytes == 0) return nullptr;
    if (const std::optional<uint64_t> offset = segment_.OffsetIn(rank_, data, bytes)) {
      post.offset = *offset;
      return nullptr;
    }
    ShmBlock block = memory_->Allocate(bytes);
    std::memcpy(block.get(), data, bytes);
    post.offset = *segment_.OffsetIn(rank_, block.get(), bytes);
    return block;
  }

  // Starts this rank's next collective; returns its number.
  uint64_t Post(const ShmPost& post, Task task) {
    const uint64_t n = ++last_;
    if (segment_.fault().kind != ShmFault::Kind::kNone) FailOfFault(post.kind, n);
    if (n > ShmRank::kPosts) Await(post.kind, n - ShmRank::kPosts);
    ShmRank& mine = segment_.rank(rank_);
    mine.post(n) = post;
    TaskOf(n) = std::move(task);
    mine.posted.Advance();
    return n;
  }

  // Starts a collective and waits for its end.
  void Run(const ShmPost& post, Task task) {
    const uint64_t n = Post(post, std::move(task));
    Await(post.kind, n);
    TaskOf(n) = {};
  }

  Task& TaskOf(uint64_t n) { return tasks_[n % ShmRank::kPosts]; }

  // Returns when every rank has done its part of collective n.
  void Await(ShmKind kind, uint64_t n) {
    const auto deadline = std::chrono::steady_clock::now() + timeout_;
    for (int rank = 0; rank < world_size_; ++rank) {
      switch (segment_.rank(rank).done.WaitFor(n, deadline)) {
        case ShmCounter::Outcome::kReached:
          break;
        case ShmCounter::Outcome::kBroken:
          FailOfFault(kind, n);
        case ShmCounter::Outcome::kTimedOut:
          FailUnlessDone(kind, n);
      }
    }
  }

  // --- The summing thread --------------------------------------------------------

  // This rank's part of every collective, one after another, until the gang breaks.
  void TakePart() {
    for (uint64_t n = 1;; ++n) {
      for (int rank = 0; rank < world_size_; ++rank) {
        // No deadline: ranks may compute for long. Who waits for a result has one.
        if (segment_.rank(rank).posted.WaitFor(n, ShmCounter::kNever) !=
            ShmCounter::Outcome::kReached) {
          return;
        }
      }
      for (int rank = 0; rank < world_size_; ++rank) {
        if (segment_.rank(rank).post(n).Matches(segment_.rank(rank_).post(n))) continue;
        segment_.Break(
            {.kind = ShmFault::Kind::kMismatch, .rank = Short(rank), .by = Short(rank_)});
        return;
      }
      DoPart(n);
      segment_.rank(rank_).done.Advance();
    }
  }

  void DoPart(uint64_t n) {
    const ShmPost& mine = segment_.rank(rank_).post(n);
    const auto bytes = static_cast<size_t>(mine.size);
    const Task& task = TaskOf(n);
    switch (mine.kind) {
      case ShmKind::kSum: {
        std::vector<std::byte*> parts;
        for (int rank = 0; rank < world_size_; ++rank) parts.push_back(DataOf(rank, n));
        SumIntoAll(parts, mine.type, ShareOf(mine.size, rank_, world_size_));
        break;
      }
      case ShmKind::kBroadcast:
        if (rank_ != mine.root && bytes > 0) {
          std::memcpy(BytesOf(task.result), DataOf(mine.root, n), bytes);
        }
        break;
      case ShmKind::kGather:
        for (int rank = 0; rank < world_size_ && bytes > 0; ++rank) {
          std::memcpy(BytesOf(task.result) + static_cast<size_t>(rank) * bytes, DataOf(rank, n),
                      bytes);
        }
        break;
      case ShmKind::kBarrier:
        break;
    }
  }

  std::byte* DataOf(int rank, uint64_t n) {
    return segment_.arena(rank) + segment_.rank(rank).post(n).offset;
  }

  // --- The watching thread -------------------------------------------------------

  // Nobody ever writes to a link, so the first event is an end: of a peer, or of
  // this communicator. Rank 0 sees all others and tells them through the segment.
  void WatchLinks() {
    std::vector<pollfd> sockets;
    for (const ShmMeeting::Link& link : links_) {
      sockets.push_back({.fd = link.socket.get(), .events = POLLIN, .revents = 0});
    }
    while (poll(sockets.data(), sockets.size(), /*timeout=*/-1) < 0) {
      if (errno != EINTR) break;
    }
    for (size_t i = 0; i < sockets.size(); ++i) {
      if (sockets[i].revents == 0) continue;
      segment_.Break({.kind = ShmFault::Kind::kEnded, .rank = Short(links_[i].rank)});
    }
  }

  // --- Failures ------------------------------------------------------------------

  [[noreturn]] void Fail(ErrorKind error, ShmKind kind, uint64_t n, const std::string& why) {
    throw TrainError(error, "rank " + std::to_string(rank_) + " of " + std::to_string(world_size_) +
                                ": " + ShmKindName(kind) + " (collective " + std::to_string(n) +
                                ") failed: " + why);
  }

  [[noreturn]] void FailOfFault(ShmKind kind, uint64_t n) {
    const ShmFault fault = segment_.fault();
    Fail(fault.kind == ShmFault::Kind::kMismatch ? ErrorKind::kInternal : ErrorKind::kPeerLost,
         kind, n, fault.Words());
  }

  // After a timeout. Returns if the laggards have come in that very moment.
  void FailUnlessDone(ShmKind kind, uint64_t n) {
    std::vector<int> absent;
    std::vector<int> undone;
    for (int rank = 0; rank < world_size_; ++rank) {
      if (!segment_.rank(rank).posted.Reached(n)) {
        absent.push_back(rank);
      } else if (!segment_.rank(rank).done.Reached(n)) {
        undone.push_back(rank);
      }
    }
    // Nobody can finish before all have come, so who is absent is to blame first.
    const std::vector<int>& lagging = absent.empty() ? undone : absent;
    if (lagging.empty()) return;
    segment_.Break(
        {.kind = ShmFault::Kind::kStalled, .rank = Short(lagging.front()), .by = Short(rank_)});
    Fail(ErrorKind::kPeerLost, kind, n,
         "waited " + std::to_string(timeout_.count()) + " ms for " + Listed(lagging) +
             (absent.empty() ? " to finish" : " to come"));
  }

  const int rank_;
  const int world_size_;
  const std::chrono::milliseconds timeout_;
  const std::shared_ptr<RendezvousStore> store_;
  const std::shared_ptr<ShmMemory> memory_;
  ShmSegment& segment_;
  const std::vector<ShmMeeting::Link> links_;
  uint64_t last_ = 0;  // the newest collective of this rank's
  // By number, as the posts; seen by the summing thread once this rank has posted.
  std::array<Task, ShmRank::kPosts> tasks_;
  std::vector<std::pair<at::Tensor, ShmBlock>> abandoned_;
  std::jthread summing_;
  std::jthread watching_;  // waits for a peer's end
};

}  // namespace

std::shared_ptr<Communicator> MakeShmCommunicator(const CommunicatorOptions& options,
                                                  ShmMeeting meeting,
                                                  std::shared_ptr<RendezvousStore> store) {
  return std::make_shared<ShmCommunicator>(options, std::move(meeting), std::move(store));
}

}  // namespace mead::train
