#include "client/local_cluster.h"

#include <sys/file.h>
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <filesystem>
#include <thread>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/time/clock.h"
#include "client/interrupt.h"
#include "common/files.h"
#include "common/status_util.h"

namespace mead::client {
namespace {

namespace fs = std::filesystem;

constexpr char kCoordinator[] = "coordinator";
constexpr absl::Duration kPoll = absl::Milliseconds(30);
// How long a daemon may take to end its own children and files.
constexpr absl::Duration kGrace = absl::Seconds(15);
constexpr int kTailLines = 15;

std::string WorkerName(int index) { return absl::StrCat("worker-", index); }

absl::StatusOr<std::string> ProgramFolder() {
  std::error_code error;
  const fs::path self = fs::read_symlink("/proc/self/exe", error);
  if (error) return absl::InternalError("cannot tell where this program lies (/proc/self/exe)");
  return self.parent_path().string();
}

}  // namespace

absl::Status LocalCluster::Up(const LocalUpOptions& options) {
  MEAD_RETURN_IF_ERROR(MakeDirs(dir_ + "/run"));
  // Two commands at once would start everything twice.
  const std::string lock_path = dir_ + "/run/lock";
  const ScopedFd lock(open(lock_path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0644));
  if (!lock.valid()) return ErrnoStatus(errno, lock_path);
  if (flock(lock.get(), LOCK_EX | LOCK_NB) != 0) {
    return absl::FailedPreconditionError(
        absl::StrCat("another \"mead local up\" is at work in ", dir_, "; wait for it"));
  }
  const absl::Status status = StartAll(options);
  if (!status.ok()) {
    for (auto it = started_.rbegin(); it != started_.rend(); ++it) daemons_[*it].RequestStop();
    for (auto it = started_.rbegin(); it != started_.rend(); ++it) {
      daemons_[*it].WaitForEnd(kGrace);
    }
  }
  return status;
}

absl::Status LocalCluster::StartAll(const LocalUpOptions& options) {
  MEAD_ASSIGN_OR_RETURN(const std::string programs, ProgramFolder());
  const absl::Time deadline = absl::Now() + absl::Seconds(options.timeout_s);
  const absl::StatusOr<Endpoints> before = ReadEndpoints();
  MEAD_RETURN_IF_ERROR(Ensure(kCoordinator,
                              {programs + "/mead-coordinator", "--dir", dir_, "--listen",
                               absl::StrCat("127.0.0.1:", options.port), "--http",
                               absl::StrCat("127.0.0.1:", options.http_port)},
                              options));
  MEAD_RETURN_IF_ERROR(WaitUntilReady(deadline));
  // Workers that outlived their coordinator look for it where it was.
  if (before.ok() && before->grpc != endpoints_.grpc) StopWorkers(Running());
  // The workers do not know of each other: each would take all cores for its own slots.
  const int cores = static_cast<int>(std::thread::hardware_concurrency());
  const int threads = std::max(1, cores / std::max(1, options.workers * options.slots));
  for (int i = 1; i <= options.workers; ++i) {
    const std::string name = WorkerName(i);
    std::vector<std::string> command = {programs + "/mead-worker",
                                        "--coordinator",
                                        endpoints_.grpc,
                                        "--slots",
                                        absl::StrCat(options.slots),
                                        "--threads",
                                        absl::StrCat(threads),
                                        "--dir",
                                        absl::StrCat(dir_, "/workers/", name),
                                        "--name",
                                        name,
                                        "--address",
                                        "127.0.0.1",
                                        "--grace-period",
                                        absl::StrCat(absl::ToInt64Seconds(kGrace) - 3)};
    if (!options.accelerator.empty()) {
      command.insert(command.end(), {"--accelerator", options.accelerator});
    }
    MEAD_RETURN_IF_ERROR(Ensure(name, std::move(command), options));
  }
  return WaitForWorkers(options.workers, deadline);
}

absl::Status LocalCluster::Ensure(const std::string& name, std::vector<std::string> command,
                                  const LocalUpOptions& options) {
  if (auto running = Daemon::Find(name, PidPath(name), LogPath(name))) {
    daemons_.push_back(*std::move(running));
    return absl::OkStatus();
  }
  DaemonOptions daemon;
  daemon.name = name;
  daemon.command = std::move(command);
  daemon.pid_path = PidPath(name);
  daemon.log_path = LogPath(name);
  daemon.dies_with_parent = !options.detach;
  MEAD_ASSIGN_OR_RETURN(Daemon started, Daemon::Start(daemon));
  started_.push_back(daemons_.size());
  daemons_.push_back(std::move(started));
  return absl::OkStatus();
}

const Daemon* LocalCluster::FirstDead() const {
  for (const Daemon& daemon : daemons_) {
    if (!daemon.IsRunning()) return &daemon;
  }
  return nullptr;
}

absl::Status LocalCluster::CheckAlive() const {
  if (Interrupted()) return absl::CancelledError("interrupted; the cluster was stopped");
  const Daemon* dead = FirstDead();
  if (dead == nullptr) return absl::OkStatus();
  const std::string tail = dead->LogTail(kTailLines);
  return absl::FailedPreconditionError(absl::StrCat(
      "the ", dead->name(), " ", dead->Ending(), "; the end of ", dead->log_path(), ":\n  ",
      tail.empty() ? "(empty)" : absl::StrReplaceAll(tail, {{"\n", "\n  "}}),
      dead->name() == kCoordinator ? "\n  with mead local up that is --port N or --http-port N"
                                   : ""));
}

absl::StatusOr<Endpoints> LocalCluster::ReadEndpoints() const {
  MEAD_ASSIGN_OR_RETURN(const std::string text, ReadFile(dir_ + "/endpoints.json"));
  try {
    const YAML::Node root = YAML::Load(text);  // JSON is YAML
    return Endpoints{root["grpc"].as<std::string>(), root["http"].as<std::string>(),
                     root["pid"].as<int>()};
  } catch (const YAML::Exception& error) {
    return absl::InternalError(absl::StrCat(dir_, "/endpoints.json: ", error.what()));
  }
}

absl::Status LocalCluster::WaitUntilReady(absl::Time deadline) {
  const Daemon& coordinator = daemons_.front();
  while (true) {
    MEAD_RETURN_IF_ERROR(CheckAlive());
    // An older coordinator may have left its file behind.
    const absl::StatusOr<Endpoints> endpoints = ReadEndpoints();
    if (endpoints.ok() && endpoints->pid == coordinator.pid()) {
      endpoints_ = *endpoints;
      return absl::OkStatus();
    }
    if (absl::Now() > deadline) {
      return absl::DeadlineExceededError(
          absl::StrCat("the coordinator is not ready in time; its log: ", coordinator.log_path()));
    }
    (void)InterruptibleSleep(kPoll);
  }
}

absl::Status LocalCluster::WaitForWorkers(int workers, absl::Time deadline) {
  Connection connection(endpoints_.grpc, "the local cluster");
  while (true) {
    MEAD_RETURN_IF_ERROR(CheckAlive());
    mead::v1::ListNodesResponse response;
    MEAD_RETURN_IF_ERROR(connection.Call(connection.cluster(),
                                         &mead::v1::ClusterService::Stub::ListNodes,
                                         mead::v1::ListNodesRequest(), &response));
    std::string missing;
    for (int i = 1; i <= workers; ++i) {
      const std::string name = WorkerName(i);
      const bool there =
          std::any_of(response.nodes().begin(), response.nodes().end(),
                      [&](const auto& node) { return node.id() == name && node.connected(); });
      if (!there && missing.empty()) missing = name;
    }
    if (missing.empty()) return absl::OkStatus();
    if (absl::Now() > deadline) {
      return absl::DeadlineExceededError(
          absl::StrCat(missing, " has not registered in time; its log: ", LogPath(missing)));
    }
    (void)InterruptibleSleep(kPoll);
  }
}

std::vector<std::string> LocalCluster::Known() const {
  std::vector<std::string> names;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(dir_ + "/run", error)) {
    if (entry.path().extension() == ".pid") names.push_back(entry.path().stem().string());
  }
  // "coordinator" sorts before "worker-1"; worker-10 after worker-9.
  std::sort(names.begin(), names.end(), [](const std::string& a, const std::string& b) {
    return a.size() != b.size() && a[0] == b[0] ? a.size() < b.size() : a < b;
  });
  return names;
}

std::vector<Daemon> LocalCluster::Running() const {
  std::vector<Daemon> running;
  for (const std::string& name : Known()) {
    if (auto daemon = Daemon::Find(name, PidPath(name), LogPath(name))) {
      running.push_back(*std::move(daemon));
    }
  }
  return running;
}

void LocalCluster::StopWorkers(const std::vector<Daemon>& running) {
  const auto is_worker = [](const Daemon& daemon) { return daemon.name() != kCoordinator; };
  for (const Daemon& daemon : running) {
    if (is_worker(daemon)) daemon.RequestStop();
  }
  for (const Daemon& daemon : running) {
    if (is_worker(daemon)) daemon.WaitForEnd(kGrace);
  }
}

int LocalCluster::Down() {
  // What this object started are children, whose ends only it can collect.
  std::vector<Daemon> running = started_.empty() ? Running() : daemons_;
  // Workers first, so that the coordinator sees them leave.
  StopWorkers(running);
  for (const Daemon& daemon : running) {
    if (daemon.name() != kCoordinator) continue;
    daemon.RequestStop();
    daemon.WaitForEnd(kGrace);
  }
  std::error_code error;
  for (const std::string& name : Known()) fs::remove(PidPath(name), error);
  return static_cast<int>(running.size());
}

}  // namespace mead::client
