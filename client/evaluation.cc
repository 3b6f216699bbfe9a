#include "client/evaluation.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "client/download.h"
#include "client/format.h"
#include "common/status_util.h"

namespace mead::client {
namespace {

// Why there are none, as far as can be told from here.
absl::Status NoPredictions(const mead::v1::Trial& trial, WhichEpoch which) {
  if (trial.epochs_done() == 0) {
    return absl::FailedPreconditionError(absl::StrCat(
        trial.id(), " has no predictions yet: they come after its first epoch's checkpoint"));
  }
  if (which == WhichEpoch::kBest && trial.has_latest_predictions()) {
    return absl::FailedPreconditionError(absl::StrCat(
        trial.id(), " has no predictions of its best epoch, ", trial.best_epoch(),
        "; those of epoch ", trial.latest_predictions().epoch(), " are there: --epoch last"));
  }
  return absl::FailedPreconditionError(absl::StrCat(
      trial.id(),
      " has no predictions: ", HasEnded(trial.state()) ? "" : "they are still on their way, or ",
      "it was trained by a worker that is too old to write them, or its validation split is too "
      "large for them (then \"mead logs ",
      trial.id(), "\" says so)"));
}

}  // namespace

absl::StatusOr<results::Predictions> FetchPredictions(Session& session, const std::string& trial,
                                                      WhichEpoch which) {
  MEAD_ASSIGN_OR_RETURN(Connection* const server, session.Server());
  mead::v1::GetTrialRequest request;
  request.set_trial_id(trial);
  mead::v1::GetTrialResponse response;
  MEAD_RETURN_IF_ERROR(
      server->Call(server->sweeps(), &mead::v1::SweepService::Stub::GetTrial, request, &response));
  const mead::v1::Trial& found = response.trial();
  const mead::v1::Predictions& artifact =
      which == WhichEpoch::kBest ? found.best_predictions() : found.latest_predictions();
  if (artifact.digest().empty()) return NoPredictions(found, which);
  MEAD_ASSIGN_OR_RETURN(const std::string bytes, Download(*server, artifact.digest()));
  absl::StatusOr<results::Predictions> predictions = results::Predictions::FromBytes(bytes);
  if (!predictions.ok()) {
    return Annotate(predictions.status(), absl::StrCat("the predictions of ", found.id()));
  }
  if (which == WhichEpoch::kBest && predictions->epoch != found.best_epoch()) {
    session.terminal.err << "mead: the best epoch is now " << found.best_epoch()
                         << "; its predictions are not there yet, these are of epoch "
                         << predictions->epoch << "\n";
  }
  return predictions;
}

absl::StatusOr<PictureSource> PictureSource::Open(Connection& connection,
                                                  const std::string& manifest_digest) {
  const absl::StatusOr<std::string> json = Download(connection, manifest_digest);
  if (absl::IsNotFound(json.status())) {
    return absl::FailedPreconditionError(
        "the data set that this trial was evaluated on is no longer stored, so its pictures "
        "cannot be shown; the table (without --to and --html) needs none");
  }
  if (!json.ok()) return json.status();
  MEAD_ASSIGN_OR_RETURN(dataset::Manifest manifest, dataset::Manifest::FromJson(*json));
  return PictureSource(connection, std::move(manifest));
}

absl::StatusOr<std::string> PictureSource::Fetch(const std::string& key) const {
  const auto sample = std::find_if(manifest_.samples.begin(), manifest_.samples.end(),
                                   [&key](const dataset::Sample& s) { return s.key == key; });
  if (sample == manifest_.samples.end()) {
    return absl::NotFoundError(absl::StrCat("the data set has no picture ", key));
  }
  return DownloadPicture(*connection_, manifest_, *sample);
}

}  // namespace mead::client
