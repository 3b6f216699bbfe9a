#include "client/sweep_file.h"

#include <gmock/gmock.h>
#include <google/protobuf/util/message_differencer.h>
#include <gtest/gtest.h>

#include <fstream>

#include "client/sweep_yaml.h"
#include "tests/unit/client/run_client.h"

namespace mead::client {
namespace {

using ::google::protobuf::util::MessageDifferencer;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr char kHead[] = "apiVersion: mead/v1\nkind: Sweep\nname: a\ndataset: d\n";

SweepFile Parse(const std::string& body, const std::vector<std::string>& sets = {}) {
  return ParseSweep("s.yaml", kHead + body, ".", sets);
}
std::string Errors(const std::string& body, const std::vector<std::string>& sets = {}) {
  return Parse(body, sets).DiagnosticsText();
}

// Uses every field of the API's SweepSpec that is a key.
constexpr char kEverything[] = R"(objective: {metric: val/r_k, goal: minimize}
search: {method: grid, trials: 24, parallel: 4, seed: 18446744073709551615, folds: 5, fold_seed: 3}
stopper: {method: none}
resources: {ranks: 2, accelerator: gpu}
retry: {user_error: 0, out_of_memory: 1, infrastructure: unlimited}
train:
  model: resnet50
  image_size: 224
  batch_size: 64
  epochs: 12
  schedule: one_cycle
  optimizer: {name: adamw, lr: 1e-3, momentum: 0.9, weight_decay: 0, nesterov: true, beta1: 0.9, beta2: 0.99, trust_coefficient: 0.002, clip_grad_norm: 1}
  phases: [{epochs: 4, freeze: body, image_size: 128}, {epochs: 8, lr_scale: [0.1, 1]}]
  augment: {rotate: 180, flip: both, crop_scale: [0.7, 1], lighting: 0.2, mixup: 0.2, cutmix: 1, erasing: 0.25, position_box: mask}
  precision: bf16
  seed: 1
  label_smoothing: 0.1
  loader_threads: 2
  ema: 0.999
  micro_batch: 16
  deterministic: true
  virtual_ranks: 8
  freeze_batch_norm: true
  resident: off
  gradients_on_wire: bf16
  checkpoint: {every_steps: 500, every_minutes: 2.5, keep_best: 2, keep_latest: 3}
  lr_range: {min_lr: 1e-6, max_lr: 2.5, steps: 200}
  warmup_epochs: 0.5
  step_epochs: [4, 8]
  lr_gamma: 0.2
  patience: 2
  class_weights: balanced
  sampling: balanced
  early_stopping: {patience: 3, min_delta: 0.001}
  test_time_augment: flips
  stride: v1
  defaults: kvasir
space:
  optimizer.lr: {log_uniform: [1e-4, 1e-1]}
  optimizer.weight_decay: {choice: [0, 1e-4]}
  label_smoothing: {uniform: [0, 0.4], step: 0.1}
  batch_size: {int: [32, 128], step: 32}
  optimizer.nesterov: {choice: [true, false]}
  optimizer.name: {choice: [sgd, adamw]}
)";

TEST(SweepFile, ReadsEveryKeyOfTheInterface) {
  const SweepFile file = Parse(kEverything);
  ASSERT_EQ(file.DiagnosticsText(), "");
  EXPECT_EQ(file.spec.name(), "a");
  EXPECT_EQ(file.spec.search().seed(), 18446744073709551615u);
  EXPECT_EQ(file.spec.retry().infrastructure(), -1);
  EXPECT_EQ(file.spec.train().optimizer().lr(), 1e-3);
  EXPECT_TRUE(file.spec.train().optimizer().has_weight_decay());
  EXPECT_TRUE(file.spec.train().optimizer().nesterov());
  ASSERT_EQ(file.spec.train().phases_size(), 2);
  EXPECT_EQ(file.spec.train().phases(1).lr_scale(0), 0.1);
  ASSERT_EQ(file.spec.space_size(), 6);
  EXPECT_EQ(file.spec.space(0).path(), "optimizer.lr");
  EXPECT_EQ(file.spec.space(0).log_uniform().high(), 0.1);
  // The 0 of a choice of numbers is a number, too.
  EXPECT_EQ(file.spec.space(1).choice().values(0).kind_case(), mead::v1::ParamValue::kNumber);
  EXPECT_EQ(file.spec.space(2).uniform().step(), 0.1);
  EXPECT_EQ(file.spec.space(3).int_().step(), 32);
  EXPECT_TRUE(file.spec.space(4).choice().values(0).flag());
  EXPECT_EQ(file.spec.space(5).choice().values(1).text(), "adamw");
}

TEST(SweepFile, WhatTheCoordinatorSetsIsNoKey) {
  EXPECT_THAT(Errors("train: {fold: {index: 1, folds: 5}}\n"), HasSubstr("train.fold"));
  EXPECT_THAT(Errors("fold_pictures: []\n"), HasSubstr("fold_pictures"));
  SweepFile file = Parse("train: {model: resnet18}\n");
  file.spec.mutable_train()->mutable_fold()->set_index(2);
  file.spec.add_fold_pictures()->add_train(7);
  EXPECT_THAT(SweepYaml(file.spec), Not(HasSubstr("fold")));
}

TEST(SweepFile, WordsStandForSomeNumbers) {
  const SweepFile file = Parse("train: {micro_batch: auto}\nretry: {out_of_memory: unlimited}\n");
  ASSERT_EQ(file.DiagnosticsText(), "");
  EXPECT_TRUE(file.spec.train().has_micro_batch());
  EXPECT_EQ(file.spec.train().micro_batch(), 0);
  EXPECT_EQ(file.spec.retry().out_of_memory(), -1);
  EXPECT_THAT(SweepYaml(file.spec), HasSubstr("micro_batch: auto"));
  EXPECT_THAT(Errors("train: {batch_size: auto}\n"), HasSubstr("wants a whole number"));
  EXPECT_THAT(Errors("train: {deterministic: 1, ema: on, virtual_ranks: 2.5}\n"),
              AllOf(HasSubstr("train.deterministic: wants true or false"),
                    HasSubstr("train.ema: wants a number"),
                    HasSubstr("train.virtual_ranks: wants a whole number")));
}

TEST(SweepFile, LeavesAbsentKeysToTheServer) {
  const SweepFile file = Parse("");
  EXPECT_EQ(file.DiagnosticsText(), "");
  EXPECT_FALSE(file.spec.has_train());
  EXPECT_FALSE(file.spec.has_search());
}

TEST(SweepFile, WrittenOutReadsBackTheSame) {
  const SweepFile file = Parse(kEverything);
  const SweepFile again = ParseSweep("again", SweepYaml(file.spec), ".", {});
  EXPECT_EQ(again.DiagnosticsText(), "");
  EXPECT_TRUE(MessageDifferencer::Equals(file.spec, again.spec)) << SweepYaml(file.spec);
}

TEST(SweepFile, ExamplesAreSound) {
  for (const auto& entry : std::filesystem::directory_iterator(MEAD_EXAMPLES)) {
    const auto file = LoadSweepFile(entry.path().string(), {});
    ASSERT_TRUE(file.ok()) << file.status();
    EXPECT_EQ(file->DiagnosticsText(), "");
  }
}

TEST(SweepFile, ReportsAllErrorsAtOnceInTheOrderOfTheFile) {
  const SweepFile file = ParseSweep("bad.yaml",
                                    "apiVersion: mead/v2\n"
                                    "name: 123\n"
                                    "serach: {method: random}\n"
                                    "search: {trials: many}\n"
                                    "train:\n"
                                    "  batch_sise: 32\n"
                                    "  optimizer: {lr: fast}\n"
                                    "  epochs: 1\n"
                                    "  epochs: 2\n"
                                    "space:\n"
                                    "  optimizer.lr: {log_uniform: [0.1, 0.01]}\n",
                                    ".", {});
  EXPECT_EQ(file.DiagnosticsText(),
            "bad.yaml:1:1: kind: missing; begin the file with \"kind: Sweep\"\n"
            "bad.yaml:1:1: dataset: missing; name a data set (mead dataset list shows them)\n"
            "bad.yaml:1:13: apiVersion: wants mead/v1, got the text \"mead/v2\"\n"
            "bad.yaml:2:7: name: wants text, got 123; if that is its text, quote it: \"123\"\n"
            "bad.yaml:3:1: serach: unknown key; did you mean search?\n"
            "bad.yaml:4:18: search.trials: wants a whole number, got the text \"many\"\n"
            "bad.yaml:6:3: train.batch_sise: unknown key; did you mean batch_size?\n"
            "bad.yaml:7:19: train.optimizer.lr: wants a number, got the text \"fast\"\n"
            "bad.yaml:9:3: train.epochs: given twice; the first is in line 8\n"
            "bad.yaml:11:31: space.optimizer.lr: the range is reversed; write [0.01, 0.1]\n");
}

TEST(SweepFile, ATabIsNamedAndWhatFollowsIsStillChecked) {
  EXPECT_EQ(Errors("train:\n\tmodel: resnet18\n\tepochs: x\n"),
            "s.yaml:6:1: a tab as indentation, which YAML forbids; indent with spaces\n"
            "s.yaml:7:1: a tab as indentation, which YAML forbids; indent with spaces\n"
            "s.yaml:7:10: train.epochs: wants a whole number, got the text \"x\"\n");
}

TEST(SweepFile, ASyntaxErrorHasItsPlace) {
  EXPECT_THAT(Errors("search: {trials: 3\n"), HasSubstr("s.yaml:6:1: not YAML: "));
}

TEST(SweepFile, RefusesWhatIsNoSweep) {
  EXPECT_THAT(ParseSweep("s", "", ".", {}).DiagnosticsText(), HasSubstr("wants a sweep"));
  EXPECT_THAT(ParseSweep("s", "[1, 2]", ".", {}).DiagnosticsText(), HasSubstr("got a list"));
  EXPECT_THAT(Errors("---\nname: b\n"), HasSubstr("a second document"));
}

TEST(SweepFile, WrongShapesAreNamed) {
  EXPECT_THAT(Errors("search: random\n"), HasSubstr(":5:9: search: wants a mapping of keys"));
  EXPECT_THAT(Errors("train: {phases: {epochs: 1}}\n"), HasSubstr("wants a list, got a mapping"));
  EXPECT_THAT(Errors("train:\n"), HasSubstr(":5:1: train: has no value"));
  EXPECT_THAT(Errors("train: {optimizer: {nesterov: yes}}\n"), HasSubstr("wants true or false"));
  EXPECT_THAT(Errors("search: {seed: -1}\n"), HasSubstr("from 0 to 18446744073709551615, got -1"));
  EXPECT_THAT(Errors("search: {trials: 3000000000}\n"), HasSubstr("wants a whole number from"));
  EXPECT_THAT(Errors("train: {optimizer: {lr: .inf}}\n"), HasSubstr("wants a number"));
  EXPECT_THAT(Errors("train: {optimizer: {lr: \"0.1\"}}\n"), HasSubstr("got the text \"0.1\""));
  EXPECT_THAT(Errors("retry: {user_error: unlimitd}\n"), HasSubstr("wants a whole number"));
}

TEST(SweepFile, SpaceRefusesEmptyReversedAndMistypedRanges) {
  const auto space = [](const std::string& line) { return Errors("space:\n  " + line + "\n"); };
  EXPECT_THAT(space("optimizer.lr: {uniform: [1, 1]}"), HasSubstr("is empty"));
  EXPECT_THAT(space("optimizer.lr: {uniform: [1]}"), HasSubstr("got 1 values"));
  EXPECT_THAT(space("optimizer.lr: {log_uniform: [0, 1]}"), HasSubstr("above 0"));
  EXPECT_THAT(space("optimizer.lr: {int: [1, 3]}"), HasSubstr("is not a whole number"));
  EXPECT_THAT(space("optimizer.lr: {uniform: [0, 1], step: 2}"), HasSubstr("step wants"));
  EXPECT_THAT(space("optimizer.lr: {log_uniform: [1, 2], step: 1}"),
              HasSubstr("step goes with uniform or int"));
  EXPECT_THAT(space("optimizer.lr: {uniform: [0, 1], choice: [1]}"), HasSubstr("has both"));
  EXPECT_THAT(space("optimizer.lr: 0.1"), HasSubstr("wants one of {uniform"));
  EXPECT_THAT(space("optimizer.lr: {unifrom: [0, 1]}"), HasSubstr("did you mean uniform?"));
  EXPECT_THAT(space("batch_size: {int: [8, 4]}"), HasSubstr("write [4, 8]"));
  EXPECT_THAT(space("batch_size: {int: [4, 8], step: 0}"), HasSubstr("from 1 to"));
  EXPECT_THAT(space("batch_size: {choice: [8, many]}"),
              HasSubstr("s.yaml:6:28: space.batch_size: wants"));
  EXPECT_THAT(space("model: {choice: []}"), HasSubstr("the choice is empty"));
  EXPECT_THAT(space("model: {uniform: [0, 1]}"), HasSubstr("use {choice: [...]}"));
  EXPECT_THAT(space("optimizer.lrr: {choice: [1]}"), HasSubstr("did you mean optimizer.lr"));
  EXPECT_THAT(space("phases: {choice: [1]}"), HasSubstr("no single value of train:"));
  EXPECT_THAT(space("weights_artifact: {choice: [a]}"), HasSubstr("no single value of train:"));
  // One value is a range of whole numbers.
  EXPECT_EQ(space("batch_size: {int: [8, 8]}"), "");
}

TEST(SweepFile, ClientOnlyFieldsAreNoKeys) {
  EXPECT_THAT(Errors("train: {weights_artifact: x}\n"), HasSubstr("unknown key"));
}

TEST(SweepFile, SetReplacesAndAddsTypedValues) {
  const SweepFile file =
      Parse("train:\n  batch_size: 64\n  phases: [{epochs: 1}]\n",
            {"train.batch_size=32", "search.trials=8", "train.phases[0].freeze=body",
             "space.optimizer.lr={uniform: [0, 1]}", "name=other"});
  ASSERT_EQ(file.DiagnosticsText(), "");
  EXPECT_EQ(file.spec.train().batch_size(), 32);
  EXPECT_EQ(file.spec.search().trials(), 8);
  EXPECT_EQ(file.spec.train().phases(0).freeze(), "body");
  EXPECT_EQ(file.spec.space(0).uniform().high(), 1);
  EXPECT_EQ(file.spec.name(), "other");
}

TEST(SweepFile, ErrorsOfSetNameTheOption) {
  EXPECT_EQ(Errors("", {"train.epochs=x"}),
            "--set train.epochs=x: train.epochs: wants a whole number, got the text \"x\"\n");
  EXPECT_THAT(Errors("", {"train.epohcs=1"}), HasSubstr("did you mean epochs?"));
  EXPECT_THAT(Errors("", {"nothing"}), HasSubstr("wants KEY=VALUE"));
  EXPECT_THAT(Errors("", {"train.phases[0].epochs=1"}), HasSubstr("no item [0] to set"));
  EXPECT_THAT(Errors("", {"name.x=1"}), HasSubstr("cannot set a key inside"));
  EXPECT_THAT(Errors("", {"train.epochs={"}), HasSubstr("not YAML"));
}

TEST(SweepFile, ViolationsOfTheServerGetTheirPlace) {
  SweepFile file =
      Parse("train:\n  phases: [{epochs: 0}]\nspace:\n  optimizer.lr: {uniform: [0, 9]}\n");
  ASSERT_EQ(file.DiagnosticsText(), "");
  mead::v1::ValidationReport report;
  const auto add = [&](const char* field) {
    auto* violation = report.add_violations();
    violation->set_field(field);
    violation->set_message("no");
  };
  add("train.phases[0].epochs");
  add("space.optimizer.lr");
  add("train.optimizer.momentum");  // not in the file: its nearest parent is train
  add("search.trials");             // nor is its parent
  file.AddViolations(report);
  EXPECT_EQ(file.DiagnosticsText(),
            "s.yaml:1:1: search.trials: no\n"
            "s.yaml:5:1: train.optimizer.momentum: no\n"
            "s.yaml:6:13: train.phases[0].epochs: no\n"
            "s.yaml:8:3: space.optimizer.lr: no\n");
  EXPECT_FALSE(file.IsSound("train.phases"));
  EXPECT_FALSE(file.IsSound("train.phases[0].epochs"));
  EXPECT_TRUE(file.IsSound("train.phase"));
}

TEST(SweepFile, WeightsAreFoundBesideTheFile) {
  const ClientHome home;
  home.Write("sub/net.safetensors", "w");
  const std::string path =
      home.Write("sub/sweep.yaml", std::string(kHead) + "train: {weights: net.safetensors}\n");
  const auto file = LoadSweepFile(path, {});
  ASSERT_TRUE(file.ok());
  EXPECT_EQ(file->DiagnosticsText(), "");
  EXPECT_EQ(file->weights_path, (home.dir() / "sub/net.safetensors").string());
  const auto missing =
      LoadSweepFile(path, {"train.weights=" + (home.dir() / "sub/nett.safetensors").string()});
  ASSERT_TRUE(missing.ok());
  EXPECT_THAT(missing->DiagnosticsText(), HasSubstr("did you mean net.safetensors?"));
  // What --set names is looked for from the working folder.
  EXPECT_FALSE(LoadSweepFile(path, {"train.weights=net.safetensors"})->diagnostics.empty());
}

TEST(SweepFile, AMissingFileNamesNearOnes) {
  const ClientHome home;
  home.Write("sweep.yaml", "");
  const auto file = LoadSweepFile((home.dir() / "sweeep.yaml").string(), {});
  EXPECT_EQ(file.status().code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(file.status().message()), HasSubstr("did you mean sweep.yaml?"));
  EXPECT_FALSE(LoadSweepFile(home.dir().string(), {}).ok());
}

TEST(SweepFile, AliasesCannotUnfoldWithoutEnd) {
  std::string text = "a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]\n";
  for (int i = 1; i < 9; ++i) {
    const std::string last = "*a" + std::to_string(i - 1);
    text += "a" + std::to_string(i) + ": &a" + std::to_string(i) + " [";
    for (int k = 0; k < 10; ++k) text += (k ? ", " : "") + last;
    text += "]\n";
  }
  EXPECT_THAT(Errors(text), HasSubstr("too deeply or too large"));
}

}  // namespace
}  // namespace mead::client
