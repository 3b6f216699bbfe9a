// Writes checkpoints while training goes on: one at a time, on a thread of its own.
//
// A write first reads the state, which must not change meanwhile (until AwaitData), then
// syncs and renames. Between two moves of the weights lie a forward and a backward pass, in
// which the state can be read without a copy of all of it in memory.
// Thread: one thread owns it; the write runs on another.
// Errors: what a write threw comes out of AwaitData, Await or the next Start, once.
#pragma once

#include <condition_variable>
#include <exception>
#include <functional>
#include <mutex>
#include <thread>

namespace mead::train {

class CheckpointWriter {
 public:
  CheckpointWriter() = default;
  // Waits for the write; its failure then is nobody's.
  ~CheckpointWriter();

  // write: is given what to call when it needs the state no more. Waits for the one before.
  void Start(std::function<void(const std::function<void()>& data_read)> write);

  bool busy() const;
  // Returns when the state may change.
  void AwaitData();
  // Returns when all is written.
  void Await();

 private:
  void Rethrow(std::unique_lock<std::mutex>& lock);

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  bool reading_ = false;        // guarded by mutex_
  bool writing_ = false;        // guarded by mutex_
  std::exception_ptr failure_;  // guarded by mutex_
  std::jthread thread_;
};

}  // namespace mead::train
