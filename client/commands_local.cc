#include <google/protobuf/struct.pb.h>

#include <algorithm>
#include <filesystem>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "client/commands.h"
#include "client/interrupt.h"
#include "client/local_cluster.h"
#include "client/table.h"
#include "common/gpus.h"
#include "common/status_util.h"

namespace mead::client {
namespace {

constexpr char kContext[] = "local";
constexpr absl::Duration kWatchEvery = absl::Milliseconds(500);

// --dir, else where the context `local` lies, else the default; always absolute.
absl::StatusOr<std::string> ResolveDir(Session& session, const std::string& dir) {
  std::string chosen = dir;
  if (chosen.empty()) {
    MEAD_ASSIGN_OR_RETURN(const Config config, Config::Load(ConfigPath(session.terminal)));
    const auto it = config.contexts.find(kContext);
    if (it != config.contexts.end()) chosen = it->second.dir;
  }
  if (chosen.empty()) chosen = DefaultLocalDir(session.terminal);
  return std::filesystem::absolute(chosen).lexically_normal().string();
}

absl::Status SelectContext(Session& session, const Endpoints& endpoints, const std::string& dir) {
  const std::string path = ConfigPath(session.terminal);
  MEAD_ASSIGN_OR_RETURN(Config config, Config::Load(path));
  config.contexts[kContext] = {endpoints.grpc, endpoints.http, dir};
  config.current = kContext;
  MEAD_RETURN_IF_ERROR(config.Save(path));
  const std::string server = session.terminal.Env("MEAD_SERVER");
  if (!server.empty() && server != endpoints.grpc) {
    session.terminal.err << "mead: MEAD_SERVER is set, so commands still go to " << server << "\n";
  }
  return absl::OkStatus();
}

// Stays until Ctrl-C; a daemon that ends in the meantime is told of, a coordinator ends it all.
int StayInForeground(Session& session, LocalCluster* cluster) {
  session.terminal.err << "mead: the cluster runs in the foreground; Ctrl-C stops it\n";
  int exit_code = kExitDone;
  while (InterruptibleSleep(kWatchEvery)) {
    const Daemon* dead = cluster->FirstDead();
    if (dead == nullptr) continue;
    session.terminal.err << "mead: the " << dead->name() << " " << dead->Ending() << "; the end of "
                         << dead->log_path() << ":\n  "
                         << absl::StrReplaceAll(dead->LogTail(15), {{"\n", "\n  "}}) << "\n";
    exit_code = kExitFailed;
    break;
  }
  session.terminal.err << "mead: stopping the cluster\n";
  cluster->Down();
  return exit_code;
}

// A worker's slot i is the machine's GPU i, so that one worker must own them all.
absl::StatusOr<LocalUpOptions> WithDefaults(LocalUpOptions options) {
  const int gpus = options.accelerator == "cpu" ? 0 : CountGpus();
  if (gpus > 0 && options.workers > 1) {
    return absl::InvalidArgumentError(
        absl::StrCat("this machine has GPUs, and ", options.workers,
                     " workers would share them; leave --workers out for one worker that owns them "
                     "all, or say --accelerator cpu"));
  }
  if (options.workers == 0) options.workers = gpus > 0 ? 1 : 2;
  if (options.slots == 0) options.slots = std::max(1, gpus);
  return options;
}

}  // namespace

absl::StatusOr<int> LocalUp(Session& session, const LocalUpOptions& asked) {
  MEAD_ASSIGN_OR_RETURN(const LocalUpOptions options, WithDefaults(asked));
  MEAD_ASSIGN_OR_RETURN(const std::string dir, ResolveDir(session, options.dir));
  LocalCluster cluster(dir);
  session.terminal.err << "mead: starting a coordinator and " << options.workers
                       << (options.workers == 1 ? " worker in " : " workers in ") << dir << "\n";
  MEAD_RETURN_IF_ERROR(cluster.Up(options));
  MEAD_ASSIGN_OR_RETURN(const Endpoints endpoints, cluster.ReadEndpoints());
  MEAD_RETURN_IF_ERROR(SelectContext(session, endpoints, dir));
  google::protobuf::Struct summary;
  auto& fields = *summary.mutable_fields();
  fields["server"].set_string_value(endpoints.grpc);
  fields["http"].set_string_value(endpoints.http);
  fields["dir"].set_string_value(dir);
  fields["workers"].set_number_value(options.workers);
  fields["slots"].set_number_value(options.workers * options.slots);
  if (!session.Print(summary)) {
    if (session.names_only()) {
      session.terminal.out << endpoints.grpc << "\n";
    } else {
      session.terminal.out << "coordinator  " << endpoints.grpc << "\nstatus page  http://"
                           << endpoints.http << "/\nworkers      " << options.workers << " with "
                           << options.slots << (options.slots == 1 ? " slot" : " slots")
                           << " each\nlogs         " << dir << "/logs\n";
    }
    session.terminal.out << std::flush;
  }
  if (!options.detach) return StayInForeground(session, &cluster);
  return kExitDone;
}

absl::StatusOr<int> LocalDown(Session& session, const std::string& dir) {
  MEAD_ASSIGN_OR_RETURN(const std::string resolved, ResolveDir(session, dir));
  LocalCluster cluster(resolved);
  const int stopped = cluster.Down();
  session.terminal.err << (stopped == 0 ? absl::StrCat("mead: no cluster runs in ", resolved, "\n")
                                        : absl::StrCat("mead: stopped ", stopped, " processes in ",
                                                       resolved, "\n"));
  return kExitDone;
}

absl::StatusOr<int> LocalStatus(Session& session, const std::string& dir) {
  MEAD_ASSIGN_OR_RETURN(const std::string resolved, ResolveDir(session, dir));
  const LocalCluster cluster(resolved);
  const std::vector<Daemon> running = cluster.Running();
  const std::vector<std::string> known = cluster.Known();
  google::protobuf::Struct summary;
  auto& fields = *summary.mutable_fields();
  fields["dir"].set_string_value(resolved);
  const absl::StatusOr<Endpoints> endpoints = cluster.ReadEndpoints();
  if (!running.empty() && endpoints.ok()) {
    fields["server"].set_string_value(endpoints->grpc);
    fields["http"].set_string_value(endpoints->http);
  }
  Table table({{"PROCESS"}, {"STATE"}, {"PID", Align::kRight}, {"LOG"}});
  auto& list = *fields["processes"].mutable_list_value();
  for (const std::string& name : known) {
    const auto it = std::find_if(running.begin(), running.end(),
                                 [&](const Daemon& daemon) { return daemon.name() == name; });
    const bool alive = it != running.end();
    table.Add({name, alive ? Cell("running", Colour::kGreen) : Cell("dead", Colour::kRed),
               alive ? absl::StrCat(it->pid()) : "", cluster.LogPath(name)});
    auto& entry = *list.add_values()->mutable_struct_value()->mutable_fields();
    entry["name"].set_string_value(name);
    entry["running"].set_bool_value(alive);
    entry["pid"].set_number_value(alive ? it->pid() : 0);
    if (session.names_only()) session.terminal.out << name << "\n";
  }
  const int exit_code = !known.empty() && running.size() == known.size() ? kExitDone : kExitFailed;
  if (session.names_only() || session.Print(summary)) return exit_code;
  if (known.empty()) {
    session.terminal.out << "no cluster runs in " << resolved << "\n";
    session.terminal.err << "mead: \"mead local up --detach\" starts one\n";
    return exit_code;
  }
  if (!running.empty() && endpoints.ok()) {
    session.terminal.out << "coordinator  " << endpoints->grpc << "\nstatus page  http://"
                         << endpoints->http << "/\n\n";
  }
  table.Print(session.terminal);
  if (exit_code != kExitDone) {
    session.terminal.err << "mead: \"mead local up --detach\" starts the dead ones again\n";
  }
  return exit_code;
}

}  // namespace mead::client
