// How [rows, channels] is spread over the device.
//
// A block is (groups of a strip, row lanes): a thread keeps its eight channels, so all
// that is per channel stays in registers. A grid is (strips, blocks over the rows).
#pragma once

#include <cuda_runtime_api.h>

#include <algorithm>
#include <cstdint>

#include "worker/train/ops/channel_group.cuh"

namespace mead::train {

// Of the current device.
inline int64_t Multiprocessors() {
  int device = 0;
  int count = 0;
  if (cudaGetDevice(&device) != cudaSuccess ||
      cudaDeviceGetAttribute(&count, cudaDevAttrMultiProcessorCount, device) != cudaSuccess) {
    return 1;  // the launch that follows fails and says why
  }
  return count;
}

// Widest power of two, at most `limit`, that divides the groups of a row: no lane idles.
inline int64_t StripGroups(int64_t channels, int64_t limit) {
  const int64_t groups = channels / kGroupChannels;
  int64_t strip = 1;
  while (strip < limit && groups % (2 * strip) == 0) strip *= 2;
  return strip;
}

// At most as many strips as there are tickets (strip_sums.cuh), however narrow they are.
inline bool ValidChannels(int64_t channels) {
  return channels > 0 && channels % 16 == 0 && channels <= 65536;
}

// For passes that write every element: blocks of consecutive rows, several waves of them,
// so that a multiprocessor that is done early takes more.
struct RowGrid {
  static constexpr int64_t kThreads = 256;
  static constexpr int64_t kStripGroups = 32;         // one warp: 512 bytes of a bfloat16 row
  static constexpr int64_t kBlocksPerProcessor = 32;  // 8 to 16 waves

  int64_t strip_groups;
  int64_t strips;
  int64_t tiles_per_block;  // a tile: what a block's threads have in flight at once
  int64_t blocks;

  RowGrid(int64_t rows, int64_t channels, int64_t rows_per_thread)
      : strip_groups(StripGroups(channels, kStripGroups)),
        strips(channels / kGroupChannels / strip_groups) {
    const int64_t tile_rows = kThreads / strip_groups * rows_per_thread;
    const int64_t tiles = (rows + tile_rows - 1) / tile_rows;
    const int64_t wanted =
        std::clamp<int64_t>(Multiprocessors() * kBlocksPerProcessor / strips, 1, 65535);
    tiles_per_block = (tiles + wanted - 1) / wanted;
    blocks = (tiles + tiles_per_block - 1) / tiles_per_block;
  }

  dim3 grid() const { return {static_cast<unsigned>(strips), static_cast<unsigned>(blocks)}; }
  dim3 block() const {
    return {static_cast<unsigned>(strip_groups), static_cast<unsigned>(kThreads / strip_groups)};
  }
};

// For sums over the rows: one block per multiprocessor, so that few partial sums are left
// to the block that adds them up, with 16 warps and up to 64 KiB of loads in flight.
struct SumGrid {
  static constexpr int64_t kThreads = 512;
  // 64 channels, 128 bytes of a bfloat16 row. Wider strips would leave more to the one
  // block that adds up a strip: with 256 channels 270 KB on an H100.
  static constexpr int64_t kStripGroups = 8;
  static constexpr int64_t kStripChannels = kStripGroups * kGroupChannels;
  static constexpr int64_t kMaxBlocks = 256;  // more than any GPU has multiprocessors

  int64_t strip_groups;
  int64_t strips;
  int64_t blocks;

  SumGrid(int64_t rows, int64_t channels, int64_t multiprocessors)
      : strip_groups(StripGroups(channels, kStripGroups)),
        strips(channels / kGroupChannels / strip_groups) {
    const int64_t lanes = kThreads / strip_groups;
    const int64_t useful = std::max<int64_t>((rows + lanes - 1) / lanes, 1);
    const int64_t wanted = std::max<int64_t>(std::min(multiprocessors, kMaxBlocks) / strips, 1);
    blocks = std::min(useful, wanted);
  }

  dim3 grid() const { return {static_cast<unsigned>(strips), static_cast<unsigned>(blocks)}; }
  dim3 block() const {
    return {static_cast<unsigned>(strip_groups), static_cast<unsigned>(kThreads / strip_groups)};
  }
};

}  // namespace mead::train
