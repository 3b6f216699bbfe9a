// Collectives among the ranks of one gang, whatever carries them.
//
// Every rank calls the same collectives in the same order, with tensors of the
// same shape and type. Tensors are dense and lie on device(); those with no
// elements are allowed. A sum has the same bits on every rank.
// at::Tensor is only named here, so code that must not see LibTorch may include
// this header.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace c10 {
enum class ScalarType : int8_t;
}
namespace at {
class Tensor;
using c10::ScalarType;
}  // namespace at

namespace mead::train {

class RendezvousStore;

// A collective under way.
class Pending {
 public:
  virtual ~Pending() = default;
  // Returns when the result may be used by the operations that follow on this
  // thread (on a GPU: once they have been ordered after it on the stream).
  // Errors: kPeerLost.
  virtual void Wait() = 0;
};

// Thread: one thread at a time, except Abort().
// Errors: kPeerLost, naming this rank and what failed, from every method but
//   Abort(); after it the communicator is of no more use.
class Communicator {
 public:
  virtual ~Communicator() = default;

  virtual int rank() const = 0;
  virtual int world_size() const = 0;
  // What carries the collectives: "alone", "shm", "gloo" or "nccl".
  virtual const char* transport() const = 0;
  // Sums a tensor over all ranks in place, while the caller goes on; nobody else
  // touches it until Wait(). float32, float64, bfloat16 (rounded once with "shm",
  // else per addition) and int64.
  [[nodiscard]] virtual std::unique_ptr<Pending> AllReduceSum(at::Tensor& tensor) = 0;
  // tensor: [...], contiguous. Returns [world_size, ...]: row r is rank r's tensor.
  [[nodiscard]] virtual at::Tensor AllGather(const at::Tensor& tensor) = 0;
  // Copies the root's tensor to all ranks.
  virtual void Broadcast(at::Tensor& tensor, int root) = 0;
  virtual void Barrier() = 0;
  // [elements], zeros, on device(): memory from which AllReduceSum takes the
  // shortest way. The tensor may outlive the communicator.
  virtual at::Tensor AllocateBuffer(int64_t elements, at::ScalarType type);
  // Blocks until every collective so far has ended on the device; with an
  // asynchronous backend this is where a lost peer shows.
  virtual void Drain() {}
  // Whether a CUDA graph may hold its sums. Every rank must then record the same ones
  // and repeat them equally often, in the same order among its other collectives, and
  // let go of the graph before the communicator.
  virtual bool capturable() const { return false; }
  // What Drain() is for a step, recorded or not, without waiting for it at once: Wait()
  // blocks until all that the thread's current stream held at the call has ended on the
  // device. Every rank calls it equally often; never while a graph is being recorded.
  [[nodiscard]] virtual std::unique_ptr<Pending> Watch();
  // From any thread: fails what is under way, here and soon on the other ranks. Waits
  // for nobody; who already waits is woken, if the transport can.
  virtual void Abort() noexcept {}
  // "cpu" or "cuda:N": where the tensors of collectives live.
  virtual std::string device() const { return "cpu"; }

  // Exact sums of counts, and sums of doubles in rank-independent order.
  std::vector<int64_t> SumOverRanks(std::vector<int64_t> values);
  std::vector<double> SumOverRanks(std::vector<double> values);
};

// What carries the collectives of ranks without GPUs.
enum class Transport {
  kAuto,  // shared memory if every rank can, else Gloo
  kGloo,  // TCP
  kShm,   // shared memory of one host, or an error
};

// "auto", "gloo", "shm". Errors: kUserError.
Transport TransportFromName(const std::string& name);

struct CommunicatorOptions {
  int rank = 0;
  int world_size = 1;
  // This rank's own address, bound for Gloo's connections and for the heartbeat of GPUs.
  std::string host = "127.0.0.1";
  // "cpu", or "cuda:N": NCCL.
  std::string device = "cpu";
  Transport transport = Transport::kAuto;
  // A peer that answers nothing for this long is lost. A peer whose process has
  // ended is noticed at once.
  std::chrono::milliseconds timeout = std::chrono::seconds(60);
};

// A gang of one needs no store (nullptr).
// Errors: kPeerLost (not every rank came in time), kUserError (bad options, or
//   shared memory was asked for and the ranks cannot share any).
std::shared_ptr<Communicator> MakeCommunicator(const CommunicatorOptions& options,
                                               std::shared_ptr<RendezvousStore> store);

}  // namespace mead::train
