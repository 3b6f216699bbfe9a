#include "client/leakage_lines.h"

#include <algorithm>
#include <string>

#include "absl/strings/str_cat.h"
#include "client/table.h"

namespace mead::client {
namespace {

constexpr int kShown = 10;

std::string Counted(uint64_t count, const char* one, const char* many) {
  return absl::StrCat(count, " ", count == 1 ? one : many);
}

void Warn(Session& session, const std::string& text) {
  session.terminal.err << session.terminal.Paint(Colour::kYellow, absl::StrCat("mead: ", text))
                       << "\n";
}

// "and 12 more (mead dataset describe NAME -o json lists them all)", if there are more.
std::string More(uint64_t all, const std::string& name) {
  if (all <= kShown) return "";
  return absl::StrCat("  and ", all - kShown, " more (mead dataset describe ", name,
                      " -o json lists them all)\n");
}

}  // namespace

void WarnOfLeakage(Session& session, const mead::v1::Dataset& dataset) {
  const mead::v1::LeakageReport& report = dataset.leakage();
  std::ostream& err = session.terminal.err;
  if (report.straddling_groups() > 0) {
    Warn(session,
         absl::StrCat(Counted(report.straddling_groups(), "group", "groups"),
                      " of near-duplicates on both sides of the given split (",
                      report.straddling_train_samples(), " training, ",
                      report.straddling_val_samples(), " validation images): scores will flatter"));
    for (int i = 0; i < std::min(report.near_duplicates_size(), kShown); ++i) {
      const auto& group = report.near_duplicates(i);
      if (group.train_paths().empty() || group.val_paths().empty()) break;  // the rest don't
      err << "  " << group.train_paths(0) << " and " << group.val_paths(0) << "\n";
    }
    err << More(report.straddling_groups(), dataset.name())
        << "  add it again under another name with --drop-straddling to leave those training "
           "images out\n";
  }
  if (report.label_conflicts() > 0) {
    Warn(session, absl::StrCat(Counted(report.label_conflicts(), "image lies", "images lie"),
                               " in two classes, byte for byte"));
    for (int i = 0; i < std::min(report.conflicting_size(), kShown); ++i) {
      err << "  " << report.conflicting(i).path() << " and " << report.conflicting(i).other_path()
          << "\n";
    }
    err << More(report.label_conflicts(), dataset.name())
        << "  remove the wrong one of each and add the data set again\n";
  }
}

std::string LeakageLine(const mead::v1::Dataset& dataset) {
  if (!dataset.has_leakage()) return "";
  const mead::v1::LeakageReport& report = dataset.leakage();
  std::string line = report.guarded() ? "" : "not guarded (--no-leakage-guard)";
  if (report.guarded()) {
    line = report.groups() == 0
               ? "guarded: no near-duplicates"
               : absl::StrCat(
                     "guarded: ", Counted(report.groups(), "group", "groups"), " of ",
                     report.grouped_samples(), " near-duplicates, ",
                     report.straddling_groups() == 0
                         ? "each on one side of the split"
                         : absl::StrCat(report.straddling_groups(), " on both sides of the split"));
  }
  if (!report.group_by().empty()) absl::StrAppend(&line, "; paths grouped by ", report.group_by());
  return line;
}

void PrintNearDuplicates(Session& session, const mead::v1::Dataset& dataset) {
  const auto& groups = dataset.leakage().near_duplicates();
  if (groups.empty()) return;
  Table table({{"NEAR-DUPLICATES", Align::kRight},
               {"TRAIN", Align::kRight},
               {"VALIDATION", Align::kRight},
               {"SUCH AS"}});
  for (int i = 0; i < std::min(groups.size(), kShown); ++i) {
    const int train = groups[i].train_paths_size();
    const int val = groups[i].val_paths_size();
    // One of each side where there are both.
    const std::string& first = train > 0 ? groups[i].train_paths(0) : groups[i].val_paths(0);
    const std::string& second = val == 0     ? groups[i].train_paths(1)
                                : train == 0 ? groups[i].val_paths(1)
                                             : groups[i].val_paths(0);
    table.Add({absl::StrCat(train + val), absl::StrCat(train), absl::StrCat(val),
               absl::StrCat(first, ", ", second)});
  }
  session.terminal.out << "\n";
  table.Print(session.terminal);
  session.terminal.out << More(static_cast<uint64_t>(groups.size()), dataset.name());
}

}  // namespace mead::client
