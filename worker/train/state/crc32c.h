// CRC-32C, the checksum of iSCSI and ext4: finds every flipped bit, and every run of up to 32.
//
// Source: RFC 3720, appendix B.4 (test vectors); the instruction is SSE 4.2's crc32.
// Thread: pure.
#pragma once

#include <cstddef>
#include <cstdint>

namespace mead::train {

// Of `bytes` bytes; `before`: the checksum of what came before them, to go on from.
uint32_t Crc32c(const void* data, size_t bytes, uint32_t before = 0);

// The same without the instruction, as where there is none.
uint32_t Crc32cByTable(const void* data, size_t bytes, uint32_t before = 0);

}  // namespace mead::train
