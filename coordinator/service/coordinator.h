// The coordinator in one process: store, core thread, services, gRPC server.
// main() adds the HTTP server; tests start it as it is.
//
// Thread: Start and the destructor belong to one thread; the rest may be called
//   from any.
#pragma once

#include <grpcpp/server.h>

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/clock.h"
#include "coordinator/service/artifact_service.h"
#include "coordinator/service/cluster_service.h"
#include "coordinator/service/context.h"
#include "coordinator/service/dataset_service.h"
#include "coordinator/service/endpoint.h"
#include "coordinator/service/sweep_service.h"
#include "coordinator/service/worker_service.h"

namespace mead::service {

struct CoordinatorOptions {
  std::filesystem::path dir;
  Endpoint listen{"127.0.0.1", 7070};
  absl::Duration lease = absl::Seconds(4);
  core::Config config;
  uint64_t min_free_bytes = 256ull << 20;
  uint64_t checkpoint_quota_bytes = 0;  // 0: none
  Clock* clock = &RealClock();
};

class Coordinator {
 public:
  // Serving when it returns.
  // Errors: FAILED_PRECONDITION (the folder is in use, or written by a newer
  //   version), DATA_LOSS (a damaged or foreign journal), UNAVAILABLE (the port
  //   is taken), INVALID_ARGUMENT (no such address), each with a remedy.
  [[nodiscard]] static absl::StatusOr<std::unique_ptr<Coordinator>> Start(
      CoordinatorOptions options);
  // Ends the streams, takes in what has been posted, closes the journal.
  ~Coordinator();

  Coordinator(const Coordinator&) = delete;
  Coordinator& operator=(const Coordinator&) = delete;

  // With the port that was chosen.
  [[nodiscard]] const Endpoint& endpoint() const { return endpoint_; }
  [[nodiscard]] ServiceContext& context() { return *context_; }
  // In-process calls, for tests and tools.
  [[nodiscard]] grpc::Server& server() { return *server_; }

 private:
  explicit Coordinator(const CoordinatorOptions& options);
  absl::Status StartServer(const Endpoint& listen);

  // In the order in which they need each other; destroyed in reverse.
  std::unique_ptr<store::Store> store_;
  std::unique_ptr<store::ArtifactStore> artifacts_;
  DiskGuard disk_;
  LiveProgress live_;
  SessionTable sessions_;
  IoPool io_{4};
  // For the core thread, which may have commands before Create() has returned.
  std::atomic<Engine*> command_source_ = nullptr;
  std::unique_ptr<Engine> engine_;
  std::unique_ptr<ServiceContext> context_;

  struct Services;
  std::unique_ptr<Services> services_;
  std::unique_ptr<grpc::Server> server_;
  Endpoint endpoint_;
};

}  // namespace mead::service
