// A gang of two on one GPU: steps recorded as CUDA graphs with their collectives against
// steps launched one by one, and what becomes of one rank when the other is killed or
// stopped amid replays.
//
// gang_gpu_check
// Starts its ranks itself: this program again, as two hosts in NCCL's eyes, which
// otherwise refuses two ranks on one GPU. Prints which steps were replayed, what differs
// and "N passed, N failed". Exit status 1 where something failed, 77 where there is no
// GPU. Ends within ten minutes in any case, and no rank outlives it.
#include <ATen/Context.h>
#include <cuda_runtime_api.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <optional>
#include <sstream>
#include <string>
#include <vector>

#include "common/base/rng.h"
#include "tests/gpu/tally.h"
#include "worker/train/comm/rendezvous.h"
#include "worker/train/session.h"
#include "worker/train/state/safetensors.h"

namespace mead::train {
namespace {

using Clock = std::chrono::steady_clock;
using Seconds = std::chrono::duration<double>;

constexpr int kRanks = 2;
constexpr int kSide = 64;
constexpr int kBatch = 17;  // shared unevenly
constexpr int kClasses = 8;
constexpr int kSteps = 12;
constexpr int kShortStep = 6;  // of 13 pictures, which no graph holds
constexpr int kEvaluationBefore = 9;
constexpr int kWarmUps = 3;  // StepGraph's
constexpr int kPeerLostExit = 3;
constexpr std::chrono::seconds kHardDeadline{570};

// --- one rank ----------------------------------------------------------------------------

struct RankArguments {
  int rank = 0;
  std::string store;  // "serve" or rank 0's address
  bool recorded = false;
  Precision precision = Precision::kFp32;
  Precision wire = Precision::kFp32;
  int steps = 0;
  std::chrono::seconds timeout{0};
  std::string checkpoint;  // or "-"
};

void Say(const std::string& line) {
  std::printf("%s\n", line.c_str());
  std::fflush(stdout);
}

TrainOptions Options(const RankArguments& arguments) {
  TrainOptions options;
  options.model = "resnet18";
  options.num_classes = kClasses;
  options.image_size = kSide;
  options.batch_size = kBatch;
  options.steps_per_epoch = std::max(arguments.steps, 1);
  options.epochs = 1;
  options.schedule = ScheduleKind::kConstant;
  options.optimizer.lr = 0.002;
  options.precision = arguments.precision;
  options.gradients_on_wire = arguments.wire;
  options.record_steps = arguments.recorded;
  options.bucket_bytes = int64_t{4} << 20;  // several collectives per step
  options.device = "cuda:0";
  options.threads = 2;
  return options;
}

void RunStep(TrainingSession& session, int step, int rank) {
  const int global = step == kShortStep ? kBatch - 4 : kBatch;
  const int first = rank == 0 ? 0 : (global + 1) / 2;
  const int n = rank == 0 ? (global + 1) / 2 : global / 2;
  constexpr size_t kPictureBytes = size_t{kSide} * kSide * 3;
  Rng rng(static_cast<uint64_t>(step) + 1);
  std::vector<uint8_t> pixels(static_cast<size_t>(global) * kPictureBytes);
  for (uint8_t& pixel : pixels) pixel = static_cast<uint8_t>(rng.Below(256));
  std::vector<int32_t> labels(static_cast<size_t>(global));
  for (int32_t& label : labels) label = static_cast<int32_t>(rng.Below(kClasses));
  const int64_t replayed = session.replayed_steps();
  session.StartStep(pixels.data() + static_cast<size_t>(first) * kPictureBytes,
                    labels.data() + first, n, global);
  Say("step " + std::to_string(step) +
      (session.replayed_steps() > replayed ? " replayed" : " launched"));
}

void Print(const std::vector<StepResult>& results) {
  for (const StepResult& result : results) {
    std::printf("loss %.9g %lld\n", result.loss, static_cast<long long>(result.correct));
  }
}

void Train(const RankArguments& arguments) {
  // For the meeting; libraries load for long on a busy machine.
  constexpr std::chrono::seconds kMeeting{120};
  const auto store = arguments.store == "serve"
                         ? RendezvousStore::Serve("127.0.0.1", kMeeting)
                         : RendezvousStore::Connect(arguments.store, kMeeting);
  Say("store " + store->address());
  const auto gang = MakeCommunicator({.rank = arguments.rank,
                                      .world_size = kRanks,
                                      .device = "cuda:0",
                                      .timeout = arguments.timeout},
                                     store);
  TrainingSession session(Options(arguments), gang);
  for (int step = 0; step < arguments.steps; ++step) {
    if (step == kEvaluationBefore) {  // a collective that is in no graph
      session.StartEvaluation();
      session.EndEvaluation();
    }
    RunStep(session, step, arguments.rank);
    Print(session.FinishedSteps(/*wait=*/false));
  }
  Print(session.FinishedSteps(/*wait=*/true));
  session.StartEvaluation();  // rank 0's batch-norm for all
  session.EndEvaluation();
  if (arguments.checkpoint != "-") session.SaveCheckpoint(arguments.checkpoint, 1);
  gang->Barrier();
}

int RunRank(char** argv) {
  const RankArguments arguments{.rank = std::stoi(argv[2]),
                                .store = argv[3],
                                .recorded = std::string(argv[4]) == "recorded",
                                .precision = PrecisionFromName(argv[5]),
                                .wire = PrecisionFromName(argv[6]),
                                .steps = std::stoi(argv[7]),
                                .timeout = std::chrono::seconds(std::stoi(argv[8])),
                                .checkpoint = argv[9]};
  // Not in TF32: pictures without sense amplify its errors a hundredfold in ten steps.
  at::globalContext().setAllowTF32CuDNN(false);
  try {
    Train(arguments);
  } catch (const TrainError& error) {
    // The graph, the session and the communicator are gone by now, in this order.
    Say(std::string("error ") + ErrorKindName(error.kind()) + ": " + error.what());
    return error.kind() == ErrorKind::kPeerLost ? kPeerLostExit : 1;
  } catch (const std::exception& error) {
    Say(std::string("error ") + error.what());
    return 1;
  }
  Say("done");
  return 0;
}

// --- what starts them --------------------------------------------------------------------

Tally tally;

void Expect(const std::string& what, bool good) { tally.Add(what, good); }

// A rank's process; killed when this goes.
class Rank {
 public:
  explicit Rank(int rank, const std::vector<std::string>& settings) {
    std::vector<std::string> words = {"gang_gpu_check", "rank", std::to_string(rank)};
    words.insert(words.end(), settings.begin(), settings.end());
    std::vector<char*> argv;
    for (std::string& word : words) argv.push_back(word.data());
    argv.push_back(nullptr);
    const std::string host = "mead-host-" + std::to_string(rank);
    int pipe_ends[2];
    if (pipe2(pipe_ends, O_CLOEXEC) != 0) std::abort();
    process_ = fork();
    if (process_ == 0) {
      prctl(PR_SET_PDEATHSIG, SIGKILL);
      dup2(pipe_ends[1], STDOUT_FILENO);
      setenv("NCCL_HOSTID", host.c_str(), 1);
      setenv("NCCL_SOCKET_IFNAME", "lo", 1);
      execv("/proc/self/exe", argv.data());
      _exit(127);
    }
    close(pipe_ends[1]);
    output_ = pipe_ends[0];
  }
  ~Rank() {
    Signal(SIGKILL);
    Wait();
    close(output_);
  }
  Rank(const Rank&) = delete;
  Rank& operator=(const Rank&) = delete;

  void Signal(int number) {
    if (!status_) kill(process_, number);
  }

  // Reads until a line has the words; "" if none came by then, or ever.
  std::string ReadUntil(const std::string& words, Clock::time_point deadline) {
    for (;;) {
      const size_t end = text_.find('\n', read_);
      if (end == std::string::npos) {
        if (!ReadMore(deadline)) return "";
        continue;
      }
      const std::string line = text_.substr(read_, end - read_);
      read_ = end + 1;
      if (line.find(words) != std::string::npos) return line;
    }
  }

  // Reads to the end; whether it came by then.
  bool ReadAll(Clock::time_point deadline) {
    while (ReadMore(deadline)) {
    }
    return ended_;
  }

  // The exit status, or -signal. Its output must have ended.
  int Wait() {
    if (!status_) {
      int status = 0;
      waitpid(process_, &status, 0);
      status_ = WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
    }
    return *status_;
  }

  const std::string& text() const { return text_; }
  std::vector<std::string> LinesWith(const std::string& prefix) const {
    std::vector<std::string> lines;
    std::istringstream stream(text_);
    for (std::string line; std::getline(stream, line);) {
      if (line.starts_with(prefix)) lines.push_back(line);
    }
    return lines;
  }

 private:
  bool ReadMore(Clock::time_point deadline) {
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now());
    pollfd waited{.fd = output_, .events = POLLIN, .revents = 0};
    if (ended_ || left.count() <= 0 || poll(&waited, 1, static_cast<int>(left.count())) != 1) {
      return false;
    }
    char buffer[4096];
    const ssize_t count = read(output_, buffer, sizeof(buffer));
    if (count > 0) text_.append(buffer, static_cast<size_t>(count));
    ended_ = count <= 0;
    return !ended_;
  }

  pid_t process_ = 0;
  int output_ = -1;
  bool ended_ = false;
  std::string text_;
  size_t read_ = 0;  // of text_, by ReadUntil()
  std::optional<int> status_;
};

using Gang = std::vector<std::unique_ptr<Rank>>;

struct Case {
  std::string name;  // of its checkpoints
  bool recorded = false;
  std::string precision = "fp32";
  std::string wire = "fp32";
  int steps = kSteps;
  int timeout_seconds = 60;
};

Gang Start(const Case& run, const std::string& directory) {
  Gang gang;
  std::string store = "serve";
  for (int rank = 0; rank < kRanks; ++rank) {
    const std::string checkpoint =
        run.name.empty() ? "-" : directory + "/" + run.name + "." + std::to_string(rank);
    gang.push_back(std::make_unique<Rank>(
        rank, std::vector<std::string>{store, run.recorded ? "recorded" : "launched", run.precision,
                                       run.wire, std::to_string(run.steps),
                                       std::to_string(run.timeout_seconds), checkpoint}));
    if (rank == 0) {
      const std::string line =
          gang[0]->ReadUntil("store ", Clock::now() + std::chrono::seconds(120));
      store = line.empty() ? "-" : line.substr(6);
    }
  }
  return gang;
}

std::string Bytes(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

// Of the weights of two checkpoints, not of the optimizer.
double LargestDifference(const std::string& a, const std::string& b) {
  const SafetensorsFile first = SafetensorsFile::Open(a);
  const SafetensorsFile second = SafetensorsFile::Open(b);
  double largest = 0;
  for (const auto& [name, info] : first.tensors()) {
    if (info.dtype != DType::kF32 || name.starts_with("optimizer.")) continue;
    std::vector<float> x(static_cast<size_t>(info.bytes / 4));
    std::vector<float> y(x.size());
    first.Read(info, x.data());
    second.Read(second.tensors().at(name), y.data());
    for (size_t i = 0; i < x.size(); ++i) {
      const double difference = std::fabs(static_cast<double>(x[i]) - y[i]);
      if (!(difference <= largest)) largest = difference;  // NaN, too
    }
  }
  return largest;
}

// Runs a gang to its end. Returns the losses, or none if it failed.
std::vector<double> RunToTheEnd(const Case& run, const std::string& directory) {
  const Gang gang = Start(run, directory);
  const auto deadline = Clock::now() + std::chrono::seconds(120);
  bool good = true;
  for (const auto& rank : gang) {
    const bool ended = rank->ReadAll(deadline);
    if (!ended) rank->Signal(SIGKILL);
    const bool done = ended && rank->Wait() == 0;
    if (!done) std::printf("%s\n", rank->text().c_str());
    Expect(run.name + ": a rank trains to the end", done);
    good = good && done;
  }
  if (!good) return {};

  std::string replayed;
  for (const std::string& line : gang[0]->LinesWith("step ")) {
    if (line.ends_with("replayed")) replayed += " " + line.substr(5, line.find(' ', 5) - 5);
  }
  std::printf("%s: steps replayed:%s\n", run.name.c_str(),
              replayed.empty() ? " none" : replayed.c_str());
  Expect(run.name + ": both ranks replay the same steps",
         gang[0]->LinesWith("step ") == gang[1]->LinesWith("step "));
  const auto repeats = std::count(replayed.begin(), replayed.end(), ' ');
  Expect(run.name + ": all whole batches after the warm-up are replayed, or none",
         repeats == (run.recorded ? kSteps - 1 - kWarmUps : 0));
  Expect(run.name + ": both ranks know the same figures",
         gang[0]->LinesWith("loss ") == gang[1]->LinesWith("loss "));
  const std::string path = directory + "/" + run.name;
  Expect(run.name + ": the ranks' checkpoints have the same bits",
         !Bytes(path + ".0").empty() && Bytes(path + ".0") == Bytes(path + ".1"));
  std::vector<double> losses;
  for (const std::string& line : gang[0]->LinesWith("loss ")) {
    losses.push_back(std::stod(line.substr(5)));
  }
  Expect(run.name + ": a loss for every step", losses.size() == kSteps);
  return losses;
}

void CompareLosses(const std::string& what, const std::vector<double>& a,
                   const std::vector<double>& b, double tolerance) {
  double largest = 0;
  for (size_t i = 0; i < std::min(a.size(), b.size()); ++i) {
    largest = std::max(largest, std::fabs(a[i] - b[i]) / std::fabs(b[i]));
  }
  std::printf("%s: losses differ by up to %.2g of themselves\n", what.c_str(), largest);
  Expect(what + ": losses agree within " + std::to_string(tolerance),
         !a.empty() && a.size() == b.size() && largest <= tolerance);
}

// cuDNN may choose other algorithms in another process, so no bits are compared.
void CheckRecordedAgainstLaunched(const std::string& directory) {
  const auto launched = RunToTheEnd({.name = "launched"}, directory);
  const auto recorded = RunToTheEnd({.name = "recorded", .recorded = true}, directory);
  CompareLosses("recorded against launched", recorded, launched, 2e-3);
  if (!launched.empty() && !recorded.empty()) {
    const double difference =
        LargestDifference(directory + "/recorded.0", directory + "/launched.0");
    std::printf("recorded against launched: weights differ by up to %.2g\n", difference);
    Expect("recorded against launched: weights within 5e-3", difference <= 5e-3);
  }
  const auto rounded = RunToTheEnd(
      {.name = "recorded, bf16 on the wire", .recorded = true, .wire = "bf16"}, directory);
  CompareLosses("bf16 on the wire against fp32", rounded, recorded, 2e-2);
  const auto bf16 = RunToTheEnd(
      {.name = "recorded, all bf16", .recorded = true, .precision = "bf16", .wire = "bf16"},
      directory);
  CompareLosses("all bf16 against fp32", bf16, recorded, 0.1);
}

void CheckLostRank(int number, int victim, bool recorded) {
  constexpr int kTimeoutSeconds = 15;
  constexpr int kEndless = 1'000'000;
  const std::string name = std::string(number == SIGKILL ? "killed" : "stopped") + " rank " +
                           std::to_string(victim) + (recorded ? ", amid replays" : ", unrecorded");
  const Gang gang = Start(
      {.name = "", .recorded = recorded, .steps = kEndless, .timeout_seconds = kTimeoutSeconds},
      "");
  const size_t lost = static_cast<size_t>(victim);
  const size_t other = 1 - lost;
  const std::string line =
      gang[lost]->ReadUntil("step 40 " + std::string(recorded ? "replayed" : "launched"),
                            Clock::now() + std::chrono::seconds(120));
  Expect(name + ": it was in the middle of its steps", !line.empty());
  const auto begun = Clock::now();
  gang[lost]->Signal(number);
  const bool ended = gang[other]->ReadAll(begun + std::chrono::seconds(kTimeoutSeconds + 20));
  const Seconds took = Clock::now() - begun;
  if (!ended) gang[other]->Signal(SIGKILL);
  const int status = gang[other]->Wait();
  const auto errors = gang[other]->LinesWith("error ");
  const std::string error = errors.empty() ? "" : errors.back();
  std::printf("%s: ended after %.1f s, status %d: %s\n", name.c_str(), took.count(), status,
              error.c_str());
  Expect(name + ": the other ends by itself", ended);
  Expect(name + ": as a peer lost",
         status == kPeerLostExit && error.starts_with("error peer lost"));
  // Not only as itself: "rank 0 of 2: ...".
  const size_t failure = error.find(" failed: ");
  Expect(name + ": with its name",
         failure != std::string::npos &&
             error.find("rank " + std::to_string(victim), failure) != std::string::npos);
  const double limit = number == SIGKILL ? kTimeoutSeconds / 2.0 : kTimeoutSeconds + 5.0;
  Expect(name + ": within " + std::to_string(limit) + " s", ended && took.count() <= limit);
}

int RunAll() {
  alarm(static_cast<unsigned>(kHardDeadline.count()));  // ends this process, and so all ranks
  char directory[] = "/tmp/gang_gpu_check-XXXXXX";
  if (mkdtemp(directory) == nullptr) return 1;
  CheckRecordedAgainstLaunched(directory);
  for (const int number : {SIGKILL, SIGSTOP}) {
    for (const int victim : {1, 0}) CheckLostRank(number, victim, /*recorded=*/true);
    CheckLostRank(number, /*victim=*/1, /*recorded=*/false);
  }
  std::filesystem::remove_all(directory);
  std::printf("%d passed, %d failed\n", tally.passed, tally.failed);
  return tally.failed == 0 ? 0 : 1;
}

}  // namespace
}  // namespace mead::train

int main(int argc, char** argv) {
  signal(SIGPIPE, SIG_IGN);  // as the trainer does
  if (argc == 10 && std::string(argv[1]) == "rank") return mead::train::RunRank(argv);
  if (argc != 1) return 2;
  if (!mead::train::HasGpu()) return mead::train::kSkipped;
  return mead::train::RunAll();
}
