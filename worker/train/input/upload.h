// Copies of host memory to a device on a stream of their own, through a few pinned buffers.
//
// Queue:  a copy waits while all buffers are on their way.
// Thread: Copy: any. AwaitCopies: one at a time.
// Errors: c10::Error where the device fails.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "worker/train/tensors.h"

namespace mead::train {

class Upload {
 public:
  explicit Upload(at::Device device);
  ~Upload();

  // from: host memory, free again on return; to: on the device.
  void Copy(const uint8_t* from, size_t bytes, uint8_t* to);

  // The calling thread's current stream goes on once the copies that have returned so far
  // have arrived. On a CPU they have.
  void AwaitCopies();

 private:
  struct Gpu;
  std::unique_ptr<Gpu> gpu_;  // none on a CPU
};

}  // namespace mead::train
