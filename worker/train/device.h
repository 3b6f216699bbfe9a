// Where a session computes: the device, and on a GPU the stream of its own.
#pragma once

#include <memory>
#include <string>

#include "worker/train/tensors.h"

namespace mead::train {

// "cpu", "cuda", "cuda:N". Errors: kUserError (no such device here).
at::Device ParseDevice(const std::string& text);

// What a GPU's driver has not given out; 0 for a CPU.
// Errors: c10::Error where the device fails.
int64_t FreeDeviceBytes(at::Device device);

// The stream on which a session's work is queued; a CPU has none.
// Thread: one at a time.
class ComputeStream {
 public:
  explicit ComputeStream(at::Device device);
  ~ComputeStream();
  ComputeStream(ComputeStream&&) noexcept;

  // Makes it the calling thread's current stream while the scope lives.
  class Scope {
   public:
    explicit Scope(const ComputeStream& stream);
    ~Scope();
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;

   private:
    struct Guard;
    std::unique_ptr<Guard> guard_;
  };

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;  // none on a CPU
};

// A small tensor on its way to the host behind the work queued so far; on a CPU it
// is there at once.
class HostCopy {
 public:
  // Takes the tensor's values as the current stream will have made them.
  explicit HostCopy(const at::Tensor& tensor);
  ~HostCopy();
  HostCopy(HostCopy&&) noexcept;

  bool Ready() const;
  // Waits for it. On the CPU, of the tensor's type.
  const at::Tensor& Wait() const;

 private:
  struct Event;
  at::Tensor host_;
  std::unique_ptr<Event> arrived_;  // none on a CPU
};

}  // namespace mead::train
