// mead-coordinator: the one process that knows the cluster.
//
// Exit: 0 after SIGTERM or SIGINT, 2 wrong usage, a taken port or an unusable
//   folder, 74 the journal cannot be written any more (the engine's last word).

#include <malloc.h>
#include <signal.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "common/files.h"
#include "common/log.h"
#include "common/status_util.h"
#include "common/version.h"
#include "coordinator/service/coordinator.h"
#include "coordinator/web/http_server.h"

namespace mead {
namespace {

constexpr int kExitUsage = 2;

struct Flags {
  std::string dir;
  std::string listen = "127.0.0.1:7070";
  std::string http = "127.0.0.1:7071";
  std::string lease = "4s";
  std::string start_timeout = "600s";
  uint64_t min_free_bytes = 256ull << 20;
  uint64_t checkpoint_quota = 0;
};

absl::StatusOr<absl::Duration> ParsePositive(const std::string& text, const char* flag) {
  absl::Duration duration;
  if (!absl::ParseDuration(text, &duration) || duration <= absl::ZeroDuration()) {
    return absl::InvalidArgumentError(
        absl::StrCat(flag, " is a duration above 0 such as 4s or 500ms, not '", text, "'"));
  }
  return duration;
}

absl::StatusOr<service::CoordinatorOptions> OptionsOf(const Flags& flags) {
  service::CoordinatorOptions options;
  options.dir = flags.dir;
  MEAD_ASSIGN_OR_RETURN(options.listen, service::ParseEndpoint(flags.listen));
  MEAD_ASSIGN_OR_RETURN(options.lease, ParsePositive(flags.lease, "--lease"));
  MEAD_ASSIGN_OR_RETURN(const absl::Duration start_timeout,
                        ParsePositive(flags.start_timeout, "--start-timeout"));
  options.config.start_timeout = absl::ToInt64Microseconds(start_timeout);
  options.min_free_bytes = flags.min_free_bytes;
  options.checkpoint_quota_bytes = flags.checkpoint_quota;
  return options;
}

// An address at which this machine reaches itself, for programs that read
// endpoints.json: one cannot connect to 0.0.0.0 everywhere.
service::Endpoint Reachable(service::Endpoint endpoint) {
  if (endpoint.host == "0.0.0.0") endpoint.host = "127.0.0.1";
  if (endpoint.host == "::") endpoint.host = "::1";
  return endpoint;
}

absl::Status WriteEndpoints(const std::filesystem::path& dir, const service::Endpoint& grpc,
                            const service::Endpoint& http) {
  return WriteFileAtomically(
      dir / "endpoints.json",
      absl::StrCat("{\"grpc\": \"", service::EndpointText(Reachable(grpc)), "\", \"http\": \"",
                   service::EndpointText(Reachable(http)), "\", \"pid\": ", getpid(), "}\n"));
}

absl::Status Serve(const Flags& flags) {
  MEAD_ASSIGN_OR_RETURN(service::CoordinatorOptions options, OptionsOf(flags));
  MEAD_ASSIGN_OR_RETURN(const service::Endpoint http_listen, service::ParseEndpoint(flags.http));
  MEAD_RETURN_IF_ERROR(service::CheckCanListen(http_listen, "--http"));
  MEAD_RETURN_IF_ERROR(MakeDirs(options.dir));
  // Every thread inherits the mask, so the signals come to sigwait() alone.
  sigset_t stop_signals;
  sigemptyset(&stop_signals);
  sigaddset(&stop_signals, SIGTERM);
  sigaddset(&stop_signals, SIGINT);
  pthread_sigmask(SIG_BLOCK, &stop_signals, nullptr);
  signal(SIGPIPE, SIG_IGN);

  MEAD_ASSIGN_OR_RETURN(const auto coordinator, service::Coordinator::Start(options));
  MEAD_ASSIGN_OR_RETURN(const auto http,
                        web::HttpServer::Start(coordinator->context(), http_listen));
  MEAD_RETURN_IF_ERROR(
      WriteEndpoints(options.dir, coordinator->endpoint(), http->endpoint()));
  Log(LogLevel::kInfo, absl::StrCat("version ", kVersion, ", gRPC at ",
                                    service::EndpointText(coordinator->endpoint()),
                                    ", status page at http://",
                                    service::EndpointText(http->endpoint()), "/, data in ",
                                    options.dir.string()));
  int received = 0;
  sigwait(&stop_signals, &received);
  Log(LogLevel::kInfo,
      absl::StrCat("ending on ", strsignal(received),
                   "; workers go on training and come back when it is started again"));
  std::error_code ignored;
  std::filesystem::remove(options.dir / "endpoints.json", ignored);
  return absl::OkStatus();
}

int Main(int argc, char** argv) {
  SetLogProcessName("mead-coordinator");
  // gRPC's own errors repeat ours, in its words.
  setenv("GRPC_VERBOSITY", "NONE", /*overwrite=*/0);
  // Threads of the pools would each keep an arena of freed memory.
  mallopt(M_ARENA_MAX, 2);

  Flags flags;
  CLI::App app(
      "The coordinator of a Mead training cluster: keeps data sets, sweeps and the journal,\n"
      "schedules trials on workers (mead-worker), serves the API (gRPC) and the status page "
      "(HTTP).",
      "mead-coordinator");
  app.set_version_flag("--version", absl::StrCat("mead-coordinator ", kVersion));
  app.add_option("--dir", flags.dir,
                 "Folder for the journal and the artefacts; made if missing. Needs room for data "
                 "sets and checkpoints")
      ->required();
  app.add_option("--listen", flags.listen, "HOST:PORT of gRPC; port 0 takes any free one")
      ->capture_default_str();
  app.add_option("--http", flags.http,
                 "HOST:PORT of the status page, /api/v1, /healthz, /readyz and /metrics")
      ->capture_default_str();
  app.add_option("--lease", flags.lease,
                 "A worker that is silent for so long is lost and its trials start again")
      ->capture_default_str();
  app.add_option("--start-timeout", flags.start_timeout,
                 "A trial whose ranks are not all ready by then gives its slots back")
      ->capture_default_str();
  app.add_option("--min-free-bytes", flags.min_free_bytes,
                 "New sweeps, data sets and uploads are refused while the disk has less")
      ->capture_default_str();
  app.add_option("--checkpoint-quota", flags.checkpoint_quota,
                 "Bytes that checkpoints may take; beyond them those of ended trials go, oldest "
                 "first, then older ones of running trials, never a trial's best; 0: any number")
      ->capture_default_str();
  app.footer(
      "When it serves, DIR/endpoints.json names both addresses and the process.\n"
      "Exit: 0 ended by SIGTERM or SIGINT; 2 wrong usage, a taken port or an unusable folder;\n"
      "74 the journal could not be written (disk full or broken).");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : kExitUsage;
  }
  if (const absl::Status status = Serve(flags); !status.ok()) {
    Log(LogLevel::kError, ToStd(status.message()));
    return kExitUsage;
  }
  return 0;
}

}  // namespace
}  // namespace mead

int main(int argc, char** argv) { return mead::Main(argc, argv); }
