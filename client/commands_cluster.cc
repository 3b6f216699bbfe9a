#include <google/protobuf/struct.pb.h>

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "client/commands.h"
#include "client/format.h"
#include "client/table.h"
#include "client/trial_table.h"
#include "common/near_names.h"
#include "common/status_util.h"
#include "common/version.h"

namespace mead::client {
namespace {

using ClusterStub = ::mead::v1::ClusterService::Stub;
using ::mead::v1::Node;

Cell ConnectedCell(const Node& node) {
  if (node.draining() && node.connected()) return Cell("draining", Colour::kYellow);
  return node.connected() ? Cell("connected", Colour::kGreen) : Cell("lost", Colour::kRed);
}

Table NodeTable(const google::protobuf::RepeatedPtrField<Node>& nodes) {
  Table table({{"NODE"},
               {"STATE"},
               {"ACCELERATOR"},
               {"SLOTS", Align::kRight},
               {"IDLE", Align::kRight},
               {"TRIALS"},
               {"DEVICE"},
               {"ADDRESS"},
               {"VERSION"}});
  for (const Node& node : nodes) {
    int idle = 0;
    std::vector<std::string> trials;
    for (const auto& slot : node.slots()) {
      if (slot.state() == mead::v1::SLOT_STATE_IDLE) ++idle;
      const std::string& id = slot.trial_id();
      if (!id.empty() && std::find(trials.begin(), trials.end(), id) == trials.end()) {
        trials.push_back(id);
      }
    }
    std::string text;
    for (const std::string& id : trials) absl::StrAppend(&text, text.empty() ? "" : " ", id);
    table.Add({node.id(), ConnectedCell(node), node.accelerator(), absl::StrCat(node.slots_size()),
               absl::StrCat(idle), text, node.device(), node.address(), node.version()});
  }
  return table;
}

absl::StatusOr<mead::v1::ListNodesResponse> FetchNodes(Session& session) {
  MEAD_ASSIGN_OR_RETURN(Connection* const server, session.Server());
  mead::v1::ListNodesResponse response;
  MEAD_RETURN_IF_ERROR(server->Call(server->cluster(), &ClusterStub::ListNodes,
                                    mead::v1::ListNodesRequest(), &response));
  return response;
}

absl::StatusOr<Config> LoadConfig(Session& session) {
  return Config::Load(ConfigPath(session.terminal));
}

absl::Status NoSuchContext(const Config& config, const std::string& name) {
  std::vector<std::string> names;
  for (const auto& [known, entry] : config.contexts) names.push_back(known);
  return absl::NotFoundError(
      absl::StrCat("no context \"", name, "\"", DidYouMean(name, names),
                   "\n  \"mead context list\" shows them, \"mead context add NAME HOST:PORT\" "
                   "makes one"));
}

}  // namespace

absl::StatusOr<int> ShowStatus(Session& session) {
  MEAD_ASSIGN_OR_RETURN(Connection* const server, session.Server());
  mead::v1::GetStatusResponse status;
  MEAD_RETURN_IF_ERROR(server->Call(server->cluster(), &ClusterStub::GetStatus,
                                    mead::v1::GetStatusRequest(), &status));
  if (session.Print(status)) return kExitDone;
  std::ostream& out = session.terminal.out;
  if (session.names_only()) {
    out << server->address() << "\n";
    return kExitDone;
  }
  out << "coordinator " << server->address() << ", version " << status.version() << ", up "
      << HumanDuration(FromProto(status.time()) - FromProto(status.start_time())) << ", "
      << HumanBytes(status.disk_free_bytes()) << " of disk free\n";
  if (!session.http().empty()) out << "status page http://" << session.http() << "/\n";
  out << status.nodes_size() << (status.nodes_size() == 1 ? " node" : " nodes") << ", "
      << status.slots_idle() << " of " << status.slots_total() << " slots idle, "
      << status.active_trials_size() << " trials active, " << status.trials_queued() << " queued\n";
  for (const auto& condition : status.conditions()) {
    out << session.terminal.Paint(Colour::kYellow,
                                  absl::StrCat("! ", condition.name(), ": ", condition.message()))
        << "\n";
  }
  if (status.nodes_size() > 0) {
    out << "\n";
    NodeTable(status.nodes()).Print(session.terminal);
  }
  bool first = true;
  for (const auto& sweep : status.sweeps()) {
    if (HasEnded(sweep.state())) continue;
    if (first) out << "\n";
    first = false;
    out << SweepLine(session.terminal, sweep) << "\n";
  }
  if (status.active_trials_size() > 0) {
    out << "\n";
    for (const auto& trial : status.active_trials()) out << TrialLine(trial) << "\n";
  }
  return kExitDone;
}

absl::StatusOr<int> ListNodes(Session& session) {
  MEAD_ASSIGN_OR_RETURN(const mead::v1::ListNodesResponse response, FetchNodes(session));
  if (session.Print(response)) return kExitDone;
  if (session.names_only()) {
    for (const Node& node : response.nodes()) session.terminal.out << node.id() << "\n";
  } else if (response.nodes().empty()) {
    session.terminal.err << "mead: no nodes; start one with \"mead-worker --coordinator "
                         << (*session.Server())->address() << " --slots N\"\n";
  } else {
    NodeTable(response.nodes()).Print(session.terminal);
  }
  return kExitDone;
}

absl::StatusOr<int> DescribeNode(Session& session, const std::string& id) {
  MEAD_ASSIGN_OR_RETURN(const mead::v1::ListNodesResponse response, FetchNodes(session));
  const Node* found = nullptr;
  int matches = 0;
  std::vector<std::string> names;
  for (const Node& node : response.nodes()) {
    names.push_back(node.id());
    if (node.id() == id ||
        (node.id().rfind(id, 0) == 0 && (found == nullptr || found->id() != id))) {
      matches = node.id() == id ? 1 : matches + 1;
      found = &node;
    }
  }
  if (found == nullptr || (matches > 1 && found->id() != id)) {
    return absl::NotFoundError(found == nullptr
                                   ? absl::StrCat("no node \"", id, "\"", DidYouMean(id, names))
                                   : absl::StrCat("\"", id, "\" fits ", matches, " nodes"));
  }
  if (session.Print(*found)) return kExitDone;
  std::ostream& out = session.terminal.out;
  if (session.names_only()) {
    out << found->id() << "\n";
    return kExitDone;
  }
  const Cell state = ConnectedCell(*found);
  out << "node:        " << found->id()
      << "\nstate:       " << session.terminal.Paint(state.colour, state.text)
      << "\naddress:     " << found->address() << "\nversion:     " << found->version()
      << "\naccelerator: " << found->accelerator() << "\ndevice:      " << found->device()
      << "\nincarnation: " << found->incarnation()
      << "\nheartbeat:   " << HumanTime(found->last_heartbeat()) << "\n\n";
  Table table({{"SLOT", Align::kRight}, {"STATE"}, {"TRIAL"}, {"RANK", Align::kRight}});
  for (const auto& slot : found->slots()) {
    table.Add({absl::StrCat(slot.index()), StateName(slot.state()), slot.trial_id(),
               slot.trial_id().empty() ? "" : absl::StrCat(slot.rank())});
  }
  table.Print(session.terminal);
  return kExitDone;
}

absl::StatusOr<int> ListContexts(Session& session) {
  MEAD_ASSIGN_OR_RETURN(const Config config, LoadConfig(session));
  Table table({{""}, {"CONTEXT"}, {"SERVER"}, {"STATUS PAGE"}, {"LOCAL FOLDER"}});
  google::protobuf::Struct all;
  (*all.mutable_fields())["current"].set_string_value(config.current);
  auto& contexts = *(*all.mutable_fields())["contexts"].mutable_struct_value()->mutable_fields();
  for (const auto& [name, entry] : config.contexts) {
    table.Add({name == config.current ? "*" : "", name, entry.server, entry.http, entry.dir});
    if (session.names_only()) session.terminal.out << name << "\n";
    auto& fields = *contexts[name].mutable_struct_value()->mutable_fields();
    fields["server"].set_string_value(entry.server);
    fields["http"].set_string_value(entry.http);
    fields["dir"].set_string_value(entry.dir);
  }
  if (session.names_only() || session.Print(all)) return kExitDone;
  if (table.rows() == 0) {
    session.terminal.err << "mead: no contexts yet; commands go to " << kDefaultServer << "\n";
  } else {
    table.Print(session.terminal);
  }
  return kExitDone;
}

absl::StatusOr<int> UseContext(Session& session, const std::string& name) {
  MEAD_ASSIGN_OR_RETURN(Config config, LoadConfig(session));
  const auto it = config.contexts.find(name);
  if (it == config.contexts.end()) return NoSuchContext(config, name);
  config.current = name;
  MEAD_RETURN_IF_ERROR(config.Save(ConfigPath(session.terminal)));
  session.terminal.out << (session.names_only()
                               ? name
                               : absl::StrCat("commands now go to ", it->second.server,
                                              " (context ", name, ")"))
                       << "\n";
  return kExitDone;
}

absl::StatusOr<int> AddContext(Session& session, const std::string& name, const std::string& server,
                               const std::string& http) {
  MEAD_RETURN_IF_ERROR(CheckAddress(server, "SERVER"));
  if (!http.empty()) MEAD_RETURN_IF_ERROR(CheckAddress(http, "--http"));
  MEAD_ASSIGN_OR_RETURN(Config config, LoadConfig(session));
  config.contexts[name] = {server, http, ""};
  MEAD_RETURN_IF_ERROR(config.Save(ConfigPath(session.terminal)));
  return UseContext(session, name);
}

absl::StatusOr<int> RemoveContext(Session& session, const std::string& name) {
  MEAD_ASSIGN_OR_RETURN(Config config, LoadConfig(session));
  if (config.contexts.erase(name) == 0) return NoSuchContext(config, name);
  if (config.current == name) config.current.clear();
  MEAD_RETURN_IF_ERROR(config.Save(ConfigPath(session.terminal)));
  session.terminal.out << (session.names_only() ? name : absl::StrCat("removed context ", name))
                       << "\n";
  return kExitDone;
}

absl::StatusOr<int> ShowVersion(Session& session) {
  google::protobuf::Struct version;
  (*version.mutable_fields())["version"].set_string_value(kVersion);
  (*version.mutable_fields())["protocol"].set_number_value(kProtocolVersion);
  if (session.Print(version)) return kExitDone;
  session.terminal.out << "mead " << kVersion << " (protocol " << kProtocolVersion << ")\n";
  return kExitDone;
}

}  // namespace mead::client
