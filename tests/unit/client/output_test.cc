#include "client/output.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>

#include "client/config.h"
#include "client/format.h"
#include "client/progress.h"
#include "client/table.h"
#include "tests/unit/client/run_client.h"

namespace mead::client {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

struct Streams {
  std::ostringstream out;
  std::ostringstream err;
  Terminal terminal{.out = out, .err = err, .env = [](const std::string&) { return std::nullopt; }};
};

TEST(Table, AlignsColumnsByWhatIsSeen) {
  Streams streams;
  Table table({{"NAME"}, {"COUNT", Align::kRight}, {"NOTE"}});
  table.Add({"é", "1", ""});
  table.Add({"longer", "1000", "x"});
  EXPECT_THAT(table.Lines(streams.terminal),
              ElementsAre("NAME    COUNT  NOTE", "é           1", "longer   1000  x"));
  EXPECT_THAT(table.Lines(streams.terminal, 9), ElementsAre("NAME    C", "é", "longer"));
}

TEST(Table, ColoursDoNotShiftColumns) {
  Streams streams;
  streams.terminal.colours = true;
  Table table({{"A"}, {"B"}});
  table.Add({Cell("x", Colour::kRed), "y"});
  EXPECT_EQ(table.Lines(streams.terminal)[1], "\033[31mx\033[0m  y");
}

TEST(Table, TakesControlCharactersOut) {
  Streams streams;
  Table table({{"A"}});
  table.Add({"a\033[2Jb\nc"});
  EXPECT_EQ(table.Lines(streams.terminal)[1], "a [2Jb c");
}

TEST(Format, FiguresAreShortAndHaveUnits) {
  EXPECT_EQ(HumanDuration(absl::Seconds(59.4)), "59 s");
  EXPECT_EQ(HumanDuration(absl::Seconds(185)), "3 min 5 s");
  EXPECT_EQ(HumanDuration(absl::Minutes(130)), "2 h 10 min");
  EXPECT_EQ(HumanDuration(absl::Hours(99)), "4 d 3 h");
  EXPECT_EQ(HumanDuration(absl::Seconds(-5)), "0 s");
  EXPECT_EQ(HumanBytes(1023), "1023 B");
  EXPECT_EQ(HumanBytes(1536), "1.5 KiB");
  EXPECT_EQ(HumanBytes(uint64_t{5} << 40), "5.0 TiB");
  EXPECT_EQ(Percent(0.9213), "92.1 %");
}

TEST(Format, ParametersAreNamedByTheirLastKeyWhereThatIsClear) {
  mead::v1::Trial trial;
  const auto add = [&](const char* path, double value) {
    auto* param = trial.add_params();
    param->set_path(path);
    param->mutable_value()->set_number(value);
  };
  add("optimizer.lr", 0.01);
  EXPECT_EQ(ParamsText(trial.params()), "lr=0.01");
  add("other.lr", 0.5);
  EXPECT_EQ(ParamsText(trial.params()), "optimizer.lr=0.01 other.lr=0.5");
}

TEST(Output, JsonHasZerosAndYamlKeepsTextsTexts) {
  mead::v1::GetMetricsResponse message;
  message.set_trial_id("123");
  auto* point = message.add_points();
  point->set_name("true");
  point->set_value(0.5);
  EXPECT_EQ(ToJson(message, false),
            "{\"trialId\":\"123\",\"points\":[{\"epoch\":0,\"step\":\"0\",\"name\":\"true\","
            "\"value\":0.5}]}\n");
  EXPECT_EQ(ToYaml(message),
            "trialId: \"123\"\npoints:\n  - epoch: 0\n    step: \"0\"\n    name: \"true\"\n"
            "    value: 0.5\n");
}

TEST(Progress, InAPipeALineForEachTenth) {
  Streams streams;
  absl::Time now = absl::UnixEpoch();
  ProgressLine line(streams.terminal, [&] { return now; });
  for (uint64_t i = 0; i <= 100; ++i) {
    line.Update("upload", i << 20, 100 << 20, ProgressLine::Unit::kBytes);
    now += absl::Seconds(1);
  }
  const std::string text = streams.err.str();
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 11);
  EXPECT_THAT(text, HasSubstr("upload  50.0 MiB of 100.0 MiB  50 %  1.0 MiB/s  50 s left\n"));
  EXPECT_THAT(text, HasSubstr("upload  100.0 MiB of 100.0 MiB  100 %  1.0 MiB/s\n"));
}

TEST(Progress, WhatWasThereBeforeIsNotSpeed) {
  Streams streams;
  absl::Time now = absl::UnixEpoch();
  ProgressLine line(streams.terminal, [&] { return now; });
  line.Update("upload", 50, 100, ProgressLine::Unit::kItems, 50);
  now += absl::Seconds(10);
  line.Update("upload", 60, 100, ProgressLine::Unit::kItems, 50);
  EXPECT_THAT(streams.err.str(), HasSubstr("60 of 100  60 %  1/s  40 s left"));
}

TEST(Config, FlagWinsOverEnvironmentOverContextOverDefault) {
  ClientHome home;
  EXPECT_THAT(home.Run({"list"}).err, HasSubstr("at 127.0.0.1:7070 (from the default)"));
  ASSERT_EQ(home.Run({"context", "add", "lab", "127.0.0.1:1"}).exit_code, 0);
  EXPECT_THAT(home.Run({"list"}).err, HasSubstr("at 127.0.0.1:1 (from context lab)"));
  home.Set("MEAD_SERVER", "127.0.0.1:2");
  EXPECT_THAT(home.Run({"list"}).err, HasSubstr("at 127.0.0.1:2 (from MEAD_SERVER)"));
  const ClientResult flag = home.Run({"list", "--server", "127.0.0.1:3"});
  EXPECT_THAT(flag.err, HasSubstr("at 127.0.0.1:3 (from --server)"));
  EXPECT_THAT(flag.err, HasSubstr("mead local up"));
  EXPECT_EQ(flag.exit_code, 3);
}

TEST(Config, ContextsAreListedChosenAndRemoved) {
  ClientHome home;
  EXPECT_EQ(home.Run({"context", "add", "one", "a:1"}).exit_code, 0);
  EXPECT_EQ(home.Run({"context", "add", "two", "b:2", "--http", "b:3"}).exit_code, 0);
  EXPECT_EQ(home.Run({"context", "use", "one"}).out, "commands now go to a:1 (context one)\n");
  EXPECT_EQ(home.Run({"context", "list"}).out,
            "   CONTEXT  SERVER  STATUS PAGE  LOCAL FOLDER\n"
            "*  one      a:1\n"
            "   two      b:2     b:3\n");
  EXPECT_EQ(home.Run({"context", "list", "-o", "name"}).out, "one\ntwo\n");
  const ClientResult unknown = home.Run({"context", "use", "on"});
  EXPECT_EQ(unknown.exit_code, 2);
  EXPECT_THAT(unknown.err, HasSubstr("did you mean one?"));
  EXPECT_EQ(home.Run({"context", "remove", "one"}).exit_code, 0);
  EXPECT_EQ(home.Run({"context", "list", "-o", "name"}).out, "two\n");
}

TEST(Config, ABrokenFileAndABadAddressAreNamed) {
  ClientHome home;
  home.Write(".config/mead/config.yaml", "contexts:\n  x: 5\n");
  const ClientResult broken = home.Run({"list"});
  EXPECT_EQ(broken.exit_code, 2);
  EXPECT_THAT(broken.err, HasSubstr("config.yaml:2: a context wants {server: HOST:PORT}"));
  EXPECT_THAT(home.Run({"list", "--server", "nowhere"}).err, HasSubstr("it wants HOST:PORT"));
}

TEST(App, WrongWordsNameNearOnes) {
  ClientHome home;
  const ClientResult wrong = home.Run({"dataset", "lst"});
  EXPECT_EQ(wrong.exit_code, 2);
  EXPECT_THAT(wrong.err, HasSubstr("mead: unknown command \"lst\"; did you mean list?"));
  EXPECT_EQ(home.Run({}).exit_code, 2);
  EXPECT_EQ(home.Run({"submit"}).exit_code, 2);
  EXPECT_EQ(home.Run({"list", "-o", "xml"}).exit_code, 2);
}

TEST(App, EveryCommandHasHelpWithAnExample) {
  ClientHome home;
  for (const char* command :
       {"submit",         "list",           "describe",      "watch",          "stop",
        "logs",           "metrics",        "confusion",     "status",         "version",
        "completion",     "dataset add",    "dataset synth", "dataset list",   "dataset describe",
        "dataset verify", "dataset remove", "nodes list",    "nodes describe", "local up",
        "local down",     "local status",   "context list",  "context use",    "context add",
        "context remove"}) {
    std::istringstream words(command);
    std::vector<std::string> arguments{std::istream_iterator<std::string>(words), {}};
    arguments.push_back("--help");
    const ClientResult help = home.Run(arguments);
    EXPECT_EQ(help.exit_code, 0) << command;
    EXPECT_THAT(help.out, HasSubstr("Example:\n")) << command;
  }
  EXPECT_THAT(home.Run({"--help"}).out, HasSubstr("Exit codes: 0 done"));
}

TEST(App, CompletionKnowsCommandsAndOptions) {
  ClientHome home;
  for (const char* shell : {"bash", "zsh", "fish"}) {
    const ClientResult script = home.Run({"completion", shell});
    EXPECT_EQ(script.exit_code, 0);
    EXPECT_THAT(script.out, HasSubstr("wait-for-resources"));
    EXPECT_THAT(script.out, HasSubstr("mead list -o name"));
  }
  EXPECT_EQ(home.Run({"completion", "tcsh"}).exit_code, 2);
}

TEST(App, VersionSpeaksEveryFormat) {
  ClientHome home;
  EXPECT_EQ(home.Run({"version"}).out, "mead 0.1.0 (protocol 2)\n");
  EXPECT_THAT(home.Run({"-o", "json", "version"}).out, HasSubstr("\"protocol\": 2"));
}

}  // namespace
}  // namespace mead::client
