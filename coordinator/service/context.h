// What the services share. Each member may be used from any thread.
#pragma once

#include <atomic>
#include <cstdint>

#include "common/clock.h"
#include "coordinator/service/disk_guard.h"
#include "coordinator/service/engine.h"
#include "coordinator/service/io_pool.h"
#include "coordinator/service/live_progress.h"
#include "coordinator/service/session_table.h"
#include "coordinator/store/artifact_store.h"
#include "coordinator/store/store.h"

namespace mead::service {

struct ServiceContext {
  Engine& engine;
  store::Store& store;
  store::ArtifactStore& artifacts;
  DiskGuard& disk;
  SessionTable& sessions;
  LiveProgress& live;
  IoPool& io;
  Clock& clock;
  core::TimeMicros start_time = 0;
  // Of all trials' checkpoints; 0: any number.
  uint64_t checkpoint_quota_bytes = 0;
  // Reports taken in from workers since the start.
  std::atomic<uint64_t> reports = 0;
};

}  // namespace mead::service
