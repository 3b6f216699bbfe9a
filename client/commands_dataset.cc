#include <unistd.h>

#include <filesystem>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/commands.h"
#include "client/format.h"
#include "client/interrupt.h"
#include "client/leakage_lines.h"
#include "client/progress.h"
#include "client/scratch_folder.h"
#include "client/stream.h"
#include "client/table.h"
#include "client/upload.h"
#include "common/dataset/build.h"
#include "common/dataset/manifest.h"
#include "common/dataset/synth.h"
#include "common/files.h"
#include "common/sha256.h"
#include "common/status_util.h"

namespace mead::client {
namespace {

namespace fs = std::filesystem;

using DatasetStub = ::mead::v1::DatasetService::Stub;
using ::mead::v1::Dataset;

// Every byte is read on the server, at a disk's speed.
constexpr absl::Duration kVerifyDeadline = absl::Minutes(30);
constexpr absl::Duration kImportDeadline = absl::Hours(12);
// The shards are read and their manifest checked before the answer.
constexpr absl::Duration kCreateDeadline = absl::Minutes(5);
constexpr int kShownQuarantined = 10;

// Building is long work on many threads that nothing can call back: an interrupt during it clears
// the folder and ends the process.
void EndProcess(const Terminal& terminal, const ScratchFolder& scratch) {
  terminal.err << "\nmead: interrupted; nothing was added\n" << std::flush;
  scratch.Remove();
  _exit(kExitInterrupted);
}

// Says what was made of the pictures, what was left out and why, and what leaks.
absl::StatusOr<int> ReportDataset(Session& session, Connection* server, Dataset dataset) {
  if (dataset.leakage().straddling_groups() > 0 || dataset.leakage().label_conflicts() > 0) {
    mead::v1::GetDatasetRequest request;  // its answer has the names
    request.set_name(dataset.name());
    mead::v1::GetDatasetResponse response;
    MEAD_RETURN_IF_ERROR(
        server->Call(server->datasets(), &DatasetStub::GetDataset, request, &response));
    dataset = std::move(*response.mutable_dataset());
  }
  const auto& quarantined = dataset.quarantined();
  if (!quarantined.empty()) {
    session.terminal.err << session.terminal.Paint(
        Colour::kYellow, absl::StrCat("mead: ", quarantined.size(), " files were left out:\n"));
    for (int i = 0; i < std::min(quarantined.size(), kShownQuarantined); ++i) {
      session.terminal.err << "  " << quarantined[i].path() << ": " << quarantined[i].reason()
                           << "\n";
    }
    if (quarantined.size() > kShownQuarantined) {
      session.terminal.err << "  ... (mead dataset describe " << dataset.name()
                           << " lists them all)\n";
    }
  }
  WarnOfLeakage(session, dataset);
  if (session.Print(dataset)) return kExitDone;
  if (session.names_only()) {
    session.terminal.out << dataset.name() << "\n";
  } else {
    session.terminal.out << absl::StrFormat(
        "data set %s: %d classes, %d training and %d validation images (split: %s), %s in %d "
        "shards\n",
        dataset.name(), dataset.classes_size(), dataset.train_samples(), dataset.val_samples(),
        dataset.split_method(), HumanBytes(dataset.total_bytes()), dataset.shards());
    const std::string leakage = LeakageLine(dataset);
    if (!leakage.empty()) session.terminal.out << "leakage: " << leakage << "\n";
  }
  return kExitDone;
}

dataset::Progress BuildProgress(ProgressLine* line) {
  return [line](std::string_view phase, uint64_t done, uint64_t total) {
    line->Update(std::string(phase), done, total, ProgressLine::Unit::kItems);
  };
}

absl::StatusOr<dataset::Manifest> Build(Session& session, const dataset::BuildOptions& options,
                                        const ScratchFolder& scratch) {
  const InterruptScope scope([&] { EndProcess(session.terminal, scratch); });
  return dataset::BuildDataset(options);
}

absl::StatusOr<int> BuildAndUpload(Session& session, Connection* server,
                                   const AddDatasetOptions& options, const ScratchFolder& scratch) {
  const fs::path out_dir = scratch.path() / "shards";
  ProgressLine line(session.terminal);
  dataset::BuildOptions build;
  build.name = options.name;
  build.path = options.path;
  build.val_fraction = options.val_fraction;
  build.seed = options.seed;
  build.leakage_guard = !options.no_leakage_guard;
  build.drop_straddling = options.drop_straddling;
  build.group_by = options.group_by;
  build.out_dir = out_dir.string();
  build.progress = BuildProgress(&line);
  MEAD_ASSIGN_OR_RETURN(const dataset::Manifest manifest, Build(session, build, scratch));
  const std::string manifest_path = (out_dir / dataset::kManifestFileName).string();
  MEAD_ASSIGN_OR_RETURN(const std::string manifest_digest, DigestOfFile(manifest_path));
  MEAD_ASSIGN_OR_RETURN(const std::string manifest_text, ReadFile(manifest_path));
  // One figure over all files; what earlier tries had sent counts as done but not as speed.
  const uint64_t total = manifest.TotalBytes() + manifest_text.size();
  uint64_t before = 0;
  uint64_t resumed = 0;
  const auto upload = [&](const std::string& path, const std::string& digest, uint64_t size) {
    uint64_t resumed_here = 0;
    const absl::Status status =
        UploadFile(server, path, digest, [&](uint64_t done, uint64_t, uint64_t resumed_at) {
          resumed_here = resumed_at;
          line.Update("upload", before + done, total, ProgressLine::Unit::kBytes,
                      resumed + resumed_at);
        });
    before += size;
    resumed += resumed_here;
    return status;
  };
  for (size_t i = 0; i < manifest.shards.size(); ++i) {
    MEAD_RETURN_IF_ERROR(upload((out_dir / dataset::ShardFileName(manifest, i)).string(),
                                manifest.shards[i].digest, manifest.shards[i].bytes));
  }
  MEAD_RETURN_IF_ERROR(upload(manifest_path, manifest_digest, manifest_text.size()));
  line.Finish();
  mead::v1::CreateDatasetRequest request;
  request.set_name(options.name);
  request.set_manifest_digest(manifest_digest);
  mead::v1::CreateDatasetResponse response;
  MEAD_RETURN_IF_ERROR(server->Call(server->datasets(), &DatasetStub::CreateDataset, request,
                                    &response, kCreateDeadline));
  return ReportDataset(session, server, response.dataset());
}

absl::StatusOr<int> ImportOnServer(Session& session, Connection* server,
                                   const AddDatasetOptions& options) {
  ProgressLine line(session.terminal);
  mead::v1::ImportDatasetRequest request;
  request.set_name(options.name);
  request.set_path(options.path);
  request.set_val_fraction(options.val_fraction);
  request.set_seed(options.seed);
  request.set_no_leakage_guard(options.no_leakage_guard);
  request.set_drop_straddling(options.drop_straddling);
  request.set_group_by(options.group_by);
  Dataset result;
  StreamOptions stream;
  stream.reconnect_for = absl::ZeroDuration();
  stream.deadline = kImportDeadline;
  MEAD_RETURN_IF_ERROR(ReadStream<mead::v1::ImportDatasetResponse>(
      *server,
      [&](grpc::ClientContext* context) {
        return server->datasets().ImportDataset(context, request);
      },
      [&](const mead::v1::ImportDatasetResponse& response) {
        if (response.has_dataset()) result = response.dataset();
        if (response.phase() != "done") {
          line.Update(response.phase(), response.done(), response.total(),
                      ProgressLine::Unit::kItems);
        }
        return true;
      },
      stream));
  line.Finish();
  if (result.name().empty()) {
    return absl::InternalError("the coordinator ended the import without a result; see its log");
  }
  return ReportDataset(session, server, result);
}

// Finds out before minutes of work whether a coordinator is there.
absl::StatusOr<Connection*> ReachableServer(Session& session) {
  MEAD_ASSIGN_OR_RETURN(Connection* const server, session.Server());
  mead::v1::ListDatasetsResponse response;
  MEAD_RETURN_IF_ERROR(server->Call(server->datasets(), &DatasetStub::ListDatasets,
                                    mead::v1::ListDatasetsRequest(), &response));
  return server;
}

}  // namespace

absl::StatusOr<int> AddDataset(Session& session, const AddDatasetOptions& options) {
  MEAD_ASSIGN_OR_RETURN(Connection* const server, ReachableServer(session));
  if (options.on_server) return ImportOnServer(session, server, options);
  MEAD_ASSIGN_OR_RETURN(const ScratchFolder scratch,
                        ScratchFolder::MakeIn(CacheDir(session.terminal)));
  return BuildAndUpload(session, server, options, scratch);
}

absl::StatusOr<int> SynthDataset(Session& session, const SynthDatasetOptions& options) {
  MEAD_ASSIGN_OR_RETURN(Connection* const server, ReachableServer(session));
  MEAD_ASSIGN_OR_RETURN(const ScratchFolder scratch,
                        ScratchFolder::MakeIn(CacheDir(session.terminal)));
  const fs::path pictures = scratch.path() / "pictures";
  {
    ProgressLine line(session.terminal);
    dataset::SynthOptions synth;
    synth.out_dir = pictures.string();
    synth.images_per_class = options.images_per_class;
    synth.size = options.size;
    synth.seed = options.seed;
    synth.progress = BuildProgress(&line);
    const InterruptScope scope([&] { EndProcess(session.terminal, scratch); });
    MEAD_RETURN_IF_ERROR(dataset::SynthesizeDataset(synth));
  }
  AddDatasetOptions add;
  add.name = options.name;
  add.path = pictures.string();
  add.val_fraction = options.val_fraction;
  add.seed = options.seed;
  return BuildAndUpload(session, server, add, scratch);
}

absl::StatusOr<int> ListDatasets(Session& session) {
  MEAD_ASSIGN_OR_RETURN(Connection* const server, session.Server());
  mead::v1::ListDatasetsResponse response;
  MEAD_RETURN_IF_ERROR(server->Call(server->datasets(), &DatasetStub::ListDatasets,
                                    mead::v1::ListDatasetsRequest(), &response));
  if (session.Print(response)) return kExitDone;
  Table table({{"DATA SET"},
               {"CLASSES", Align::kRight},
               {"TRAIN", Align::kRight},
               {"VALIDATION", Align::kRight},
               {"SIZE", Align::kRight},
               {"SPLIT"},
               {"LEFT OUT", Align::kRight},
               {"CREATED"}});
  for (const Dataset& dataset : response.datasets()) {
    if (session.names_only()) {
      session.terminal.out << dataset.name() << "\n";
      continue;
    }
    table.Add({dataset.name(), absl::StrCat(dataset.classes_size()),
               absl::StrCat(dataset.train_samples()), absl::StrCat(dataset.val_samples()),
               HumanBytes(dataset.total_bytes()), dataset.split_method(),
               absl::StrCat(dataset.quarantined_size()), HumanTime(dataset.create_time())});
  }
  if (session.names_only()) return kExitDone;
  if (table.rows() == 0) {
    session.terminal.err << "mead: no data sets yet; \"mead dataset add NAME PATH\" adds one\n";
  } else {
    table.Print(session.terminal);
  }
  return kExitDone;
}

absl::StatusOr<int> DescribeDataset(Session& session, const std::string& name) {
  MEAD_ASSIGN_OR_RETURN(Connection* const server, session.Server());
  mead::v1::GetDatasetRequest request;
  request.set_name(name);
  mead::v1::GetDatasetResponse response;
  MEAD_RETURN_IF_ERROR(
      server->Call(server->datasets(), &DatasetStub::GetDataset, request, &response));
  const Dataset& dataset = response.dataset();
  if (session.Print(dataset)) return kExitDone;
  std::ostream& out = session.terminal.out;
  if (session.names_only()) {
    out << dataset.name() << "\n";
    return kExitDone;
  }
  out << "data set:  " << dataset.name() << "\nmanifest:  " << dataset.manifest_digest()
      << "\nsplit:     " << dataset.split_method()
      << "\nsize:      " << HumanBytes(dataset.total_bytes()) << " in " << dataset.shards()
      << " shards\ncreated:   " << HumanTime(dataset.create_time()) << "\n";
  const std::string leakage = LeakageLine(dataset);
  if (!leakage.empty()) out << "leakage:   " << leakage << "\n";
  out << "\n";
  Table table(
      {{"", Align::kRight}, {"CLASS"}, {"TRAIN", Align::kRight}, {"VALIDATION", Align::kRight}});
  for (int i = 0; i < dataset.classes_size(); ++i) {
    const auto& one = dataset.classes(i);
    table.Add({absl::StrCat(i), one.name(), absl::StrCat(one.train_samples()),
               absl::StrCat(one.val_samples())});
  }
  table.Add(
      {"", "all", absl::StrCat(dataset.train_samples()), absl::StrCat(dataset.val_samples())});
  table.Print(session.terminal);
  PrintNearDuplicates(session, dataset);
  WarnOfLeakage(session, dataset);
  if (dataset.quarantined().empty()) return kExitDone;
  out << "\n";
  Table left_out({{"LEFT OUT"}, {"WHY"}});
  for (const auto& file : dataset.quarantined()) left_out.Add({file.path(), file.reason()});
  left_out.Print(session.terminal);
  return kExitDone;
}

absl::StatusOr<int> VerifyDataset(Session& session, const std::string& name) {
  MEAD_ASSIGN_OR_RETURN(Connection* const server, session.Server());
  mead::v1::VerifyDatasetRequest request;
  request.set_name(name);
  mead::v1::VerifyDatasetResponse response;
  MEAD_RETURN_IF_ERROR(server->Call(server->datasets(), &DatasetStub::VerifyDataset, request,
                                    &response, kVerifyDeadline));
  if (session.Print(response)) return kExitDone;
  if (session.names_only()) {
    session.terminal.out << name << "\n";
  } else {
    session.terminal.out << "data set " << name << " is sound: " << response.shards() << " shards, "
                         << HumanBytes(response.bytes()) << ", every SHA-256 as recorded\n";
  }
  return kExitDone;
}

absl::StatusOr<int> RemoveDataset(Session& session, const std::string& name) {
  MEAD_ASSIGN_OR_RETURN(Connection* const server, session.Server());
  mead::v1::DeleteDatasetRequest request;
  request.set_name(name);
  mead::v1::DeleteDatasetResponse response;
  MEAD_RETURN_IF_ERROR(
      server->Call(server->datasets(), &DatasetStub::DeleteDataset, request, &response));
  if (session.Print(response)) return kExitDone;
  session.terminal.out << (session.names_only() ? name : absl::StrCat("removed data set ", name))
                       << "\n";
  return kExitDone;
}

}  // namespace mead::client
