// Which of n things belong together when pairs are declared to.
//
// Source: Tarjan, Efficiency of a Good But Not Linear Set Union Algorithm, JACM 1975; here with
// path
//   halving. The smallest member stands for its set, so that the outcome depends on no order.
// Thread: not thread-safe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <numeric>
#include <utility>
#include <vector>

namespace mead::dataset {

class DisjointSets {
 public:
  explicit DisjointSets(size_t size) : parent_(size) {
    std::iota(parent_.begin(), parent_.end(), size_t{0});
  }

  // The smallest member of i's set.
  size_t Find(size_t i) {
    while (parent_[i] != i) i = parent_[i] = parent_[parent_[i]];
    return i;
  }

  void Join(size_t i, size_t j) {
    i = Find(i);
    j = Find(j);
    if (i > j) std::swap(i, j);
    parent_[j] = i;
  }

  // A number per thing: 0 for what is alone, else its set's, counted from 1 by smallest members.
  std::vector<uint32_t> Numbers() {
    std::vector<uint32_t> sizes(parent_.size());
    for (size_t i = 0; i < parent_.size(); ++i) ++sizes[Find(i)];
    std::vector<uint32_t> numbers(parent_.size());
    uint32_t last = 0;
    for (size_t i = 0; i < parent_.size(); ++i) {
      const size_t first = Find(i);
      if (sizes[first] > 1) numbers[i] = first == i ? ++last : numbers[first];
    }
    return numbers;
  }

 private:
  std::vector<size_t> parent_;
};

}  // namespace mead::dataset
