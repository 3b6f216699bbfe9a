#include "client/confusion_view.h"

#include <algorithm>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "client/format.h"
#include "client/heat_map.h"
#include "client/table.h"
#include "common/base/classification_metrics.h"
#include "common/base/confusion_matrix.h"
#include "common/files.h"
#include "common/status_util.h"

namespace mead::client {
namespace {

constexpr size_t kPairs = 5;
// Errors that take more than this share of a class stand out.
constexpr double kGlaring = 0.1;

std::string IntervalText(int64_t successes, int64_t n) {
  const Interval interval = WilsonInterval(successes, n);
  return absl::StrFormat("%.1f to %.1f", 100 * interval.low, 100 * interval.high);
}

void PrintMatrix(const Terminal& terminal, const std::vector<std::string>& classes,
                 const ConfusionMatrix& matrix, const ClassificationMetrics& metrics) {
  const int k = matrix.num_classes();
  // Columns go by number: class names are too long to stand side by side.
  std::vector<Table::Column> columns = {{"", Align::kRight}, {"true \\ predicted"}};
  for (int i = 0; i < k; ++i) columns.push_back({absl::StrCat(i), Align::kRight});
  columns.push_back({"images", Align::kRight});
  columns.push_back({"recall", Align::kRight});
  Table table(columns);
  for (int truth = 0; truth < k; ++truth) {
    const auto& row_metrics = metrics.classes[static_cast<size_t>(truth)];
    std::vector<Cell> row = {absl::StrCat(truth), classes[static_cast<size_t>(truth)]};
    for (int predicted = 0; predicted < k; ++predicted) {
      const int64_t count = matrix.at(truth, predicted);
      Colour colour = Colour::kNone;
      if (truth == predicted) {
        colour = Colour::kGreen;
      } else if (count == 0) {
        colour = Colour::kDim;
      } else if (static_cast<double>(count) > kGlaring * static_cast<double>(row_metrics.support)) {
        colour = Colour::kRed;
      }
      row.emplace_back(count == 0 ? "." : absl::StrCat(count), colour);
    }
    row.emplace_back(absl::StrCat(row_metrics.support));
    row.emplace_back(row_metrics.support == 0 ? "" : Percent(row_metrics.recall));
    table.Add(std::move(row));
  }
  table.Print(terminal);
}

void PrintClasses(const Terminal& terminal, const std::vector<std::string>& classes,
                  const ConfusionMatrix& matrix, const ClassificationMetrics& metrics) {
  Table table({{"", Align::kRight},
               {"class"},
               {"recall %", Align::kRight},
               {"95 % interval", Align::kRight},
               {"precision %", Align::kRight},
               {"95 % interval", Align::kRight},
               {"specificity %", Align::kRight},
               {"F1", Align::kRight}});
  for (int i = 0; i < matrix.num_classes(); ++i) {
    const ClassMetrics& one = metrics.classes[static_cast<size_t>(i)];
    int64_t predicted = 0;
    for (int truth = 0; truth < matrix.num_classes(); ++truth) predicted += matrix.at(truth, i);
    // A ratio of nothing is not 0 %: it is not known.
    const auto share = [](double value, int64_t n) {
      return n == 0 ? std::string("-") : absl::StrFormat("%.1f", 100 * value);
    };
    const auto interval = [](int64_t successes, int64_t n) {
      return n == 0 ? std::string("-") : IntervalText(successes, n);
    };
    const int64_t right = matrix.at(i, i);
    table.Add({absl::StrCat(i), classes[static_cast<size_t>(i)], share(one.recall, one.support),
               interval(right, one.support), share(one.precision, predicted),
               interval(right, predicted), absl::StrFormat("%.1f", 100 * one.specificity),
               absl::StrFormat("%.3f", one.f1)});
  }
  table.Print(terminal);
}

void PrintPairs(const Terminal& terminal, const std::vector<std::string>& classes,
                const ConfusionMatrix& matrix, const ClassificationMetrics& metrics) {
  struct Pair {
    int truth;
    int predicted;
    int64_t count;
  };
  std::vector<Pair> pairs;
  for (int truth = 0; truth < matrix.num_classes(); ++truth) {
    for (int predicted = 0; predicted < matrix.num_classes(); ++predicted) {
      if (truth != predicted && matrix.at(truth, predicted) > 0) {
        pairs.push_back({truth, predicted, matrix.at(truth, predicted)});
      }
    }
  }
  if (pairs.empty()) return;
  std::stable_sort(pairs.begin(), pairs.end(),
                   [](const Pair& a, const Pair& b) { return a.count > b.count; });
  pairs.resize(std::min(pairs.size(), kPairs));
  terminal.out << "\nmost confused:\n";
  for (const Pair& pair : pairs) {
    const int64_t support = metrics.classes[static_cast<size_t>(pair.truth)].support;
    terminal.out << absl::StrFormat(
        "  %s taken for %s: %d of %d (%s)\n", classes[static_cast<size_t>(pair.truth)],
        classes[static_cast<size_t>(pair.predicted)], pair.count, support,
        Percent(static_cast<double>(pair.count) / static_cast<double>(support)));
  }
}

std::vector<std::string> ClassesOf(const mead::v1::ConfusionMatrix& proto) {
  return {proto.classes().begin(), proto.classes().end()};
}

absl::StatusOr<ConfusionMatrix> MatrixOf(const mead::v1::ConfusionMatrix& proto) {
  auto matrix = proto.classes().empty()
                    ? std::nullopt
                    : ConfusionMatrix::FromCounts(
                          proto.classes_size(),
                          std::vector<int64_t>(proto.counts().begin(), proto.counts().end()));
  if (matrix) return *std::move(matrix);
  return absl::InternalError(absl::StrCat("the coordinator sent a confusion matrix of ",
                                          proto.counts_size(), " counts for ", proto.classes_size(),
                                          " classes"));
}

// Of the diagonal.
int64_t Correct(const ConfusionMatrix& matrix) {
  int64_t correct = 0;
  for (int i = 0; i < matrix.num_classes(); ++i) correct += matrix.at(i, i);
  return correct;
}

// A metric of the epoch's report, where there is one.
std::string Reported(const mead::v1::GetConfusionResponse& response, const char* name) {
  const auto it = response.metrics().find(name);
  return it == response.metrics().end() ? std::string() : absl::StrFormat("%.4f", it->second);
}

// "trial swp-1-0, epoch 4", or what is pooled.
std::string Subject(const mead::v1::GetConfusionResponse& response) {
  if (!response.has_pooled()) {
    return absl::StrCat("trial ", response.trial_id(), ", epoch ", response.epoch());
  }
  const mead::v1::PooledConfusion& pooled = response.pooled();
  std::vector<int> epochs;
  for (const auto& source : pooled.sources()) epochs.push_back(source.epoch());
  return absl::StrCat("configuration ", pooled.configuration(), " of sweep ", pooled.sweep_id(),
                      ", ", pooled.sources_size(), " of ", pooled.folds(),
                      " folds together (epochs ", absl::StrJoin(epochs, ", "), ")");
}

}  // namespace

absl::Status WriteConfusionPng(const mead::v1::GetConfusionResponse& response,
                               const std::string& path) {
  MEAD_ASSIGN_OR_RETURN(const ConfusionMatrix matrix, MatrixOf(response.confusion()));
  const std::string title =
      absl::StrFormat("%s: accuracy %s of %d images", Subject(response),
                      Percent(ComputeMetrics(matrix).accuracy), matrix.total());
  MEAD_ASSIGN_OR_RETURN(const std::string png,
                        HeatMap(matrix, ClassesOf(response.confusion()), title));
  return WriteFileAtomically(path, png);
}

absl::Status PrintConfusion(const Terminal& terminal,
                            const mead::v1::GetConfusionResponse& response) {
  const std::vector<std::string> classes = ClassesOf(response.confusion());
  const absl::StatusOr<ConfusionMatrix> matrix = MatrixOf(response.confusion());
  if (!matrix.ok()) return matrix.status();
  const ClassificationMetrics metrics = ComputeMetrics(*matrix);
  terminal.out << terminal.Paint(Colour::kBold, Subject(response)) << ", " << matrix->total()
               << " validation images\n\n";
  PrintMatrix(terminal, classes, *matrix, metrics);
  terminal.out << "\n";
  PrintClasses(terminal, classes, *matrix, metrics);
  terminal.out << absl::StrFormat(
      "\naccuracy (top-1)   %s  (95 %% interval %s)\nbalanced accuracy  %s\n"
      "macro F1           %.4f\n"
      "R_K                %.4f\nMCC                %.4f  (mean of one class against the rest)\n",
      Percent(metrics.accuracy), IntervalText(Correct(*matrix), matrix->total()),
      Percent(metrics.balanced_accuracy), metrics.macro_f1, metrics.r_k, metrics.mcc);
  const std::string error = Reported(response, "val/ece");
  if (!error.empty()) {
    terminal.out << absl::StrFormat("calibration error  %s  (%s at temperature %s)\n", error,
                                    Reported(response, "val/ece_scaled"),
                                    Reported(response, "val/temperature"));
  }
  PrintPairs(terminal, classes, *matrix, metrics);
  return absl::OkStatus();
}

}  // namespace mead::client
