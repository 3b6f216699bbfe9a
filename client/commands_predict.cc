// mead predict: what a trial's model says about pictures on this machine. The network runs in
// mead-trainer, beside this program: the client has no LibTorch.
#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <numeric>
#include <sstream>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/commands_model.h"
#include "client/format.h"
#include "client/model_file.h"
#include "client/scratch_folder.h"
#include "client/table.h"
#include "common/dataset/names.h"
#include "common/files.h"
#include "common/machine.h"
#include "common/status_util.h"
#include "mead/v1/evaluation.pb.h"

extern char** environ;

namespace mead::client {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

// For each figure; there are two per batch size.
constexpr double kBenchmarkSeconds = 3;

// mead-trainer, where it lies beside this program.
absl::StatusOr<std::string> TrainerProgram() {
  std::error_code error;
  const fs::path program = fs::read_symlink("/proc/self/exe", error).parent_path() / "mead-trainer";
  if (!fs::exists(program, error)) {
    return absl::FailedPreconditionError(absl::StrCat(
        "there is no ", program.string(),
        ": prediction runs in it, on this machine; use a machine "
        "with the whole bundle, or \"mead export TRIAL --format torchvision\" and torchvision"));
  }
  return program.string();
}

absl::Status RunTrainer(const fs::path& request, const fs::path& answers) {
  MEAD_ASSIGN_OR_RETURN(std::string program, TrainerProgram());
  std::string flag = "--predict";
  char* const arguments[] = {program.data(), flag.data(), nullptr};
  posix_spawn_file_actions_t files;
  posix_spawn_file_actions_init(&files);
  posix_spawn_file_actions_addopen(&files, STDIN_FILENO, request.c_str(), O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&files, STDOUT_FILENO, answers.c_str(),
                                   O_WRONLY | O_CREAT | O_TRUNC, 0600);
  pid_t pid = 0;
  const int failed = posix_spawn(&pid, program.c_str(), &files, nullptr, arguments, environ);
  posix_spawn_file_actions_destroy(&files);
  if (failed != 0) return ErrnoStatus(failed, program);
  int status = 0;
  while (waitpid(pid, &status, 0) < 0) {
    if (errno != EINTR) return ErrnoStatus(errno, "waiting for mead-trainer");
  }
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return absl::OkStatus();
  return absl::InternalError(
      WIFSIGNALED(status) ? absl::StrCat("mead-trainer was ended by signal ", WTERMSIG(status))
                          : std::string("mead-trainer could not predict; its words are above"));
}

void AddPrediction(const Json& answer, const std::vector<std::string>& classes,
                   mead::v1::PredictedImages& out) {
  mead::v1::PredictedImage& image = *out.add_images();
  image.set_image(answer.value("image", ""));
  image.set_error(answer.value("error", ""));
  if (!answer.contains("log_probabilities")) return;
  const auto values = answer["log_probabilities"].get<std::vector<double>>();
  std::vector<size_t> order(std::min(values.size(), classes.size()));
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return values[a] > values[b]; });
  for (const size_t k : order) {
    mead::v1::ClassProbability& one = *image.add_classes();
    one.set_class_name(classes[k]);
    one.set_probability(std::exp(values[k]));
  }
}

void AddSpeed(const Json& answer, mead::v1::PredictedImages& out) {
  mead::v1::InferenceSpeed& speed = *out.add_speeds();
  speed.set_batch(answer.value("batch", 0));
  speed.set_decode_to_answer(answer.value("decode_to_answer", 0.0));
  speed.set_network(answer.value("network", 0.0));
  speed.set_images(answer.value("images", int64_t{0}));
}

void PrintSpeeds(Session& session, const mead::v1::PredictedImages& result, int image_size) {
  if (result.speeds().empty()) return;
  session.terminal.out << "\nimages per second on " << result.machine() << ", " << result.threads()
                       << (result.threads() == 1 ? " thread" : " threads") << ", fp32, "
                       << image_size << " x " << image_size << ":\n";
  Table table({{"BATCH", Align::kRight},
               {"FILE TO ANSWER", Align::kRight},
               {"NETWORK ALONE", Align::kRight}});
  for (const mead::v1::InferenceSpeed& speed : result.speeds()) {
    table.Add({absl::StrCat(speed.batch()), absl::StrFormat("%.1f", speed.decode_to_answer()),
               absl::StrFormat("%.1f", speed.network())});
  }
  table.Print(session.terminal);
}

void PrintTable(Session& session, const mead::v1::PredictedImages& result, int top) {
  Table table({{"IMAGE"}, {"CLASS"}, {"PROBABILITY", Align::kRight}, {"THEN"}});
  for (const mead::v1::PredictedImage& image : result.images()) {
    if (!image.error().empty()) {
      table.Add({image.image(), Cell("-", Colour::kRed), "", image.error()});
      continue;
    }
    std::string others;
    for (int i = 1; i < std::min(top, image.classes_size()); ++i) {
      absl::StrAppend(&others, i > 1 ? ", " : "", image.classes(i).class_name(), " ",
                      Percent(image.classes(i).probability()));
    }
    table.Add({image.image(), image.classes(0).class_name(),
               Percent(image.classes(0).probability()), others});
  }
  table.Print(session.terminal);
}

}  // namespace

absl::StatusOr<int> PredictImages(Session& session, const std::string& trial,
                                  const PredictOptions& options) {
  MEAD_RETURN_IF_ERROR(TrainerProgram().status());  // before anything is fetched
  for (const std::string& path : options.images) {
    if (!dataset::IsValidUtf8(path)) {
      return absl::InvalidArgumentError(
          absl::StrCat("the name of ", dataset::PrintableUtf8(path), " is not UTF-8; rename it"));
    }
  }
  MEAD_ASSIGN_OR_RETURN(const TrainedModel model,
                        TrainedModel::Find(session, trial, options.epoch));
  MEAD_ASSIGN_OR_RETURN(const ScratchFolder folder,
                        ScratchFolder::MakeIn(fs::temp_directory_path()));
  const fs::path weights = folder.path() / "model.safetensors";
  MEAD_RETURN_IF_ERROR(model.WriteSafetensors(weights));
  const int threads = std::max(1u, std::thread::hardware_concurrency());
  const mead::v1::TrainConfig& config = model.trial().config();
  const Json request = {
      {"weights", weights.string()},
      {"model", config.model()},
      {"num_classes", model.classes().size()},
      {"image_size", model.image_size()},
      {"stride", config.has_stride() ? config.stride() : "v1.5"},
      {"test_time_augment", config.has_test_time_augment() ? config.test_time_augment() : "none"},
      {"position_box",
       config.augment().has_position_box() ? config.augment().position_box() : "keep"},
      {"precision", "fp32"},
      {"threads", threads},
      {"images", options.images},
      {"benchmark_seconds", options.benchmark ? kBenchmarkSeconds : 0}};
  MEAD_RETURN_IF_ERROR(WriteFileAtomically(folder.path() / "request.json", request.dump()));
  MEAD_RETURN_IF_ERROR(RunTrainer(folder.path() / "request.json", folder.path() / "answers.jsonl"));
  MEAD_ASSIGN_OR_RETURN(const std::string answers, ReadFile(folder.path() / "answers.jsonl"));

  mead::v1::PredictedImages result;
  result.set_trial_id(model.trial().trial().id());
  result.set_epoch(model.checkpoint().epoch());
  std::istringstream lines(answers);
  for (std::string line; std::getline(lines, line);) {
    const Json answer = Json::parse(line, nullptr, /*allow_exceptions=*/false);
    if (!answer.is_object()) continue;
    if (answer.contains("batch")) {
      AddSpeed(answer, result);
    } else {
      AddPrediction(answer, model.classes(), result);
    }
  }
  if (result.images_size() != static_cast<int>(options.images.size())) {
    return absl::InternalError(absl::StrCat("mead-trainer answered for ", result.images_size(),
                                            " of ", options.images.size(), " images"));
  }
  if (!result.speeds().empty()) {
    result.set_machine(DeviceName(/*gpu=*/false));
    result.set_threads(threads);
  }
  if (!session.Print(result)) {
    PrintTable(session, result, options.top);
    PrintSpeeds(session, result, model.image_size());
  }
  const bool all = std::all_of(result.images().begin(), result.images().end(),
                               [](const auto& image) { return image.error().empty(); });
  return all ? kExitDone : kExitFailed;
}

}  // namespace mead::client
