// lr-find: submits a range test, waits for it, and shows what came of it.
#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "client/commands.h"
#include "client/format.h"
#include "client/lr_curve.h"
#include "client/progress.h"
#include "client/submission.h"
#include "client/sweep_file.h"
#include "client/sweep_stream.h"
#include "client/table.h"
#include "common/files.h"
#include "common/status_util.h"

namespace mead::client {
namespace {

using ::mead::v1::WatchSweepResponse;
using SweepStub = ::mead::v1::SweepService::Stub;

constexpr size_t kLongestName = 63;
constexpr char kNameSuffix[] = "-lr-find";
constexpr char kSearchedRate[] = "optimizer.lr";

// The file's sweep with one trial, which is a range test.
void MakeRangeTest(const LrFindOptions& options, SweepFile* file) {
  mead::v1::SweepSpec& spec = file->spec;
  spec.set_name(
      absl::StrCat(spec.name().substr(0, kLongestName - sizeof(kNameSuffix) + 1), kNameSuffix));
  spec.clear_space();
  spec.mutable_search()->Clear();
  spec.mutable_search()->set_trials(1);
  mead::v1::LrRange& range = *spec.mutable_train()->mutable_lr_range();
  const auto note = [&](const char* key, const char* option, auto value) {
    file->locations[absl::StrCat("train.lr_range.", key)] = {.option =
                                                                 absl::StrCat(option, " ", value)};
  };
  if (options.min_lr) {
    range.set_min_lr(*options.min_lr);
    note("min_lr", "--min-lr", *options.min_lr);
  }
  if (options.max_lr) {
    range.set_max_lr(*options.max_lr);
    note("max_lr", "--max-lr", *options.max_lr);
  }
  if (options.steps) {
    range.set_steps(*options.steps);
    note("steps", "--steps", *options.steps);
  }
}

// A field's value by its path, or nothing where it is not set.
std::string ValueAt(const google::protobuf::Message& root, const std::string& path) {
  const google::protobuf::Message* message = &root;
  for (const auto& key : absl::StrSplit(path, '.')) {
    const auto* field = message->GetDescriptor()->FindFieldByName(std::string(key));
    if (field == nullptr || field->is_repeated() ||
        !message->GetReflection()->HasField(*message, field)) {
      return "";
    }
    const auto& reflection = *message->GetReflection();
    switch (field->cpp_type()) {
      case google::protobuf::FieldDescriptor::CPPTYPE_MESSAGE:
        message = &reflection.GetMessage(*message, field);
        break;
      case google::protobuf::FieldDescriptor::CPPTYPE_DOUBLE:
        return Number(reflection.GetDouble(*message, field));
      case google::protobuf::FieldDescriptor::CPPTYPE_INT32:
        return absl::StrCat(reflection.GetInt32(*message, field));
      case google::protobuf::FieldDescriptor::CPPTYPE_UINT64:
        return absl::StrCat(reflection.GetUInt64(*message, field));
      case google::protobuf::FieldDescriptor::CPPTYPE_BOOL:
        return reflection.GetBool(*message, field) ? "true" : "false";
      default:
        return reflection.GetString(*message, field);
    }
  }
  return "";
}

// What the test does with keys that the sweep would vary, and with phases.
void SayWhatIsTested(Session& session, const mead::v1::SweepSpec& asked,
                     const mead::v1::SweepSpec& tested) {
  std::vector<std::string> fixed;
  for (const mead::v1::Dimension& dimension : asked.space()) {
    if (dimension.path() == kSearchedRate) continue;
    const std::string value = ValueAt(tested.train(), dimension.path());
    if (value.empty()) continue;
    fixed.push_back(absl::StrCat(
        dimension.path(), "=", value,
        ValueAt(asked.train(), dimension.path()).empty() ? " (the default)" : " (of train)"));
  }
  if (!fixed.empty()) {
    session.terminal.err << "mead: the test does not vary what the space does; it takes "
                         << absl::StrJoin(fixed, ", ") << "\n";
  }
  if (tested.train().phases_size() > 1) {
    const std::string& freeze = tested.train().phases(0).freeze();
    session.terminal.err << "mead: the test is of the first of " << tested.train().phases_size()
                         << " phases"
                         << (freeze.empty() || freeze == "none"
                                 ? ""
                                 : absl::StrCat(", which freezes ", freeze))
                         << "\n";
  }
}

// Waits for the end of the sweep and shows how far its trial is.
absl::StatusOr<WatchSweepResponse> AwaitEnd(Session& session, Connection& server,
                                            const std::string& sweep_id) {
  ProgressLine line(session.terminal);
  const auto show = [&](const WatchSweepResponse& update) {
    for (const mead::v1::Trial& trial : update.trials()) {
      if (trial.state() == mead::v1::TRIAL_STATE_QUEUED) {
        line.Update("waits for slots", 0, 0, ProgressLine::Unit::kItems);
      } else if (trial.has_progress() && trial.progress().phase() == "range") {
        line.Update("steps", static_cast<uint64_t>(trial.progress().step()),
                    static_cast<uint64_t>(trial.progress().steps_per_epoch()),
                    ProgressLine::Unit::kItems);
      }
    }
  };
  absl::StatusOr<WatchSweepResponse> last = FollowSweep(session, server, sweep_id,
                                                        {.on_update = show,
                                                         .clear = [&] { line.Finish(); },
                                                         .what = "test",
                                                         .again = "mead lr-find --trial"});
  line.Finish();
  return last;
}

struct Found {
  mead::v1::LrFound message;
  std::vector<RangeTestPoint> curve;
  LrSuggestions suggestions;
};

absl::StatusOr<Found> LoadFound(Connection* server, const std::string& id) {
  mead::v1::GetTrialRequest trial_request;
  trial_request.set_trial_id(id);
  mead::v1::GetTrialResponse trial;
  MEAD_RETURN_IF_ERROR(server->Call(server->sweeps(), &SweepStub::GetTrial, trial_request, &trial));
  const std::string& trial_id = trial.trial().id();
  if (!trial.config().has_lr_range()) {
    return absl::InvalidArgumentError(
        absl::StrCat("trial ", trial_id,
                     " is no learning-rate range test; \"mead lr-find SWEEP.yaml\" runs one"));
  }
  mead::v1::GetMetricsRequest request;
  request.set_trial_id(trial_id);
  for (const char* name : {kRangeLr, kRangeLoss, kRangeSmoothedLoss}) request.add_names(name);
  mead::v1::GetMetricsResponse metrics;
  MEAD_RETURN_IF_ERROR(server->Call(server->sweeps(), &SweepStub::GetMetrics, request, &metrics));
  Found found;
  found.curve = LrCurveOf(metrics);
  if (found.curve.empty()) {
    const bool ended = HasEnded(trial.trial().state());
    return absl::InternalError(
        absl::StrCat("trial ", trial_id, ended ? " has ended" : " is still under way",
                     " without a curve", ended ? "" : " so far: it comes when the test has ended",
                     trial.trial().message().empty() ? "" : ": ", trial.trial().message()));
  }
  const int steps = trial.config().lr_range().steps();
  found.suggestions = SuggestLearningRates(found.curve, steps);
  mead::v1::LrFound& message = found.message;
  message.set_trial_id(trial_id);
  message.set_steps(steps);
  message.set_message(trial.trial().message());
  if (const auto& one = found.suggestions.valley) message.set_valley(one->lr);
  if (const auto& one = found.suggestions.steep) message.set_steep(one->lr);
  if (const auto& one = found.suggestions.minimum_tenth) message.set_minimum_tenth(one->lr);
  for (const RangeTestPoint& point : found.curve) {
    mead::v1::LrFoundPoint& out = *message.add_points();
    out.set_lr(point.lr);
    out.set_loss(point.loss);
    out.set_smoothed_loss(point.smoothed_loss);
  }
  return found;
}

void PrintFound(Session& session, const Found& found) {
  std::ostream& out = session.terminal.out;
  out << "trial " << session.terminal.Paint(Colour::kBold, found.message.trial_id()) << ": "
      << found.message.message() << "\n\n";
  for (const std::string& line :
       LrCurveLines(session.terminal, found.curve, found.suggestions, session.terminal.Width())) {
    out << line << "\n";
  }
  out << "\n";
  Table table({{""}, {"SUGGESTION"}, {"LEARNING RATE", Align::kRight}, {""}});
  const auto add = [&](const char* letter, const char* name,
                       const std::optional<LrSuggestion>& suggestion, const char* what) {
    if (!suggestion) return;
    table.Add({Cell(letter, Colour::kGreen), name, absl::StrFormat("%.2g", suggestion->lr), what});
  };
  const LrSuggestions& suggestions = found.suggestions;
  add("V", "valley", suggestions.valley, "half way down the longest fall of the smoothed loss");
  add("S", "steep", suggestions.steep, "where it falls fastest");
  add("M", "minimum/10", suggestions.minimum_tenth, "a tenth of where it is smallest");
  if (table.rows() == 0) {
    out << "no suggestion: the loss does not fall; try other rates (--min-lr, --max-lr) or more "
           "--steps\n";
    return;
  }
  table.Print(session.terminal);
  if (suggestions.still_falls) {
    out << "\nThe loss still falls where the test ends; a larger --max-lr may suggest more.\n";
  }
  out << "\nfor the sweep file, one of\n\n" << SweepFileLines(suggestions);
}

// The trial of the test that the file asks for, once it has ended well; or the exit code.
absl::StatusOr<std::optional<int>> RunTest(Session& session, const LrFindOptions& options,
                                           std::string* trial_id) {
  MEAD_ASSIGN_OR_RETURN(SweepFile file, LoadSweepFile(options.file, options.sets));
  const mead::v1::SweepSpec asked = file.spec;
  MakeRangeTest(options, &file);
  mead::v1::SubmitSweepResponse submitted;
  MEAD_ASSIGN_OR_RETURN(
      const std::optional<int> refused,
      SubmitFile(session, {.wait_for_resources = options.wait_for_resources}, &file, &submitted));
  if (refused) return refused;
  const std::string& sweep_id = submitted.sweep().id();
  session.terminal.err << "mead: submitted range test " << sweep_id << "\n";
  SayWhatIsTested(session, asked, submitted.sweep().spec());
  MEAD_ASSIGN_OR_RETURN(Connection* const server, session.Server());
  MEAD_ASSIGN_OR_RETURN(const WatchSweepResponse end, AwaitEnd(session, *server, sweep_id));
  if (end.trials_size() == 1) *trial_id = end.trials(0).id();
  if (end.sweep().state() == mead::v1::SWEEP_STATE_SUCCEEDED) return std::nullopt;
  session.terminal.err << "mead: the range test " << sweep_id
                       << (end.sweep().state() == mead::v1::SWEEP_STATE_STOPPED ? " was stopped"
                                                                                : " failed");
  if (end.trials_size() == 1 && !end.trials(0).message().empty()) {
    session.terminal.err << ": " << end.trials(0).message();
  }
  session.terminal.err << "\n  its log: mead logs " << *trial_id << "\n";
  return kExitFailed;
}

}  // namespace

absl::StatusOr<int> LrFind(Session& session, const LrFindOptions& options) {
  if (options.file.empty() == options.trial.empty()) {
    return absl::InvalidArgumentError(
        "lr-find wants a sweep file, or --trial with a range test that has run");
  }
  std::string trial_id = options.trial;
  if (!options.file.empty()) {
    MEAD_ASSIGN_OR_RETURN(const std::optional<int> ended, RunTest(session, options, &trial_id));
    if (ended) return *ended;
  }
  MEAD_ASSIGN_OR_RETURN(Connection* const server, session.Server());
  MEAD_ASSIGN_OR_RETURN(const Found found, LoadFound(server, trial_id));
  if (!options.csv.empty()) {
    MEAD_RETURN_IF_ERROR(WriteFileAtomically(options.csv, LrCurveCsv(found.curve)));
  }
  if (!options.png.empty()) {
    MEAD_ASSIGN_OR_RETURN(
        const std::string png,
        LrCurvePicture(found.curve, found.suggestions,
                       absl::StrCat("learning-rate range test ", found.message.trial_id())));
    MEAD_RETURN_IF_ERROR(WriteFileAtomically(options.png, png));
  }
  if (session.Print(found.message)) return kExitDone;
  if (session.names_only()) {
    session.terminal.out << found.message.trial_id() << "\n";
    return kExitDone;
  }
  PrintFound(session, found);
  if (!options.csv.empty()) session.terminal.err << "mead: curve in " << options.csv << "\n";
  if (!options.png.empty()) session.terminal.err << "mead: picture in " << options.png << "\n";
  return kExitDone;
}

}  // namespace mead::client
