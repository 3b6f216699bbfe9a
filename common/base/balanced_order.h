// An epoch in which every class comes equally often, however many samples it has.
//
// As many draws as there are samples, shared evenly by the classes that have any; the draws that
// are left over go to classes that change with the epoch. A class gives each of its samples once
// before it gives one again, so a large class leaves samples out, others in each epoch.
//
// Samples are numbered class by class: those of class 0 first.
// Thread: a pure function.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace mead {

// counts: samples per class. As many indices as there are samples.
std::vector<uint64_t> BalancedOrder(std::span<const uint64_t> counts, uint64_t seed,
                                    uint64_t epoch);

}  // namespace mead
