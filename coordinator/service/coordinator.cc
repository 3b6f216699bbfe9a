#include "coordinator/service/coordinator.h"

#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <grpcpp/grpcpp.h>
#include <grpcpp/health_check_service_interface.h>

#include <chrono>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/status_util.h"

namespace mead::service {
namespace {

// Chunks and reports are about 1 MiB at most; twice gRPC's default leaves room.
constexpr int kMaxMessageBytes = 8 << 20;

void SetChannelArguments(grpc::ServerBuilder& builder) {
  // Two coordinators on one port would share its connections at random.
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  // A worker's machine that vanishes without a word is noticed by its lease; this
  // is for clients' streams, and against routers that forget idle connections.
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, 20'000);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 10'000);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, 5'000);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
}

}  // namespace

struct Coordinator::Services {
  explicit Services(ServiceContext& context)
      : cluster(context), datasets(context), sweeps(context), artifacts(context), workers(context) {}

  ClusterServiceImpl cluster;
  DatasetServiceImpl datasets;
  SweepServiceImpl sweeps;
  ArtifactServiceImpl artifacts;
  WorkerServiceImpl workers;
};

Coordinator::Coordinator(const CoordinatorOptions& options)
    : disk_(options.dir, options.min_free_bytes, *options.clock) {}

absl::StatusOr<std::unique_ptr<Coordinator>> Coordinator::Start(CoordinatorOptions options) {
  MEAD_RETURN_IF_ERROR(CheckCanListen(options.listen, "--listen"));
  std::unique_ptr<Coordinator> self(new Coordinator(options));
  MEAD_ASSIGN_OR_RETURN(self->store_, store::Store::Open(options.dir));
  // What a killed import has left half made.
  std::error_code ignored;
  std::filesystem::remove_all(options.dir / "imports", ignored);
  MEAD_ASSIGN_OR_RETURN(self->artifacts_, store::ArtifactStore::Open(options.dir / "artifacts"));
  MEAD_ASSIGN_OR_RETURN(
      self->engine_,
      Engine::Create({.store = *self->store_,
                      .clock = *options.clock,
                      .config = options.config,
                      .lease = options.lease,
                      .on_command = [self = self.get()](const core::Command& command) {
                        // Before there is an engine no worker is connected either.
                        if (Engine* engine = self->command_source_) {
                          self->sessions_.Deliver(command, *engine->snapshot());
                        }
                      }}));
  self->command_source_ = self->engine_.get();
  self->context_.reset(
      new ServiceContext{.engine = *self->engine_,
                         .store = *self->store_,
                         .artifacts = *self->artifacts_,
                         .disk = self->disk_,
                         .sessions = self->sessions_,
                         .live = self->live_,
                         .io = self->io_,
                         .clock = *options.clock,
                         .start_time = options.clock->NowMicros(),
                         .checkpoint_quota_bytes = options.checkpoint_quota_bytes});
  self->services_ = std::make_unique<Services>(*self->context_);
  MEAD_RETURN_IF_ERROR(self->StartServer(options.listen));
  return self;
}

absl::Status Coordinator::StartServer(const Endpoint& listen) {
  grpc::EnableDefaultHealthCheckService(true);
  grpc::reflection::InitProtoReflectionServerBuilderPlugin();
  grpc::ServerBuilder builder;
  SetChannelArguments(builder);
  builder.SetMaxReceiveMessageSize(kMaxMessageBytes);
  // Only reflection is synchronous; it needs no more than this.
  builder.SetSyncServerOption(grpc::ServerBuilder::NUM_CQS, 1);
  builder.SetSyncServerOption(grpc::ServerBuilder::MAX_POLLERS, 1);
  int port = 0;
  builder.AddListeningPort(EndpointText(listen), grpc::InsecureServerCredentials(), &port);
  builder.RegisterService(&services_->cluster);
  builder.RegisterService(&services_->datasets);
  builder.RegisterService(&services_->sweeps);
  builder.RegisterService(&services_->artifacts);
  builder.RegisterService(&services_->workers);
  server_ = builder.BuildAndStart();
  if (server_ == nullptr || port == 0) {
    return absl::UnavailableError(absl::StrCat("cannot listen on ", EndpointText(listen),
                                               "; choose another address with --listen"));
  }
  endpoint_ = {listen.host, port};
  server_->GetHealthCheckService()->SetServingStatus(true);
  return absl::OkStatus();
}

Coordinator::~Coordinator() {
  if (server_ != nullptr) {
    server_->GetHealthCheckService()->SetServingStatus(false);
    // Agents are told before the connection goes, so that they come back at once.
    sessions_.EndAll(absl::UnavailableError("the coordinator is shutting down"));
    server_->Shutdown(std::chrono::system_clock::now() + std::chrono::seconds(1));
    server_->Wait();
  }
  services_.reset();
  io_.Drain();
  engine_.reset();
}

}  // namespace mead::service
