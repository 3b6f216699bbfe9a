// Which instruction set this process's kernels for the CPU run in.
//
// A source of kernels (NAME_kernels.cc) is compiled once per instruction set, and
// each copy defines a table of functions; which table is called is chosen here, once.
// Thread: any.
#pragma once

#include <array>
#include <cstddef>

namespace mead::train {

enum class CpuIsa {
  kPortable,
  kAvx2,        // AVX2, FMA
  kAvx512,      // AVX-512 F, BW, DQ, VL
  kAvx512Bf16,  // and AVX-512 BF16
};
inline constexpr std::array kCpuIsas = {CpuIsa::kPortable, CpuIsa::kAvx2, CpuIsa::kAvx512,
                                        CpuIsa::kAvx512Bf16};

// Whether this machine has it.
bool CpuHas(CpuIsa isa);

// The best that LibTorch itself uses here (so ATEN_CPU_CAPABILITY=default|avx2 forces
// both down).
CpuIsa ActiveCpuIsa();

// One source's tables, by instruction set; all the same where there is but one.
template <typename Table>
using PerIsa = std::array<const Table*, kCpuIsas.size()>;

template <typename Table>
const Table& TableOf(const PerIsa<Table>& tables, CpuIsa isa) {
  return *tables[static_cast<size_t>(isa)];
}

}  // namespace mead::train
