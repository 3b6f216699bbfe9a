// Commands that look at single predictions: top-losses, and metrics --pr.
#include <algorithm>
#include <cmath>
#include <filesystem>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/commands.h"
#include "client/evaluation.h"
#include "client/format.h"
#include "client/loss_page.h"
#include "client/table.h"
#include "common/base/precision_recall.h"
#include "common/files.h"
#include "common/status_util.h"
#include "mead/v1/evaluation.pb.h"

namespace mead::client {
namespace {

constexpr size_t kMaxFileStem = 80;

mead::v1::TopLosses Judge(const results::Predictions& predictions, int count) {
  const Scores scores = predictions.scores();
  mead::v1::TopLosses losses;
  losses.set_trial_id(predictions.trial_id);
  losses.set_epoch(predictions.epoch);
  losses.set_total(static_cast<int64_t>(scores.size()));
  int rank = 0;
  for (const size_t i : results::TopLosses(scores, static_cast<size_t>(count))) {
    const auto predicted = static_cast<size_t>(scores.Predicted(i));
    mead::v1::JudgedPicture& picture = *losses.add_pictures();
    picture.set_rank(++rank);
    picture.set_picture(predictions.keys[i]);
    picture.set_true_class(predictions.classes[static_cast<size_t>(scores.truth[i])]);
    picture.set_predicted_class(predictions.classes[predicted]);
    picture.set_probability(std::exp(double{scores.row(i)[predicted]}));
    picture.set_true_probability(std::exp(-scores.Loss(i)));
    picture.set_loss(scores.Loss(i));
  }
  return losses;
}

// Fit for a file name anywhere, and never a path.
std::string FileWord(const std::string& text) {
  std::string word;
  for (const char c : text) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       c == '.' || c == '-';
    word += plain ? c : '-';
  }
  return word.substr(0, kMaxFileStem);
}

// 01_esophagitis_normal-z-line_4.21_123.jpg
std::string FileName(const mead::v1::JudgedPicture& picture, int digits) {
  const std::filesystem::path path = picture.picture();
  return absl::StrFormat("%0*d_%s_%s_%.2f_%s%s", digits, picture.rank(),
                         FileWord(picture.true_class()), FileWord(picture.predicted_class()),
                         picture.loss(), FileWord(path.stem().string()),
                         FileWord(path.extension().string()));
}

absl::Status WritePictures(Session& session, const results::Predictions& predictions,
                           const TopLossesOptions& options, mead::v1::TopLosses& losses) {
  MEAD_ASSIGN_OR_RETURN(Connection* const server, session.Server());
  MEAD_ASSIGN_OR_RETURN(const PictureSource source,
                        PictureSource::Open(*server, predictions.manifest_digest));
  if (!options.to.empty()) MEAD_RETURN_IF_ERROR(MakeDirs(options.to));
  const int digits = std::max(2, static_cast<int>(absl::StrCat(losses.pictures_size()).size()));
  std::vector<std::string> thumbnails;
  for (mead::v1::JudgedPicture& picture : *losses.mutable_pictures()) {
    MEAD_ASSIGN_OR_RETURN(const std::string bytes, source.Fetch(picture.picture()));
    if (!options.to.empty()) {
      const std::filesystem::path file =
          std::filesystem::path(options.to) / FileName(picture, digits);
      MEAD_RETURN_IF_ERROR(WriteFileAtomically(file, bytes));
      picture.set_file(file.string());
    }
    if (!options.html.empty()) {
      absl::StatusOr<std::string> small = SmallJpeg(bytes);
      if (!small.ok()) return Annotate(small.status(), picture.picture());
      thumbnails.push_back(*std::move(small));
    }
  }
  if (options.html.empty()) return absl::OkStatus();
  return WriteFileAtomically(options.html, LossPage(losses, thumbnails));
}

absl::StatusOr<mead::v1::PrecisionRecall> CurveOf(const results::Predictions& predictions,
                                                  const std::string& class_name) {
  MEAD_ASSIGN_OR_RETURN(const int class_id, predictions.ClassId(class_name));
  const Scores scores = predictions.scores();
  if (!scores.AllFinite()) {
    return absl::FailedPreconditionError(absl::StrCat(
        "epoch ", predictions.epoch, " of ", predictions.trial_id,
        " has probabilities that are no numbers: the network had diverged; there is no curve"));
  }
  const auto curve = PrecisionRecallCurve(scores, class_id);
  mead::v1::PrecisionRecall result;
  result.set_trial_id(predictions.trial_id);
  result.set_epoch(predictions.epoch);
  result.set_class_name(class_name);
  result.set_positives(std::count(predictions.truth.begin(), predictions.truth.end(), class_id));
  result.set_average_precision(AveragePrecision(curve));
  for (const PrecisionRecallPoint& point : curve) {
    mead::v1::PrecisionRecallPoint& out = *result.add_points();
    out.set_threshold(point.threshold);
    out.set_precision(point.precision);
    out.set_recall(point.recall);
    out.set_true_positives(point.true_positives);
    out.set_false_positives(point.false_positives);
  }
  return result;
}

std::string CurveCsv(const mead::v1::PrecisionRecall& curve) {
  std::string csv = "threshold,precision,recall,true_positives,false_positives\n";
  for (const mead::v1::PrecisionRecallPoint& point : curve.points()) {
    absl::StrAppendFormat(&csv, "%.9g,%.9g,%.9g,%d,%d\n", point.threshold(), point.precision(),
                          point.recall(), point.true_positives(), point.false_positives());
  }
  return csv;
}

}  // namespace

absl::StatusOr<int> TopLosses(Session& session, const std::string& trial,
                              const TopLossesOptions& options) {
  MEAD_ASSIGN_OR_RETURN(const results::Predictions predictions,
                        FetchPredictions(session, trial, options.epoch));
  mead::v1::TopLosses losses = Judge(predictions, options.count);
  if (!options.to.empty() || !options.html.empty()) {
    MEAD_RETURN_IF_ERROR(WritePictures(session, predictions, options, losses));
  }
  if (session.Print(losses)) return kExitDone;
  if (session.names_only()) {
    for (const auto& picture : losses.pictures()) session.terminal.out << picture.picture() << "\n";
    return kExitDone;
  }
  session.terminal.out << "trial " << session.terminal.Paint(Colour::kBold, losses.trial_id())
                       << ", epoch " << losses.epoch() << ", " << losses.pictures_size() << " of "
                       << losses.total() << " validation images\n\n";
  Table table({{"", Align::kRight},
               {"IMAGE"},
               {"TRUE"},
               {"", Align::kRight},
               {"PREDICTED"},
               {"", Align::kRight},
               {"LOSS", Align::kRight}});
  for (const mead::v1::JudgedPicture& picture : losses.pictures()) {
    const bool right = picture.true_class() == picture.predicted_class();
    table.Add({absl::StrCat(picture.rank()), picture.picture(), picture.true_class(),
               Percent(picture.true_probability()),
               Cell(picture.predicted_class(), right ? Colour::kGreen : Colour::kRed),
               Percent(picture.probability()), absl::StrFormat("%.3f", picture.loss())});
  }
  table.Print(session.terminal);
  if (!options.to.empty()) session.terminal.err << "mead: pictures in " << options.to << "\n";
  if (!options.html.empty()) session.terminal.err << "mead: page in " << options.html << "\n";
  return kExitDone;
}

absl::StatusOr<int> PrecisionRecall(Session& session, const std::string& trial,
                                    const PrecisionRecallOptions& options) {
  MEAD_ASSIGN_OR_RETURN(const results::Predictions predictions,
                        FetchPredictions(session, trial, options.epoch));
  MEAD_ASSIGN_OR_RETURN(const mead::v1::PrecisionRecall curve,
                        CurveOf(predictions, options.class_name));
  if (!options.csv.empty()) {
    MEAD_RETURN_IF_ERROR(WriteFileAtomically(options.csv, CurveCsv(curve)));
  }
  if (session.Print(curve)) return kExitDone;
  session.terminal.out << absl::StrFormat(
      "trial %s, epoch %d: %s against the rest, %d of %d validation images\naverage precision "
      "%.4f\n\n",
      curve.trial_id(), curve.epoch(), curve.class_name(), curve.positives(),
      predictions.truth.size(), curve.average_precision());
  Table table({{"THRESHOLD", Align::kRight},
               {"PRECISION", Align::kRight},
               {"RECALL", Align::kRight},
               {"TRUE POSITIVES", Align::kRight},
               {"FALSE POSITIVES", Align::kRight}});
  for (const mead::v1::PrecisionRecallPoint& point : curve.points()) {
    table.Add({absl::StrFormat("%.4f", point.threshold()), Percent(point.precision()),
               Percent(point.recall()), absl::StrCat(point.true_positives()),
               absl::StrCat(point.false_positives())});
  }
  table.Print(session.terminal);
  return kExitDone;
}

}  // namespace mead::client
