// One rank that does nothing but all-reduce, driven by bench/allreduce (the protocol:
// bench/harness.py).
//
// allreduce_ours TRANSPORT THREADS RANK WORLD STORE
// Orders, beside N:
//   plan BYTES SIZE,...  the buckets that training makes of parameters of these sizes
//                        (elements), none larger than BYTES; answers with their sizes
//   use WIRE SIZE,...    a step is from now on the sum of float32 buckets of these sizes
//                        (elements), all under way at once, that travel as WIRE, fp32 or
//                        bf16, cast on both ways; answers "ok"
#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <chrono>
#include <istream>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "bench/side.h"
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
  if (store_text == "serve") Say("store " + store->address());
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

struct Bucket {
  at::Tensor flat;  // [size], float32
  at::Tensor wire;  // [size]: flat itself, or bfloat16
};

// As the Reducer does.
void Step(train::Communicator& gang, std::vector<Bucket>& buckets) {
  std::vector<std::unique_ptr<train::Pending>> pending;
  for (Bucket& bucket : buckets) {
    if (!bucket.wire.is_same(bucket.flat)) bucket.wire.copy_(bucket.flat);
    pending.push_back(gang.AllReduceSum(bucket.wire));
  }
  for (size_t i = 0; i < buckets.size(); ++i) {
    pending[i]->Wait();
    if (!buckets[i].wire.is_same(buckets[i].flat)) buckets[i].flat.copy_(buckets[i].wire);
  }
}

Bucket MakeBucket(train::Communicator& gang, int64_t size, bool rounds) {
  if (rounds) return {at::zeros({size}, at::kFloat), gang.AllocateBuffer(size, at::kBFloat16)};
  const at::Tensor flat = gang.AllocateBuffer(size, at::kFloat);
  return {flat, flat};
}

void Run(char** argv) {
  at::set_num_threads(std::stoi(argv[2]));
  const auto gang = Join(argv);
  std::vector<Bucket> buckets;
  AnswerOrders({.run =
                    [&](int steps) {
                      gang->Barrier();
                      for (int i = 0; i < steps; ++i) Step(*gang, buckets);
                    },
                .others = {{"plan",
                            [](std::istream& in) {
                              int64_t bytes = 0;
                              std::string sizes;
                              in >> bytes >> sizes;
                              return Plan(bytes, Numbers(sizes));
                            }},
                           {"use", [&](std::istream& in) -> std::string {
                              std::string wire;
                              std::string sizes;
                              in >> wire >> sizes;
                              buckets.clear();
                              for (const int64_t size : Numbers(sizes)) {
                                buckets.push_back(MakeBucket(*gang, size, wire == "bf16"));
                              }
                              Step(*gang, buckets);
                              return "ok";
                            }}}});
}

}  // namespace
}  // namespace mead::bench

int main(int argc, char** argv) {
  if (argc != 6) return 2;
  return mead::bench::RunSide("allreduce_ours", [&] { mead::bench::Run(argv); });
}
