#include "client/configuration_table.h"

#include <algorithm>
#include <map>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/format.h"
#include "common/base/paired_test.h"

namespace mead::client {
namespace {

using ::mead::v1::Configuration;

constexpr size_t kCompared = 5;

bool IsWhole(const mead::v1::Sweep& sweep, const Configuration& configuration) {
  return configuration.folds_succeeded() == sweep.spec().search().folds();
}

// By trial id.
std::map<std::string, double> BestValues(const Trials& trials) {
  std::map<std::string, double> values;
  for (const mead::v1::Trial& trial : trials) values[trial.id()] = trial.best_value();
  return values;
}

// The best one's score less the other's, by fold. Both are whole.
std::vector<double> Differences(const Configuration& best, const Configuration& other,
                                const std::map<std::string, double>& values) {
  std::vector<double> differences;
  for (int fold = 0; fold < best.trial_ids_size(); ++fold) {
    differences.push_back(values.at(best.trial_ids(fold)) - values.at(other.trial_ids(fold)));
  }
  return differences;
}

}  // namespace

Table ConfigurationTable(const mead::v1::Sweep& sweep, const Configurations& configurations) {
  Table table({{"CONFIGURATION", Align::kRight},
               {"STATE"},
               {"FOLDS", Align::kRight},
               {absl::StrCat("MEAN ", sweep.spec().objective().metric()), Align::kRight},
               {"SD", Align::kRight},
               {"SE", Align::kRight},
               {"PARAMETERS"}});
  const auto figure = [](bool known, double value) {
    return known ? absl::StrFormat("%.4f", value) : std::string();
  };
  for (const Configuration& one : configurations) {
    table.Add({Cell(absl::StrCat(one.index()), one.best() ? Colour::kBold : Colour::kNone),
               StateCell(one.state()),
               absl::StrCat(one.folds_succeeded(), "/", sweep.spec().search().folds()),
               Cell(absl::StrCat(figure(one.has_mean(), one.mean()), one.best() ? " *" : ""),
                    one.best() ? Colour::kGreen : Colour::kNone),
               figure(one.has_standard_deviation(), one.standard_deviation()),
               figure(one.has_standard_error(), one.standard_error()), ParamsText(one.params())});
  }
  return table;
}

std::string ConfigurationLine(const mead::v1::Sweep& sweep, const Configuration& configuration) {
  std::string line = absl::StrCat("configuration ", configuration.index(), "  ",
                                  StateCell(configuration.state()).text);
  if (IsWhole(sweep, configuration)) {
    absl::StrAppendFormat(&line, "  %s %.4f +- %.4f over %d folds",
                          sweep.spec().objective().metric(), configuration.mean(),
                          configuration.standard_deviation(), configuration.folds_succeeded());
  }
  return line;
}

void PrintComparisons(const Terminal& terminal, const mead::v1::Sweep& sweep,
                      const Configurations& configurations, const Trials& trials) {
  std::vector<const Configuration*> whole;
  for (const Configuration& one : configurations) {
    if (IsWhole(sweep, one)) whole.push_back(&one);
  }
  if (whole.size() < 2) return;
  const bool minimize = sweep.spec().objective().goal() == "minimize";
  std::stable_sort(whole.begin(), whole.end(),
                   [minimize](const Configuration* a, const Configuration* b) {
                     return minimize ? a->mean() < b->mean() : a->mean() > b->mean();
                   });
  const std::map<std::string, double> values = BestValues(trials);
  const int folds = sweep.spec().search().folds();
  terminal.out << "\nconfiguration " << whole[0]->index() << " against the next, over the same "
               << folds << " folds:\n";
  Table table({{"CONFIGURATION", Align::kRight},
               {"DIFFERENCE", Align::kRight},
               {"95 % INTERVAL", Align::kRight},
               {"P", Align::kRight},
               {"WORSE IN", Align::kRight}});
  for (size_t i = 1; i < std::min(whole.size(), kCompared + 1); ++i) {
    const std::vector<double> differences = Differences(*whole[0], *whole[i], values);
    // Of folds of one size, one is evaluated and the others train.
    const PairedTest test = CorrectedPairedTest(differences, 1.0 / (folds - 1));
    const auto worse = std::count_if(differences.begin(), differences.end(), [&](double value) {
      return minimize ? value < 0 : value > 0;
    });
    table.Add({absl::StrCat(whole[i]->index()), absl::StrFormat("%+.4f", test.difference),
               absl::StrFormat("%+.4f to %+.4f", test.low, test.high),
               absl::StrFormat("%.3f", test.p), absl::StrCat(worse, "/", folds)});
  }
  table.Print(terminal);
  terminal.out << "paired t-test, corrected for the overlap of training sets (Nadeau and Bengio "
                  "2003);\nthe best was chosen by these scores, which flatters it\n";
}

}  // namespace mead::client
