#include "client/app.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <functional>
#include <memory>
#include <set>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "client/commands.h"
#include "client/commands_model.h"
#include "client/completion.h"
#include "client/interrupt.h"
#include "client/session.h"
#include "client/watch.h"
#include "common/near_names.h"
#include "common/status_util.h"

namespace mead::client {
namespace {

using Action = std::function<absl::StatusOr<int>()>;

constexpr char kEverywhere[] =
    "Everywhere: -o table|json|yaml|name, --server HOST:PORT (or MEAD_SERVER, or a context).";

// Builds the tree. Options live as long as the builder; the chosen command becomes `action`.
class AppBuilder {
 public:
  explicit AppBuilder(Session& session) : session_(session), app_("", "mead") {
    app_.description(
        "mead - train image classifiers on a cluster: submit sweeps, watch trials, look at "
        "confusion matrices");
    app_.footer(
        "First steps:\n"
        "  mead local up --detach                  a cluster on this machine\n"
        "  mead dataset add kvasir ~/kvasir-v2     a folder of pictures per class\n"
        "  mead lr-find sweep.yaml                 which learning rates to try\n"
        "  mead submit sweep.yaml --watch\n"
        "  mead confusion TRIAL\n\n"
        "Exit codes: 0 done, 1 failed, 2 wrong usage or invalid, 3 server not reachable,\n"
        "4 not allowed, 130 interrupted. \"mead COMMAND --help\" tells more of each.");
    app_.require_subcommand(1);
    app_.add_option("--server", session_.server_flag, "the coordinator, HOST:PORT");
    app_.add_option("-o,--output", session_.format, "table, json, yaml or name")
        ->transform(CLI::CheckedTransformer(
                        std::map<std::string, OutputFormat>{{"table", OutputFormat::kTable},
                                                            {"json", OutputFormat::kJson},
                                                            {"yaml", OutputFormat::kYaml},
                                                            {"name", OutputFormat::kName}})
                        .description(""))
        ->type_name("FORMAT");
    AddSweepCommands();
    AddTrialCommands();
    AddModelCommands();
    AddDatasetCommands();
    AddClusterCommands();
    AddLocalCommands();
    AddOwnCommands();
  }

  CLI::App& app() { return app_; }
  const Action& action() const { return action_; }

 private:
  CLI::App* Group(const char* name, const char* description) {
    CLI::App* group = app_.add_subcommand(name, description);
    group->require_subcommand(1);
    group->fallthrough();
    return group;
  }

  CLI::App* Command(CLI::App* parent, const char* name, const char* description,
                    const char* example, Action action) {
    CLI::App* command = parent->add_subcommand(name, description);
    command->fallthrough();  // the options of the root are good behind the command, too
    command->footer(absl::StrCat("Example:\n  ", example, "\n\n", kEverywhere));
    command->callback([this, action = std::move(action)] { action_ = action; });
    return command;
  }

  CLI::Option* AddEpochChoice(CLI::App* command, const char* help, WhichEpoch& choice) {
    return command->add_option("--epoch", choice, absl::StrCat(help, ": best (default) or last"))
        ->transform(
            CLI::CheckedTransformer(std::map<std::string, WhichEpoch>{{"best", WhichEpoch::kBest},
                                                                      {"last", WhichEpoch::kLast}})
                .description(""))
        ->type_name("EPOCH");
  }

  void AddSweepCommands() {
    CLI::App* submit = Command(&app_, "submit", "submit a sweep file; prints the sweep's id",
                               "mead submit sweep.yaml --set search.trials=8 --watch",
                               [this] { return Submit(session_, submit_); });
    submit->add_option("SWEEP", submit_.file, "the sweep file; - for standard input")->required();
    submit->add_option("--set", submit_.sets, "replace a key: train.batch_size=32 (repeatable)")
        ->type_name("KEY=VALUE")
        ->allow_extra_args(false);
    submit->add_flag("--dry-run", submit_.dry_run,
                     "let the server check it and fill defaults in, and submit nothing");
    submit->add_flag("--watch", submit_.watch, "show it live until it ends");
    submit->add_flag("--wait-for-resources", submit_.wait_for_resources,
                     "queue it even if the cluster has too few slots now");

    AddLrFind();
    Command(&app_, "list", "list sweeps", "mead list -o json",
            [this] { return ListSweeps(session_); });
    CLI::App* describe = Command(&app_, "describe", "show a sweep or a trial in full",
                                 "mead describe SWEEP", [this] { return Describe(session_, id_); });
    describe->add_option("ID", id_, "a sweep or a trial, or a unique prefix")->required();
    CLI::App* watch = Command(&app_, "watch", "show a sweep live until it has ended",
                              "mead watch SWEEP", [this] { return WatchSweep(session_, id_); });
    watch->add_option("ID", id_, "a sweep, or a unique prefix")->required();
    CLI::App* stop = Command(&app_, "stop", "stop a sweep or a trial", "mead stop SWEEP",
                             [this] { return Stop(session_, id_); });
    stop->add_option("ID", id_, "a sweep or a trial, or a unique prefix")->required();
  }

  void AddLrFind() {
    CLI::App* find = Command(
        &app_, "lr-find", "run a learning-rate range test; shows the curve and suggests rates",
        "mead lr-find sweep.yaml --max-lr 1 --steps 200 --png curve.png\n"
        "  mead lr-find --trial TRIAL\n\n"
        "One trial with the file's `train:` takes steps at a rate that grows from --min-lr to\n"
        "--max-lr, until the loss, smoothed, is four times its smallest. What `space:` varies\n"
        "has the value that `train:` gives it, or its default. Nothing is evaluated or kept but\n"
        "the curve.",
        [this] { return LrFind(session_, lr_find_); });
    find->add_option("SWEEP", lr_find_.file, "the sweep file; - for standard input");
    find->add_option("--trial", lr_find_.trial,
                     "instead of SWEEP: show a test that has run, or a unique prefix of its id");
    find->add_option("--set", lr_find_.sets, "replace a key: train.batch_size=32 (repeatable)")
        ->type_name("KEY=VALUE")
        ->allow_extra_args(false);
    find->add_option("--min-lr", lr_find_.min_lr, "the first step's rate; 1e-7 by default");
    find->add_option("--max-lr", lr_find_.max_lr, "the last step's rate; 10 by default");
    find->add_option("--steps", lr_find_.steps, "10 to 1000; 100 by default");
    find->add_option("--csv", lr_find_.csv, "write the curve to a file, too")->type_name("FILE");
    find->add_option("--png", lr_find_.png, "write it as a picture, too")->type_name("FILE");
    find->add_flag("--wait-for-resources", lr_find_.wait_for_resources,
                   "queue it even if the cluster has too few slots now");
  }

  void AddTrialCommands() {
    CLI::App* logs = Command(&app_, "logs", "print what a trial's ranks have logged",
                             "mead logs TRIAL -f", [this] { return Logs(session_, id_, follow_); });
    logs->add_option("TRIAL", id_, kTrialHelp)->required();
    logs->add_flag("-f,--follow", follow_, "go on until the trial has ended");
    CLI::App* metrics = Command(&app_, "metrics", "print a trial's metrics by epoch",
                                "mead metrics TRIAL --name val/accuracy --name val/r_k", [this] {
                                  return precision_recall_.class_name.empty()
                                             ? Metrics(session_, id_, names_)
                                             : PrecisionRecall(session_, id_, precision_recall_);
                                });
    metrics->add_option("TRIAL", id_, kTrialHelp)->required();
    CLI::Option* name = metrics->add_option("--name", names_, "only this metric (repeatable)")
                            ->allow_extra_args(false);
    CLI::Option* curve =
        metrics
            ->add_option("--pr", precision_recall_.class_name,
                         "precision and recall of this class at every threshold instead")
            ->type_name("CLASS")
            ->excludes(name);
    metrics->add_option("--csv", precision_recall_.csv, "with --pr: write the curve to a file, too")
        ->type_name("FILE")
        ->needs(curve);
    AddEpochChoice(metrics, "with --pr: of which epoch", precision_recall_.epoch)->needs(curve);
    CLI::App* losses = Command(&app_, "top-losses",
                               "show the validation pictures that a trial is most wrong about",
                               "mead top-losses TRIAL --count 30 --html losses.html",
                               [this] { return TopLosses(session_, id_, top_losses_); });
    losses->add_option("TRIAL", id_, kTrialHelp)->required();
    losses->add_option("--count", top_losses_.count, "how many")
        ->capture_default_str()
        ->check(CLI::Range(1, 100'000));
    AddEpochChoice(losses, "of which epoch", top_losses_.epoch);
    losses
        ->add_option("--to", top_losses_.to,
                     "write the pictures to this folder, named RANK_TRUE_PREDICTED_LOSS_NAME")
        ->type_name("DIR");
    losses->add_option("--html", top_losses_.html, "write one page with thumbnails")
        ->type_name("FILE");
    CLI::App* confusion =
        Command(&app_, "confusion", "show a trial's confusion matrix and per-class figures",
                "mead confusion TRIAL --epoch 3 --png confusion.png",
                [this] { return Confusion(session_, id_, epoch_, pooled_, png_); });
    confusion->add_option("TRIAL", id_, kTrialHelp)->required();
    confusion->add_option("--epoch", epoch_, "an epoch, from 1; the best one by default")
        ->check(CLI::Range(1, 1'000'000));
    confusion->add_flag("--pooled", pooled_,
                        "of all folds of the trial's configuration together, each of its own best "
                        "epoch (with --epoch: all of that one)");
    confusion->add_option("--png", png_, "write it as a picture, too")->type_name("FILE");
  }

  void AddModelCommands() {
    const std::vector<std::string> formats = ExportFormats();
    CLI::App* save = Command(&app_, "export", "write a trial's model or figures for other programs",
                             "mead export TRIAL --to polyps --format torchvision",
                             [this] { return Export(session_, id_, export_); });
    save->add_option("TRIAL", id_, kTrialHelp)->required();
    save->add_option("--to", export_.to, "the folder to write to, made if missing")
        ->required()
        ->type_name("DIR");
    save->add_option("--format", export_.format, absl::StrJoin(formats, ", "))
        ->required()
        ->check(CLI::IsMember(formats).description(""))
        ->type_name("FORMAT");
    AddEpochChoice(save, "the model of which epoch", export_.epoch);
    CLI::App* predict = Command(&app_, "predict", "classify pictures with a trial's model, here",
                                "mead predict TRIAL frame1.jpg frame2.png -o json",
                                [this] { return PredictImages(session_, id_, predict_); });
    predict->add_option("TRIAL", id_, kTrialHelp)->required();
    predict->add_option("IMAGE", predict_.images, "JPEG or PNG files")->required();
    predict->add_option("--top", predict_.top, "how many classes the table names for each")
        ->capture_default_str()
        ->check(CLI::Range(1, 1000));
    predict->add_flag("--benchmark", predict_.benchmark,
                      "also measure images per second here, over these images again and again");
    AddEpochChoice(predict, "the model of which epoch", predict_.epoch);
  }

  void AddDatasetCommands() {
    CLI::App* group =
        Group("dataset", "data sets: add, synth, list, describe, show, verify, remove");
    CLI::App* add = Command(group, "add", "make a data set of pictures and upload it",
                            "mead dataset add kvasir-v2 ~/kvasir-dataset-v2.zip",
                            [this] { return AddDataset(session_, add_); });
    add->add_option("NAME", add_.name, "its name from now on")->required();
    add->add_option("PATH", add_.path,
                    "a folder per class, train/ and test/ folders of them, a CSV file with columns "
                    "path and label, WebDataset tars, or a .zip or .tar.gz of any of these")
        ->required();
    add->add_option("--val-fraction", add_.val_fraction,
                    "share of each class for validation where no split is given")
        ->capture_default_str();
    add->add_option("--seed", add_.seed, "of that split")->capture_default_str();
    add->add_flag("--no-leakage-guard", add_.no_leakage_guard,
                  "don't look for near-duplicates (by default a split keeps them on one side)");
    add->add_flag("--drop-straddling", add_.drop_straddling,
                  "leave out training images that show the same as one in your test folders");
    add->add_option("--group-by", add_.group_by,
                    "a regular expression: images whose paths have the same (...) stay on one side "
                    "of the split, such as 'patient-([0-9]+)'");
    add->add_flag("--on-server", add_.on_server, "PATH lies on the coordinator's disk");
    CLI::App* synth = Command(group, "synth", "make up an endoscopy-like data set of 8 classes",
                              "mead dataset synth demo --images-per-class 60 --size 128",
                              [this] { return SynthDataset(session_, synth_); });
    synth->add_option("NAME", synth_.name, "its name from now on")->required();
    synth->add_option("--images-per-class", synth_.images_per_class, "pictures of each class")
        ->capture_default_str();
    synth->add_option("--size", synth_.size, "side of a picture in pixels")->capture_default_str();
    synth->add_option("--seed", synth_.seed, "the same seed makes the same pictures")
        ->capture_default_str();
    synth->add_option("--val-fraction", synth_.val_fraction, "share of each class for validation")
        ->capture_default_str();
    Command(group, "list", "list data sets", "mead dataset list",
            [this] { return ListDatasets(session_); });
    const auto add_named = [&](const char* name, const char* description,
                               absl::StatusOr<int> (*run)(Session&, const std::string&)) {
      const std::string example = absl::StrCat("mead dataset ", name, " kvasir-v2");
      Command(group, name, description, example.c_str(), [this, run] { return run(session_, id_); })
          ->add_option("NAME", id_, "a data set")
          ->required();
    };
    add_named("describe", "show classes, counts, near-duplicates and files left out",
              &DescribeDataset);
    AddDatasetShow(group);
    add_named("verify", "read every shard and compare its SHA-256", &VerifyDataset);
    add_named("remove", "remove a data set that no unfinished sweep uses", &RemoveDataset);
  }

  void AddDatasetShow(CLI::App* group) {
    CLI::App* show =
        Command(group, "show", "draw training pictures, as they are and augmented, into a PNG file",
                "mead dataset show kvasir-v2 --augment rotate=180,flip=both --png sheet.png",
                [this] { return ShowDataset(session_, show_); });
    show->add_option("NAME", show_.name, "a data set");
    show->add_option("--path", show_.path,
                     "instead of NAME: pictures on this machine, as \"add\" takes them");
    show->add_option("--png", show_.png, "the file to write")->required();
    show->add_option("--augment", show_.augment,
                     "keys of train.augment: rotate=180,flip=both,crop_scale=[0.7,1]")
        ->type_name("KEY=VALUE,...");
    show->add_option("--sweep", show_.sweep,
                     "a sweep file: its train.augment (--augment replaces keys), image_size, seed");
    show->add_option("--count", show_.count, "augmented pictures of each, one per epoch")
        ->capture_default_str()
        ->check(CLI::Range(0, 64));
    show->add_option("--pictures", show_.pictures, "how many pictures, of all classes by turns")
        ->capture_default_str()
        ->check(CLI::Range(1, 256));
    show->add_option("--class", show_.class_name, "only of this class");
    show->add_option("--epoch", show_.epoch, "the first augmented picture's epoch")
        ->capture_default_str()
        ->check(CLI::Range(1, 1'000'000));
    show->add_option("--seed", show_.seed,
                     "train.seed, and which pictures; the sweep's, or 1 by default");
    show->add_option("--size", show_.size,
                     "side of a picture in pixels; the sweep's image_size, or 224 by default");
  }

  void AddClusterCommands() {
    Command(&app_, "status", "the cluster at a glance", "mead status",
            [this] { return ShowStatus(session_); });
    CLI::App* nodes = Group("nodes", "the cluster's workers: list, describe");
    Command(nodes, "list", "list workers", "mead nodes list",
            [this] { return ListNodes(session_); });
    Command(nodes, "describe", "show a worker and its slots", "mead nodes describe worker-1",
            [this] { return DescribeNode(session_, id_); })
        ->add_option("NODE", id_, "a worker, or a unique prefix")
        ->required();
  }

  void AddLocalCommands() {
    CLI::App* local = Group("local", "a cluster on this machine: up, down, status");
    CLI::App* up =
        Command(local, "up", "start a coordinator and workers here, and select the context local",
                "mead local up --workers 2 --detach", [this] { return LocalUp(session_, up_); });
    up->add_option("--workers", up_.workers,
                   "how many workers: 2 by default, or 1 that owns all GPUs where there are any")
        ->check(CLI::Range(1, 64));
    up->add_option("--slots", up_.slots,
                   "ranks that each worker can run: 1 by default, or one per GPU")
        ->check(CLI::Range(1, 64));
    up->add_option("--dir", up_.dir, kDirHelp);
    up->add_option("--port", up_.port, "of gRPC; 0 for any free one")
        ->capture_default_str()
        ->check(CLI::Range(0, 65535));
    up->add_option("--http-port", up_.http_port, "of the status page; 0 for any free one")
        ->capture_default_str()
        ->check(CLI::Range(0, 65535));
    up->add_option("--accelerator", up_.accelerator, "what the slots are; found out by default")
        ->check(CLI::IsMember({"cpu", "gpu"}));
    up->add_option("--timeout", up_.timeout_s, "seconds until it must be ready")
        ->capture_default_str()
        ->check(CLI::Range(1, 3600));
    up->add_flag("--detach", up_.detach, "leave it running; without it Ctrl-C stops the cluster");
    Command(local, "down", "stop it", "mead local down", [this] {
      return LocalDown(session_, up_.dir);
    })->add_option("--dir", up_.dir, kDirHelp);
    Command(local, "status", "its processes; exit code 1 unless all run", "mead local status",
            [this] { return LocalStatus(session_, up_.dir); })
        ->add_option("--dir", up_.dir, kDirHelp);
  }

  void AddOwnCommands() {
    CLI::App* context = Group("context", "which coordinator commands go to");
    Command(context, "list", "list contexts; * marks the current one", "mead context list",
            [this] { return ListContexts(session_); });
    Command(context, "use", "choose a context", "mead context use local",
            [this] { return UseContext(session_, id_); })
        ->add_option("NAME", id_, "a context")
        ->required();
    CLI::App* add = Command(context, "add", "name a coordinator and choose it",
                            "mead context add lab gpu-head:7070 --http gpu-head:7071", [this] {
                              return AddContext(session_, id_, context_server_, context_http_);
                            });
    add->add_option("NAME", id_, "its name from now on")->required();
    add->add_option("SERVER", context_server_, "HOST:PORT of gRPC")->required();
    add->add_option("--http", context_http_, "HOST:PORT of the status page");
    Command(context, "remove", "forget a context", "mead context remove lab",
            [this] { return RemoveContext(session_, id_); })
        ->add_option("NAME", id_, "a context")
        ->required();
    Command(&app_, "version", "print the version", "mead version",
            [this] { return ShowVersion(session_); });
    Command(&app_, "completion", "print a completion script for a shell",
            "source <(mead completion bash)",
            [this]() -> absl::StatusOr<int> {
              session_.terminal.out << CompletionScript(app_, shell_);
              return kExitDone;
            })
        ->add_option("SHELL", shell_, "bash, zsh or fish")
        ->required()
        ->check(CLI::IsMember({"bash", "zsh", "fish"}));
  }

  static constexpr char kTrialHelp[] =
      "a trial, or a unique prefix; a sweep's id means its best trial";
  static constexpr char kDirHelp[] =
      "its folder; where it last was by default (first ~/.local/share/mead/local)";

  Session& session_;
  CLI::App app_;
  Action action_;
  SubmitOptions submit_;
  LrFindOptions lr_find_;
  AddDatasetOptions add_;
  SynthDatasetOptions synth_;
  ShowDatasetOptions show_;
  LocalUpOptions up_;
  std::string id_;
  bool follow_ = false;
  int epoch_ = 0;
  bool pooled_ = false;
  std::string png_;
  std::vector<std::string> names_;
  TopLossesOptions top_losses_;
  PrecisionRecallOptions precision_recall_;
  ExportOptions export_;
  PredictOptions predict_;
  std::string context_server_;
  std::string context_http_;
  std::string shell_;
};

// "unknown command" for a first or second word that names none; empty otherwise.
std::string UnknownCommand(const CLI::App& app, const std::vector<std::string>& arguments) {
  const CLI::App* at = &app;
  std::string path = "mead";
  for (size_t i = 0; i < arguments.size(); ++i) {
    const std::string& word = arguments[i];
    if (word == "-o" || word == "--output" || word == "--server") {
      ++i;  // its value
      continue;
    }
    if (word.rfind('-', 0) == 0) continue;
    std::vector<std::string> names;
    const CLI::App* next = nullptr;
    for (const CLI::App* child : at->get_subcommands({})) {
      names.push_back(child->get_name());
      if (child->get_name() == word) next = child;
    }
    if (names.empty()) return "";
    if (next == nullptr) {
      return absl::StrCat("unknown command \"", word, "\"", DidYouMean(word, names), "\n  \"", path,
                          " --help\" lists them");
    }
    at = next;
    absl::StrAppend(&path, " ", word);
  }
  return "";
}

void PrintError(const Terminal& terminal, const std::string& message) {
  terminal.out << std::flush;
  terminal.err << "mead: " << message << "\n" << std::flush;
}

}  // namespace

int RunMead(const std::vector<std::string>& arguments, Terminal& terminal) {
  InstallInterruptHandler();
  Session session(terminal);
  AppBuilder builder(session);
  try {
    std::vector<std::string> reversed(arguments.rbegin(), arguments.rend());
    builder.app().parse(reversed);
  } catch (const CLI::CallForHelp& help) {
    builder.app().exit(help, terminal.out, terminal.err);
    return kExitDone;
  } catch (const CLI::CallForAllHelp& help) {
    builder.app().exit(help, terminal.out, terminal.err);
    return kExitDone;
  } catch (const CLI::ParseError& error) {
    if (arguments.empty()) {
      terminal.err << builder.app().help();
      return kExitUsage;
    }
    const std::string unknown = UnknownCommand(builder.app(), arguments);
    PrintError(terminal, !unknown.empty() ? unknown
                                          : absl::StrCat(error.what(),
                                                         "\n  \"mead --help\" and \"mead "
                                                         "COMMAND --help\" tell what is wanted"));
    return kExitUsage;
  }
  const absl::StatusOr<int> result = builder.action()();
  if (result.ok()) {
    terminal.out << std::flush;
    return *result;
  }
  PrintError(terminal, std::string(ToStd(result.status().message())));
  return ExitCodeOf(result.status());
}

}  // namespace mead::client
