#include "worker/agent/worker_main.h"

#include <signal.h>

#include <CLI/CLI.hpp>
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <memory>
#include <string>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/gpus.h"
#include "common/log.h"
#include "common/version.h"
#include "worker/agent/agent.h"
#include "worker/agent/health.h"
#include "worker/agent/host.h"

namespace {

constexpr int kFault = 1;
constexpr int kRefused = 2;

std::filesystem::path DefaultDir() {
  if (const char* cache = std::getenv("XDG_CACHE_HOME")) {
    return std::filesystem::path(cache) / "mead-worker";
  }
  const char* home = std::getenv("HOME");
  return std::filesystem::path(home != nullptr ? home : "/var/tmp") / ".cache" / "mead-worker";
}

bool IsWorkerName(const std::string& name) {
  return !name.empty() && name.size() <= 63 &&
         name.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789.-") == std::string::npos;
}

}  // namespace

namespace mead::agent {

int WorkerMain(int argc, char** argv, int protocol_version) {
  mead::SetLogProcessName("mead-worker");
  mead::agent::AgentOptions options;
  options.protocol_version = protocol_version;
  std::string accelerator = "auto";
  std::filesystem::path dir = DefaultDir();
  std::string probe;
  int slots = 0;
  int threads = 0;
  auto grace_s = absl::ToInt64Seconds(options.grace);
  options.name = mead::agent::DefaultWorkerName();
  std::error_code error;
  options.trainer =
      std::filesystem::read_symlink("/proc/self/exe", error).parent_path() / "mead-trainer";

  CLI::App app(
      "A node's agent of a Mead cluster: offers its slots to the coordinator and runs "
      "the trainers.");
  app.add_option("--coordinator", options.coordinator, "the coordinator's gRPC address, HOST:PORT");
  app.add_option("--slots", slots, "ranks that may run here at once; by default one per GPU, or 1")
      ->check(CLI::Range(1, 1024));
  app.add_option("--dir", dir, "where shards, checkpoints and work files are kept")
      ->capture_default_str();
  app.add_option("--name", options.name, "this worker's id, the same for the life of the node")
      ->capture_default_str();
  app.add_option("--address", options.address,
                 "where the other ranks reach this host; by default the address that faces the "
                 "coordinator");
  app.add_option("--accelerator", accelerator, "cpu, gpu, or auto: gpu where there is one")
      ->check(CLI::IsMember({"auto", "cpu", "gpu"}))
      ->capture_default_str();
  app.add_option("--cache-bytes", options.cache_bytes, "bound of the cache of data on disk")
      ->capture_default_str();
  app.add_option("--decoded-cache-bytes", options.decoded_cache_bytes,
                 "disk for decoded pictures, which all trainers here share, beside --cache-bytes; "
                 "0: none, every trial decodes for itself; by default half of --cache-bytes");
  app.add_option("--threads", threads, "CPU threads per slot; by default the cores over the slots")
      ->check(CLI::Range(1, 1024));
  app.add_option("--grace-period", grace_s,
                 "after SIGTERM, seconds for trainers to save what they trained and for the "
                 "coordinator to store it; a second SIGTERM ends them at once")
      ->check(CLI::Range(0, 86400))
      ->capture_default_str();
  app.add_option("--trainer", options.trainer, "the mead-trainer program")->capture_default_str();
  app.add_option("--probe", probe,
                 "ask the worker that runs in --dir how it is and exit 0 or 1: live, or ready "
                 "(it has a session with the coordinator)")
      ->check(CLI::IsMember({"live", "ready"}));
  app.set_version_flag("--version", std::string(mead::kVersion));
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& parse_error) {
    return app.exit(parse_error) == 0 ? 0 : kRefused;
  }
  if (app.count("--decoded-cache-bytes") == 0)
    options.decoded_cache_bytes = options.cache_bytes / 2;
  options.grace = absl::Seconds(grace_s);
  if (!probe.empty()) {
    const absl::Status health = mead::agent::ProbeHealth(dir, probe == "ready", absl::Now());
    if (health.ok()) return 0;
    std::cerr << "mead-worker: " << std::string(health.message()) << "\n";
    return kFault;
  }
  if (options.coordinator.empty()) {
    std::cerr << "mead-worker: --coordinator HOST:PORT is needed\n";
    return kRefused;
  }
  if (!IsWorkerName(options.name)) {
    std::cerr << "mead-worker: --name must be 1 to 63 of a-z, 0-9, '.' and '-', got '"
              << options.name << "'\n";
    return kRefused;
  }
  const int gpus = mead::CountGpus();
  options.gpu = accelerator == "gpu" || (accelerator == "auto" && gpus > 0);
  if (options.gpu && slots > gpus) {
    std::cerr << "mead-worker: --slots " << slots << " needs as many GPUs, and the driver shows "
              << gpus << " here\n";
    return kRefused;
  }
  if (options.gpu && gpus == 0) {
    std::cerr << "mead-worker: --accelerator gpu, but the driver shows no GPU here\n";
    return kRefused;
  }
  options.slots = slots > 0 ? slots : options.gpu ? gpus : 1;
  options.threads_per_slot =
      threads > 0 ? threads : std::max(1, mead::UsableCores() / options.slots);
  options.device = mead::DeviceName(options.gpu);
  options.dir = std::filesystem::absolute(dir);
  if (options.address.empty()) {
    const absl::StatusOr<std::string> address =
        mead::agent::LocalAddressTowards(options.coordinator);
    if (!address.ok()) {
      const bool usage = address.status().code() == absl::StatusCode::kInvalidArgument;
      std::cerr << "mead-worker: --coordinator: " << std::string(address.status().message())
                << (usage ? "" : "; give --address HOST to start all the same") << "\n";
      return usage ? kRefused : kFault;
    }
    options.address = *address;
  }

  // Blocked before any thread starts, so that only the thread below gets them.
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGUSR1);  // ends the waiting below
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  signal(SIGPIPE, SIG_IGN);

  absl::StatusOr<std::unique_ptr<mead::agent::Agent>> agent =
      mead::agent::Agent::Create(std::move(options));
  if (!agent.ok()) {
    mead::Log(mead::LogLevel::kError, std::string(agent.status().message()));
    return agent.status().code() == absl::StatusCode::kFailedPrecondition ? kRefused : kFault;
  }
  std::jthread waiter([&] {
    for (int signal = 0;;) {
      sigwait(&signals, &signal);
      if (signal == SIGUSR1) return;
      mead::Log(mead::LogLevel::kInfo, absl::StrCat("ending after ", strsignal(signal)));
      (*agent)->RequestStop();
    }
  });
  const absl::Status status = (*agent)->Run();
  pthread_kill(waiter.native_handle(), SIGUSR1);
  waiter.join();
  if (status.ok()) return 0;
  mead::Log(mead::LogLevel::kError,
            absl::StrCat("the coordinator refuses this worker: ", std::string(status.message())));
  return kRefused;
}

}  // namespace mead::agent
