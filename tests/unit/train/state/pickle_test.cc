#include "worker/train/state/pickle.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>

#include "common/base/rng.h"
#include "tests/support/memory_source.h"
#include "tests/unit/train/state/torch_bytes.h"
#include "worker/train/errors.h"

namespace mead::train {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using testing::MemorySource;

constexpr std::array<std::string_view, 2> kGlobals = {"collections.OrderedDict", "torch.Thing"};

Pickle Read(const std::string& content) {
  const MemorySource source(content);
  return ReadPickle(source, 0, source.bytes(), kGlobals);
}

std::string ErrorOf(const std::string& content) {
  try {
    Read(content);
  } catch (const TrainError& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kUserError);
    EXPECT_THAT(error.what(), AllOf(HasSubstr("weights.pth"), HasSubstr("byte")));
    return error.what();
  }
  return "";
}

TEST(Pickle, ReadsEveryKindOfValue) {
  const Pickle pickle =
      Read(Pickled("(NK\x07M\x01\x02J\xfe\xff\xff\xff\x8a\x01\xff\x8a" + std::string(1, '\0') +
                   "\x88\x89G" + Raw(1.5) + Text("text") + "U\x02py" + "])}t"));
  const std::vector<PickleId>& items = pickle[pickle.root].items;
  const std::vector<std::pair<PickleKind, int64_t>> expected = {
      {PickleKind::kNone, 0},  {PickleKind::kInt, 7},  {PickleKind::kInt, 0x201},
      {PickleKind::kInt, -2},  {PickleKind::kInt, -1}, {PickleKind::kInt, 0},
      {PickleKind::kBool, 1},  {PickleKind::kBool, 0}, {PickleKind::kFloat, 0},
      {PickleKind::kText, 0},  {PickleKind::kText, 0}, {PickleKind::kList, 0},
      {PickleKind::kTuple, 0}, {PickleKind::kDict, 0}};
  ASSERT_EQ(items.size(), expected.size());
  for (size_t i = 0; i < items.size(); ++i) {
    EXPECT_EQ(pickle[items[i]].kind, expected[i].first) << i;
    EXPECT_EQ(pickle[items[i]].integer, expected[i].second) << i;
  }
  EXPECT_EQ(pickle[items[9]].text, "text");
  EXPECT_EQ(pickle[items[10]].text, "py");
}

TEST(Pickle, FillsListsAndMappingsAndRemembersThem) {
  const Pickle pickle = Read(Pickled("}q\x05" + Text("a") + "](K\x01K\x02" + "eK\x03" + "as(" +
                                     Text("b") + "r" + Raw(uint32_t{257}) + "h\x05u"));
  EXPECT_THAT(ErrorOf(Pickled(std::string("}r\0\0\0\0j\1\0\0\0", 11))), HasSubstr("memo is empty"));
  const PickleValue& dict = pickle[pickle.root];
  ASSERT_EQ(dict.items.size(), 4u);
  EXPECT_EQ(pickle[dict.items[1]].items.size(), 3u);
  EXPECT_EQ(dict.items[3], pickle.root);  // it holds itself
}

TEST(Pickle, OrderedDictsAreMappingsInBothSpellings) {
  const std::string name = Global("collections", "OrderedDict");
  const Pickle empty = Read(Pickled(name + ")R" + Text("a") + "Ns}b"));
  EXPECT_EQ(empty[empty.root].kind, PickleKind::kDict);
  EXPECT_EQ(empty[empty.root].items.size(), 2u);
  const Pickle filled = Read(Pickled(name + "](](" + Text("a") + "Nee\x85R"));
  EXPECT_EQ(filled[filled.root].items.size(), 2u);
  EXPECT_THAT(ErrorOf(Pickled(name + "](](" + Text("a") + "ee\x85R")), HasSubstr("no pairs"));
  EXPECT_THAT(ErrorOf(Pickled(name + "]]\x86R")), HasSubstr("no list"));
}

TEST(Pickle, WhatWouldBeCalledBecomesData) {
  const Pickle pickle = Read(Pickled(Global("torch", "Thing") + "K\x01K\x02\x86R"));
  const PickleValue& call = pickle[pickle.root];
  EXPECT_EQ(call.kind, PickleKind::kCall);
  EXPECT_EQ(call.text, "torch.Thing");
  EXPECT_EQ(pickle[call.items[0]].items.size(), 2u);
}

TEST(Pickle, NamesOfOtherThingsAreRefused) {
  const std::string error =
      ErrorOf(Pickled("}" + Text("w") + Global("os", "system") + Text("touch /tmp/x") + "\x85Rs"));
  EXPECT_THAT(error, AllOf(HasSubstr("it refers to os.system"), HasSubstr("at byte 9"),
                           HasSubstr("nothing of it was run"), HasSubstr("save it again")));
  EXPECT_THAT(ErrorOf(Pickled(Global("torch", "Thing2"))), HasSubstr("torch.Thing2"));
  EXPECT_THAT(ErrorOf(Pickled(Global("torch.Thing", ""))), HasSubstr("torch.Thing."));
  EXPECT_THAT(ErrorOf(Pickled("c" + std::string(1000, 'a'))), HasSubstr("name that does not end"));
  // Other ways to the same end: INST, OBJ, STACK_GLOBAL, NEWOBJ, EXT1.
  for (const char op : {'i', 'o', '\x93', '\x81', '\x82'}) {
    EXPECT_THAT(ErrorOf(Pickled(Text("os") + Text("system") + op)), HasSubstr("instruction"));
  }
}

TEST(Pickle, EveryViolationSaysWhatAndWhere) {
  const struct {
    std::string pickle;
    std::string message;
  } cases[] = {
      {"\x80\x04N.", "pickle protocol 4"},
      {"", "within an instruction"},
      {"N", "within an instruction"},
      {".", "lacks its operands"},
      {"NN.", "left over"},
      {"N(.", "lacks its operands"},
      {"N(\x85.", "lacks its operands"},
      {"t.", "lacks its mark"},
      {"](a.", "lacks its operands"},
      {"Ne.", "lacks its mark"},
      {"})a.", "wrong kind"},
      {"])K\x01s.", "wrong kind"},
      {"}(Nu.", "a key without a value"},
      {"q", "within an instruction"},
      {std::string("q\0", 2), "lacks its operands"},
      {"h\x03.", "memo is empty"},
      {"R", "lacks its operands"},
      {"N)R.", "no name"},
      {Global("torch", "Thing") + "NR.", "no name"},
      {"N}b.", "wrong kind"},
      {"\x8a\x09" + std::string(9, 'a') + ".", "more than 64 bits"},
      {std::string("X\xff\xff\xff\xff") + "abc", "within an instruction"},
      {std::string("T\xff\xff\xff\x7f") + "abc", "within an instruction"},
      {"I1\n.", "instruction 73"},
  };
  for (const auto& c : cases) {
    EXPECT_THAT(ErrorOf(c.pickle), HasSubstr(c.message)) << c.pickle;
  }
}

TEST(Pickle, LimitsHold) {
  EXPECT_EQ(ErrorOf(std::string(kMaxPickleDepth, '(') + std::string(kMaxPickleDepth, 't') + "."),
            "");
  EXPECT_THAT(ErrorOf(std::string(kMaxPickleDepth + 1, '(')), HasSubstr("nested deeper"));
  EXPECT_THAT(ErrorOf(std::string(kMaxPickleValues + 1, 'N')), HasSubstr("values"));
  // Deep without marks; nothing follows the depth.
  std::string deep = "]";
  for (size_t i = 1; i < kMaxPickleValues; ++i) deep += '\x85';
  EXPECT_EQ(ErrorOf(deep + "."), "");
  // Copies of one list count.
  std::string copies = "](";
  for (int i = 0; i < 1000; ++i) copies += "NN\x86";
  copies += "e\x85q\x01" + std::string("0");
  EXPECT_THAT(ErrorOf(copies), HasSubstr("instruction 48"));
  copies.pop_back();
  for (int i = 0; i < 1000; ++i) copies += Global("collections", "OrderedDict") + "h\x01R";
  EXPECT_THAT(ErrorOf(copies), HasSubstr("values"));
  EXPECT_THAT(ErrorOf("X" + Raw(static_cast<uint32_t>(kMaxPickleBytes)) +
                      std::string(kMaxPickleBytes, 'a') + "."),
              HasSubstr("passes its limit"));
}

// Every instruction of a state_dict, with lists and the other spellings of numbers.
std::string Sample() {
  return Pickled("}(" + Text("a") + Global("torch", "Thing") + Ints({1, 2, 3}) + "Rq\x01" +
                 Text("b") + Dict({{"x", "h\x01"}, {"y", "\x88"}}) + Text("c") +
                 "](K\x01M\x02\x03J\x01\x01\x01\x01G" + Raw(1.5) + "Ne" + "Na" + Text("d") +
                 "NQ\x89\x86\x85" + "\x88\x88\x88\x87" + "Nu");
}

TEST(Pickle, TruncationAtEveryByteIsAnError) {
  const std::string good = Sample();
  for (size_t length = 0; length < good.size(); ++length) {
    EXPECT_NE(ErrorOf(good.substr(0, length)), "") << length << " bytes";
  }
}

TEST(Pickle, DamagedPicklesNeverCrash) {
  const std::string good = Sample();
  Rng rng(6);
  for (int round = 0; round < 50000; ++round) {
    std::string bad = good;
    for (uint64_t edits = 1 + rng.Below(4); edits > 0; --edits) {
      bad[rng.Below(bad.size())] = static_cast<char>(rng.Below(256));
    }
    try {
      const Pickle pickle = Read(bad);
      for (const PickleValue& value : pickle.values) {
        for (const PickleId id : value.items) EXPECT_LT(id, pickle.values.size());
      }
    } catch (const TrainError&) {
      // What most damage gives.
    }
  }
}

}  // namespace
}  // namespace mead::train
