// HTTP on the side: the page, JSON of the same messages as gRPC, health, metrics.
//
// GET only; nothing can be changed from here. A request holds one thread of the
// pool while it is answered, and an idle connection one for a second at most.
//
// Thread: Start and the destructor belong to one thread; requests run on the pool.
#pragma once

#include <memory>

#include "absl/status/statusor.h"
#include "coordinator/service/context.h"
#include "coordinator/service/endpoint.h"

namespace mead::web {

class HttpServer {
 public:
  // Serving when it returns. context must outlive the server.
  // Errors: UNAVAILABLE (the port is taken), INVALID_ARGUMENT (no such address).
  [[nodiscard]] static absl::StatusOr<std::unique_ptr<HttpServer>> Start(
      service::ServiceContext& context, const service::Endpoint& listen);
  ~HttpServer();

  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  // With the port that was chosen.
  [[nodiscard]] const service::Endpoint& endpoint() const;

 private:
  struct Impl;
  explicit HttpServer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace mead::web
