// The memory that the ranks of one host share: who is how far, and their data.
//
// Layout of the one memfd (sparse: only pages that were touched take memory):
//   Control { fault; ShmRank by rank } | arena of rank 0 | arena of rank 1 | ...
// Every rank maps all of it, at an address of its own; so offsets, no pointers.
//
// Protocol of collective n = 1, 2, ..., the same for every kind:
//   1. a rank writes its data into its arena and its post n, then advances `posted`;
//   2. its summing thread waits until every rank has posted n, does this rank's
//      part of the work, then advances `done`;
//   3. collective n has ended when every rank has done it. Only then may a rank
//      write to that data, or use the post's slot for n + kPosts.
// There is no lock to be held by a rank that is killed, and nothing to be removed:
// the kernel frees the memory with its last process.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "worker/train/comm/descriptor.h"
#include "worker/train/comm/shm_counter.h"
#include "worker/train/comm/shm_sum.h"

namespace mead::train {

enum class ShmKind : uint8_t { kSum, kBroadcast, kGather, kBarrier };

// "an all-reduce", ...
const char* ShmKindName(ShmKind kind);

// What one rank brings to a collective.
struct ShmPost {
  ShmKind kind = ShmKind::kBarrier;
  ShmType type = ShmType::kFloat32;  // of a sum
  int32_t root = 0;                  // of a broadcast
  int64_t size = 0;                  // of a sum: in elements; else in bytes
  uint64_t offset = 0;               // of its data, in its own arena

  // All ranks must bring the same, except for where their data lie.
  bool Matches(const ShmPost& other) const {
    return kind == other.kind && type == other.type && root == other.root && size == other.size;
  }
};

// One rank's part of the control block; only the rank itself writes to it.
struct ShmRank {
  // A bound on the collectives under way; a rank that is further ahead waits.
  static constexpr uint64_t kPosts = 256;

  ShmPost& post(uint64_t n) { return posts[n % kPosts]; }

  alignas(64) ShmCounter posted;
  alignas(64) ShmCounter done;
  alignas(64) std::array<ShmPost, kPosts> posts;
};

// Why a gang is broken; the first to say so is believed.
struct ShmFault {
  enum class Kind : uint32_t {
    kNone,
    kEnded,     // the process of `rank` has ended
    kLeft,      // `rank` has destroyed its communicator
    kAborted,   // `rank` called Abort()
    kStalled,   // `by` gave up waiting for `rank`
    kMismatch,  // `by` saw `rank` call another collective than itself
  };
  Kind kind = Kind::kNone;
  int16_t rank = 0;
  int16_t by = 0;

  // "the process of rank 1 has ended", ...
  std::string Words() const;
};

// Thread: any.
// Errors: std::system_error where the system has no (more) memory to share.
class ShmSegment {
 public:
  // Address space, which is plenty; far more than any model's gradients.
  static constexpr uint64_t kArenaBytes = uint64_t{16} << 30;

  // Makes a segment; its descriptor may then be passed to the other ranks.
  static std::unique_ptr<ShmSegment> Create(int world_size);
  // Maps a segment that another rank made.
  static std::unique_ptr<ShmSegment> Attach(Descriptor memory, int world_size);
  ~ShmSegment();
  ShmSegment(const ShmSegment&) = delete;
  ShmSegment& operator=(const ShmSegment&) = delete;

  int descriptor() const { return memory_.get(); }
  ShmRank& rank(int rank);
  std::byte* arena(int rank);
  // Where in the rank's arena the bytes lie; none if they don't.
  std::optional<uint64_t> OffsetIn(int rank, const void* data, uint64_t bytes);

  // Wakes every waiter of every rank. Counts that were reached stay so.
  void Break(ShmFault fault) noexcept;
  ShmFault fault() noexcept;

 private:
  struct Control;

  ShmSegment(Descriptor memory, int world_size, std::byte* base);
  Control& control();

  const int world_size_;
  const Descriptor memory_;
  std::byte* const base_;
};

}  // namespace mead::train
