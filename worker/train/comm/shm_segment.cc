#include "worker/train/comm/shm_segment.h"

#include <fcntl.h>
#include <sys/mman.h>

#include <cerrno>
#include <system_error>
#include <utility>

namespace mead::train {

const char* ShmKindName(ShmKind kind) {
  switch (kind) {
    case ShmKind::kSum:
      return "an all-reduce";
    case ShmKind::kBroadcast:
      return "a broadcast";
    case ShmKind::kGather:
      return "a gather";
    case ShmKind::kBarrier:
      return "a barrier";
  }
  return "a collective";
}

std::string ShmFault::Words() const {
  const std::string who = "rank " + std::to_string(rank);
  const std::string teller = "rank " + std::to_string(by);
  switch (kind) {
    case Kind::kNone:
      break;
    case Kind::kEnded:
      return "the process of " + who + " has ended";
    case Kind::kLeft:
      return who + " has left the gang";
    case Kind::kAborted:
      return "aborted by " + who;
    case Kind::kStalled:
      return teller + " gave up waiting for " + who;
    case Kind::kMismatch:
      return who + " and " + teller + " called different collectives, or with different tensors";
  }
  return "the gang is broken";
}

// A new memfd is all zeros, which is the initial state of everything in it.
struct ShmSegment::Control {
  alignas(64) std::atomic<ShmFault> fault;
  static_assert(std::atomic<ShmFault>::is_always_lock_free, "shared between processes");

  ShmRank* ranks() { return reinterpret_cast<ShmRank*>(this + 1); }

  static uint64_t Bytes(int world_size) {
    constexpr uint64_t kHugePageBytes = uint64_t{2} << 20;  // so that arenas may have such
    const uint64_t bytes = sizeof(Control) + static_cast<uint64_t>(world_size) * sizeof(ShmRank);
    return (bytes + kHugePageBytes - 1) / kHugePageBytes * kHugePageBytes;
  }
  static uint64_t SegmentBytes(int world_size) {
    return Bytes(world_size) + static_cast<uint64_t>(world_size) * kArenaBytes;
  }
};

namespace {

[[noreturn]] void ThrowErrno(const char* doing) {
  throw std::system_error(errno, std::generic_category(), doing);
}

}  // namespace

std::unique_ptr<ShmSegment> ShmSegment::Create(int world_size) {
  Descriptor memory(memfd_create("mead-gang", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!memory) ThrowErrno("memfd_create");
  if (ftruncate(memory.get(), static_cast<off_t>(Control::SegmentBytes(world_size))) != 0) {
    ThrowErrno("ftruncate");
  }
  // A peer that shrank it would end the others with SIGBUS.
  if (fcntl(memory.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0) {
    ThrowErrno("sealing shared memory");
  }
  return Attach(std::move(memory), world_size);
}

std::unique_ptr<ShmSegment> ShmSegment::Attach(Descriptor memory, int world_size) {
  const uint64_t bytes = Control::SegmentBytes(world_size);
  void* base =
      mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, memory.get(), 0);
  if (base == MAP_FAILED) ThrowErrno("mapping shared memory");
  // Where the system gives huge pages to who asks for them; else it changes nothing.
  madvise(base, bytes, MADV_HUGEPAGE);
  return std::unique_ptr<ShmSegment>(
      new ShmSegment(std::move(memory), world_size, static_cast<std::byte*>(base)));
}

ShmSegment::ShmSegment(Descriptor memory, int world_size, std::byte* base)
    : world_size_(world_size), memory_(std::move(memory)), base_(base) {}

ShmSegment::~ShmSegment() { munmap(base_, Control::SegmentBytes(world_size_)); }

ShmSegment::Control& ShmSegment::control() { return *reinterpret_cast<Control*>(base_); }

ShmRank& ShmSegment::rank(int rank) { return control().ranks()[rank]; }

std::byte* ShmSegment::arena(int rank) {
  return base_ + Control::Bytes(world_size_) + static_cast<uint64_t>(rank) * kArenaBytes;
}

std::optional<uint64_t> ShmSegment::OffsetIn(int rank, const void* data, uint64_t bytes) {
  const auto begin = reinterpret_cast<uintptr_t>(arena(rank));
  const auto address = reinterpret_cast<uintptr_t>(data);
  if (address < begin || address - begin > kArenaBytes - bytes) return std::nullopt;
  return address - begin;
}

void ShmSegment::Break(ShmFault fault) noexcept {
  ShmFault none;
  control().fault.compare_exchange_strong(none, fault);
  for (int k = 0; k < world_size_; ++k) {
    rank(k).posted.Break();
    rank(k).done.Break();
  }
}

ShmFault ShmSegment::fault() noexcept { return control().fault.load(); }

}  // namespace mead::train
