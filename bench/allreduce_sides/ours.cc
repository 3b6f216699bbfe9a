// One rank that does nothing but all-reduce, driven by bench/allreduce (the protocol:
// bench/harness.py).
//
// allreduce_ours TRANSPORT THREADS RANK WORLD STORE
// Orders, beside N:
//   plan BYTES SIZE,...  the buckets that training makes of parameters of these sizes
//                        (elements), none larger than BYTES; answers with their sizes
//   use SIZE,...         a step is from now on the sum of float32 buckets of these sizes
//                        (elements), all under way at once; answers "ok"
#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <chrono>
#include <cstdio>
#include <exception>
#include <iostream>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "worker/train/comm/buckets.h"
#include "worker/train/comm/communicator.h"
#include "worker/train/comm/rendezvous.h"

namespace mead::bench {
namespace {

constexpr std::chrono::seconds kTimeout{120};

std::vector<int64_t> Numbers(const std::string& text) {
  std::vector<int64_t> numbers;
  std::stringstream stream(text);
  for (std::string part; std::getline(stream, part, ',');) numbers.push_back(std::stoll(part));
  return numbers;
}

std::shared_ptr<train::Communicator> Join(char** argv) {
  train::CommunicatorOptions options{.rank = std::stoi(argv[3]), .world_size = std::stoi(argv[4])};
  options.transport = train::TransportFromName(argv[1]);
  options.timeout = kTimeout;
  const std::string store_text = argv[5];
  const auto store = store_text == "serve" ? train::RendezvousStore::Serve("127.0.0.1", kTimeout)
                                           : train::RendezvousStore::Connect(store_text, kTimeout);
  if (store_text == "serve") {
    std::printf("store %s\n", store->address().c_str());
    std::fflush(stdout);
  }
  return train::MakeCommunicator(options, store);
}

// As the Reducer plans them.
std::string Plan(int64_t bytes, const std::vector<int64_t>& sizes) {
  const int64_t elements = bytes / static_cast<int64_t>(sizeof(float));
  std::string text;
  for (const train::Bucket& bucket : train::PlanBuckets(sizes, elements / 8, elements)) {
    text += (text.empty() ? "" : ",") + std::to_string(bucket.size);
  }
  return text;
}

void Step(train::Communicator& gang, std::vector<at::Tensor>& buckets) {
  std::vector<std::unique_ptr<train::Pending>> pending;
  for (at::Tensor& bucket : buckets) pending.push_back(gang.AllReduceSum(bucket));
  for (const auto& sum : pending) sum->Wait();
}

void Run(char** argv) {
  at::set_num_threads(std::stoi(argv[2]));
  const auto gang = Join(argv);
  std::vector<at::Tensor> buckets;  // [size], float32
  std::puts("ready");
  std::fflush(stdout);
  for (std::string order; std::cin >> order;) {
    if (order == "plan") {
      int64_t bytes = 0;
      std::string sizes;
      std::cin >> bytes >> sizes;
      std::puts(Plan(bytes, Numbers(sizes)).c_str());
    } else if (order == "use") {
      std::string sizes;
      std::cin >> sizes;
      buckets.clear();
      for (const int64_t size : Numbers(sizes)) {
        buckets.push_back(gang->AllocateBuffer(size, at::kFloat));
      }
      Step(*gang, buckets);
      std::puts("ok");
    } else {
      const int steps = std::stoi(order);
      gang->Barrier();
      const auto start = std::chrono::steady_clock::now();
      for (int i = 0; i < steps; ++i) Step(*gang, buckets);
      const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
      std::printf("%.9f\n", seconds.count());
    }
    std::fflush(stdout);
  }
}

}  // namespace
}  // namespace mead::bench

int main(int argc, char** argv) {
  if (argc != 6) return 2;
  try {
    mead::bench::Run(argv);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "allreduce_ours: %s\n", error.what());
    return 1;
  }
  return 0;
}
