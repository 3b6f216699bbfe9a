// How gradients are grouped into buckets, each summed by one all-reduce: pure.
//
// Backward makes gradients roughly in the reverse order of the parameters, so
// buckets fill in that order and the first can travel while the rest are made.
// The first bucket is smaller, so that the network starts early.
// Source: PyTorch DDP's compute_bucket_assignment_by_size (Li et al., VLDB 2020).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace mead::train {

struct BucketSlot {
  size_t parameter = 0;  // index in the order given to PlanBuckets
  int64_t offset = 0;    // in elements from the bucket's start
  int64_t size = 0;
};

struct Bucket {
  std::vector<BucketSlot> slots;  // in gradient order
  int64_t size = 0;               // in elements, with the gaps for alignment
};

// sizes: elements per parameter, in the parameters' order. max_elements,
// first_max_elements: a bucket is closed when the next slot would exceed it; a
// parameter larger than that has a bucket of its own. Slots start at multiples
// of 16 elements (a cache line of float32).
std::vector<Bucket> PlanBuckets(std::span<const int64_t> sizes, int64_t first_max_elements,
                                int64_t max_elements);

}  // namespace mead::train
