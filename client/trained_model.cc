#include "client/trained_model.h"

#include "absl/strings/str_cat.h"
#include "common/files.h"
#include "common/status_util.h"

namespace mead::client {

using SweepStub = ::mead::v1::SweepService::Stub;

absl::StatusOr<TrainedModel> TrainedModel::Find(Session& session, const std::string& trial,
                                                WhichEpoch which) {
  MEAD_ASSIGN_OR_RETURN(Connection* const server, session.Server());
  mead::v1::GetTrialRequest request;
  request.set_trial_id(trial);
  mead::v1::GetTrialResponse found;
  MEAD_RETURN_IF_ERROR(server->Call(server->sweeps(), &SweepStub::GetTrial, request, &found));
  const std::string id = found.trial().id();
  const mead::v1::Checkpoint checkpoint = which == WhichEpoch::kBest
                                              ? found.trial().best_checkpoint()
                                              : found.trial().latest_checkpoint();
  if (checkpoint.digest().empty()) {
    return absl::FailedPreconditionError(absl::StrCat(
        id, " has no checkpoint of its ", which == WhichEpoch::kBest ? "best" : "last", " epoch",
        found.trial().has_latest_checkpoint() ? "; try --epoch last" : " yet"));
  }
  if (checkpoint.epoch() == 0) {
    return absl::FailedPreconditionError(
        absl::StrCat(id, " is within its first epoch: its model has not been evaluated yet"));
  }
  mead::v1::GetConfusionRequest query;
  query.set_trial_id(id);
  query.set_epoch(checkpoint.epoch());
  mead::v1::GetConfusionResponse confusion;
  MEAD_RETURN_IF_ERROR(server->Call(server->sweeps(), &SweepStub::GetConfusion, query, &confusion));
  absl::StatusOr<ModelFile> file = ModelFile::Open(*server, checkpoint);
  if (!file.ok()) return Annotate(file.status(), absl::StrCat("the checkpoint of ", id));
  return TrainedModel(std::move(found), checkpoint, std::move(confusion), *std::move(file));
}

int TrainedModel::image_size() const {
  const mead::v1::TrainConfig& config = trial_.config();
  int last = 0;  // epoch of the phase
  int size = config.image_size();
  for (const mead::v1::Phase& phase : config.phases()) {
    if (last >= checkpoint_.epoch()) break;
    last += phase.epochs();
    size = phase.image_size() > 0 ? phase.image_size() : config.image_size();
  }
  return size;
}

absl::Status TrainedModel::WriteSafetensors(const std::filesystem::path& path) const {
  std::vector<std::pair<std::string, results::Tensor>> tensors;
  std::string data;
  for (const ModelFile::Entry& entry : file_.tensors()) {
    MEAD_ASSIGN_OR_RETURN(const std::string bytes, file_.Read(entry));
    tensors.emplace_back(entry.name, entry.tensor);
    data += bytes;
  }
  const std::string header =
      results::MakeHeader(tensors, {{"format", "pt"},
                                    {"model", trial_.config().model()},
                                    {"trial", trial_.trial().id()},
                                    {"epoch", absl::StrCat(checkpoint_.epoch())}});
  return WriteFileAtomically(path, header + data);
}

}  // namespace mead::client
