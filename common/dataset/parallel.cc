#include "common/dataset/parallel.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <vector>

namespace mead::dataset {

void ParallelFor(uint64_t count, int threads,
                 const std::function<std::function<void(uint64_t)>()>& make_job,
                 const std::function<void(uint64_t)>& report) {
  if (threads <= 0)
    threads = static_cast<int>(std::clamp(std::thread::hardware_concurrency(), 1u, 8u));
  threads = static_cast<int>(std::min<uint64_t>(static_cast<uint64_t>(threads), count));
  std::atomic<uint64_t> next = 0;
  std::atomic<uint64_t> done = 0;
  std::mutex mutex;
  std::condition_variable all_ended;
  int running = threads;
  std::vector<std::jthread> pool;
  for (int i = 0; i < threads; ++i) {
    pool.emplace_back([&] {
      const std::function<void(uint64_t)> job = make_job();
      for (uint64_t index; (index = next.fetch_add(1)) < count;) {
        job(index);
        done.fetch_add(1);
      }
      const std::lock_guard lock(mutex);
      if (--running == 0) all_ended.notify_one();
    });
  }
  std::unique_lock lock(mutex);
  // The wait times out only to report; a few times a second is enough for eyes.
  while (!all_ended.wait_for(lock, std::chrono::milliseconds(100), [&] { return running == 0; })) {
    lock.unlock();
    if (report) report(done.load());
    lock.lock();
  }
  lock.unlock();
  pool.clear();
  if (report) report(count);
}

}  // namespace mead::dataset
