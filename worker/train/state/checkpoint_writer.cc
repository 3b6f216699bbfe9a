#include "worker/train/state/checkpoint_writer.h"

#include <utility>

namespace mead::train {

CheckpointWriter::~CheckpointWriter() {
  if (thread_.joinable()) thread_.join();
}

void CheckpointWriter::Start(std::function<void(const std::function<void()>& data_read)> write) {
  Await();
  if (thread_.joinable()) thread_.join();
  reading_ = writing_ = true;  // there is no other thread now
  thread_ = std::jthread([this, write = std::move(write)] {
    const auto tell = [this](bool writing, std::exception_ptr failure) {
      {
        const std::lock_guard lock(mutex_);
        reading_ = false;
        writing_ = writing;
        if (failure) failure_ = std::move(failure);
      }
      changed_.notify_all();
    };
    std::exception_ptr failure;
    try {
      write([&tell] { tell(/*writing=*/true, nullptr); });
    } catch (...) {
      failure = std::current_exception();
    }
    tell(/*writing=*/false, std::move(failure));
  });
}

bool CheckpointWriter::busy() const {
  const std::lock_guard lock(mutex_);
  return writing_;
}

void CheckpointWriter::AwaitData() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return !reading_; });
  Rethrow(lock);
}

void CheckpointWriter::Await() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return !writing_; });
  Rethrow(lock);
}

void CheckpointWriter::Rethrow(std::unique_lock<std::mutex>& lock) {
  const std::exception_ptr failure = std::exchange(failure_, nullptr);
  lock.unlock();
  if (failure) std::rethrow_exception(failure);
}

}  // namespace mead::train
