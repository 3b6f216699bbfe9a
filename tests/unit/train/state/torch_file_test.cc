#include "worker/train/state/torch_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <limits>

#include "common/base/rng.h"
#include "tests/support/memory_source.h"
#include "tests/unit/train/state/torch_bytes.h"
#include "worker/train/errors.h"

namespace mead::train {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::MemorySource;
using ::testing::Pair;

TorchFile Open(const std::string& content) {
  return TorchFile::Open(std::make_unique<MemorySource>(content));
}

std::string ErrorOf(const std::string& content) {
  try {
    Open(content);
  } catch (const TrainError& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kUserError);
    EXPECT_THAT(error.what(), AllOf(HasSubstr("weights.pth"), HasSubstr("byte")));
    return error.what();
  }
  return "";
}

std::string Floats(const std::vector<float>& values) {
  std::string bytes;
  for (const float value : values) bytes += Raw(value);
  return bytes;
}

std::vector<float> FloatsOf(const TorchFile& file, const std::string& name) {
  const TorchTensor& tensor = file.tensors().at(name);
  int64_t elements = 1;
  for (const int64_t size : tensor.shape) elements *= size;
  std::vector<float> values(static_cast<size_t>(elements));
  file.Read(tensor, values.data());
  return values;
}

const std::string kSix = Storage("FloatStorage", "0", 6);
const std::string kSixFloats = Floats({0, 1, 2, 3, 4, 5});

// Views of one storage, and a counter.
std::string StateDict() {
  return Dict({{"w", Tensor(kSix, 0, {2, 3}, {3, 1})},
               {"t", Tensor(kSix, 0, {3, 2}, {1, 3})},
               {"last", Tensor(kSix, 5, {}, {})},
               {"row", Tensor(kSix, 3, {1, 3}, {77, 1})},
               {"wide", Tensor(kSix, 1, {2, 2}, {0, 2})},
               {"none", Tensor(kSix, 6, {0, 4}, {4, 1})},
               {"n", Tensor(Storage("LongStorage", "1", 1), 0, {}, {})}});
}
std::string ZipSample() {
  return ZipFile(StateDict(), {{"0", kSixFloats}, {"1", Raw(int64_t{9})}});
}
std::string LegacySample() {
  return LegacyFile(StateDict(), {{"1", 1, Raw(int64_t{9})}, {"0", 6, kSixFloats}});
}

TEST(TorchFile, BothFormatsGiveEveryViewDensely) {
  for (const std::string& content : {ZipSample(), LegacySample()}) {
    const TorchFile file = Open(content);
    EXPECT_EQ(file.tensors().size(), 7u);
    EXPECT_EQ(file.note(), "");
    EXPECT_EQ(file.tensors().at("w").shape, (std::vector<int64_t>{2, 3}));
    EXPECT_THAT(FloatsOf(file, "w"), ElementsAre(0, 1, 2, 3, 4, 5));
    EXPECT_THAT(FloatsOf(file, "t"), ElementsAre(0, 3, 1, 4, 2, 5));
    EXPECT_THAT(FloatsOf(file, "last"), ElementsAre(5));
    EXPECT_THAT(FloatsOf(file, "row"), ElementsAre(3, 4, 5));
    EXPECT_THAT(FloatsOf(file, "wide"), ElementsAre(1, 3, 1, 3));
    EXPECT_THAT(FloatsOf(file, "none"), IsEmpty());
    int64_t n = 0;
    file.Read(file.tensors().at("n"), &n);
    EXPECT_EQ(n, 9);
  }
}

TEST(TorchFile, ElementsOfEverySizeAreGathered) {
  const std::vector<std::pair<std::string, DType>> types = {
      {"BoolStorage", DType::kBool},     {"ByteStorage", DType::kU8},
      {"CharStorage", DType::kI8},       {"HalfStorage", DType::kF16},
      {"BFloat16Storage", DType::kBF16}, {"ShortStorage", DType::kI16},
      {"IntStorage", DType::kI32},       {"LongStorage", DType::kI64},
      {"DoubleStorage", DType::kF64}};
  for (const auto& [name, dtype] : types) {
    const auto bytes = static_cast<size_t>(DTypeBytes(dtype));
    std::string data, expected;
    for (const char c : {'a', 'b', 'c', 'd'}) data += std::string(bytes, c);
    for (const char c : {'a', 'c', 'b', 'd'}) expected += std::string(bytes, c);
    const TorchFile file = Open(
        ZipFile(Dict({{"x", Tensor(Storage(name, "k", 4), 0, {2, 2}, {1, 2})}}), {{"k", data}}));
    EXPECT_EQ(file.tensors().at("x").dtype, dtype);
    std::string read(4 * bytes, '\0');
    file.Read(file.tensors().at("x"), read.data());
    EXPECT_EQ(read, expected) << name;
  }
}

TEST(TorchFile, TrainingScriptsNestsAndWrappersPrefixesAreSeenThrough) {
  const std::string tensor = Tensor(kSix, 0, {6}, {1});
  const auto open = [&](const std::string& object) {
    return Open(ZipFile(object, {{"0", kSixFloats}}));
  };
  const TorchFile parallel =
      open(Dict({{"module.conv1.weight", tensor}, {"module.fc.bias", tensor}}));
  EXPECT_THAT(parallel.tensors(),
              ElementsAre(Pair("conv1.weight", ::testing::_), Pair("fc.bias", ::testing::_)));
  EXPECT_EQ(parallel.note(), "'module.' taken off every name");
  const TorchFile nested =
      open(Dict({{"epoch", Int(3)},
                 {"args", Text("--lr 3")},
                 {"optimizer", Dict({{"state", Dict({{"step", tensor}})}})},
                 {"state_dict", Dict({{"_orig_mod.module.fc.bias", tensor}})}}));
  EXPECT_THAT(nested.tensors(), ElementsAre(Pair("fc.bias", ::testing::_)));
  EXPECT_EQ(nested.note(),
            "found under 'state_dict', '_orig_mod.' taken off every name, 'module.' taken off "
            "every name");
  const TorchFile mixed = open(Dict({{"module.a", tensor}, {"b", tensor}}));
  EXPECT_TRUE(mixed.tensors().contains("module.a"));
  // What is no tensor is left out; a parameter is one.
  const std::string parameter =
      Global("torch._utils", "_rebuild_parameter") + tensor + "\x88N\x87R";
  const TorchFile more = open(Dict({{"_extra_state", "N"}, {"p", parameter}}));
  EXPECT_THAT(FloatsOf(more, "p"), ElementsAre(0, 1, 2, 3, 4, 5));
  EXPECT_EQ(more.tensors().size(), 1u);
  // Names travel in messages.
  EXPECT_TRUE(open(Dict({{"a\xff\n", tensor}})).tensors().contains("a?" "?"));
}

TEST(TorchFile, NothingOfTheFileIsRun) {
  const std::string evil = Dict({{"w", Global("os", "system") + Text("touch evil") + "\x85R"}});
  for (const std::string& content : {ZipFile(evil, {}), LegacyFile(evil, {})}) {
    EXPECT_THAT(ErrorOf(content),
                AllOf(HasSubstr("it refers to os.system"), HasSubstr("nothing of it was run"),
                      HasSubstr("torch.save(model.state_dict(), PATH)")));
  }
  EXPECT_THAT(ErrorOf(ZipFile(Global("torchvision.models.resnet", "ResNet") + ")R", {})),
              HasSubstr("it refers to torchvision.models.resnet.ResNet"));
}

TEST(TorchFile, ObjectsThatAreNoStateDictAreNamed) {
  const auto error = [](const std::string& object) {
    return ErrorOf(ZipFile(object, {{"0", kSixFloats}}));
  };
  const std::string tensor = Tensor(kSix, 0, {6}, {1});
  EXPECT_THAT(error(tensor), HasSubstr("no mapping of names"));
  EXPECT_THAT(error("]"), HasSubstr("no mapping of names"));
  EXPECT_THAT(error("}"), HasSubstr("no tensors by name"));
  EXPECT_THAT(error(Dict({{"weights", Dict({{"a", tensor}})}})), HasSubstr("no tensors by name"));
  EXPECT_THAT(error("}K\x01" + tensor + "s"), HasSubstr("no text"));
  EXPECT_THAT(error(Dict({{std::string(2000, 'n'), tensor}})), HasSubstr("no text of up to"));
  EXPECT_THAT(error(Dict({{"a", tensor}, {"a", tensor}})), HasSubstr("'a' comes twice"));
  EXPECT_THAT(error(Dict({{"a", Global("torch._utils", "_rebuild_parameter") + ")R"}})),
              HasSubstr("a parameter that is no tensor"));
  EXPECT_THAT(error(Dict({{"a", Global("torch._utils", "_rebuild_tensor_v2") + ")R"}})),
              HasSubstr("not made as torch makes"));
  EXPECT_THAT(error(Dict({{"a", Global("torch", "FloatStorage") + ")R"}})),
              HasSubstr("not made as torch makes"));
}

TEST(TorchFile, ViewsStayWithinTheirStorages) {
  const int64_t most = std::numeric_limits<int64_t>::max();
  const struct {
    int64_t offset;
    std::vector<int64_t> shape, strides;
    std::string message;
  } cases[] = {
      {0, {7}, {1}, "reaches beyond its 6 numbers"},
      {1, {2, 3}, {3, 1}, "reaches beyond"},
      {7, {0}, {1}, "reaches beyond"},
      {-1, {2}, {1}, "reaches beyond"},
      {most, {1}, {1}, "reaches beyond"},
      {0, {2}, {6}, "reaches beyond"},
      {0, {2, 2}, {most, most}, "too large"},
      {0, {most, most}, {0, 0}, "too large"},
      {0, {most}, {1}, "too large"},
      {0, {3}, {most / 2}, "too large"},
      {0, {-1}, {1}, "none of them negative"},
      {0, {2}, {-1}, "none of them negative"},
      {0, {2}, {1, 1}, "with strides"},
      {0, std::vector<int64_t>(65, 1), std::vector<int64_t>(65, 1), "up to 64"},
  };
  for (const auto& c : cases) {
    const std::string object = Dict({{"a", Tensor(kSix, c.offset, c.shape, c.strides)}});
    EXPECT_THAT(ErrorOf(ZipFile(object, {{"0", kSixFloats}})), HasSubstr(c.message));
    EXPECT_THAT(ErrorOf(LegacyFile(object, {{"0", 6, kSixFloats}})), HasSubstr(c.message));
  }
}

TEST(TorchFile, StoragesAreWhatThePickleSays) {
  const std::string object = Dict({{"a", Tensor(kSix, 0, {6}, {1})}});
  EXPECT_THAT(ErrorOf(ZipFile(object, {})), HasSubstr("data '0' is missing"));
  EXPECT_THAT(ErrorOf(ZipFile(object, {{"0", "short"}})),
              HasSubstr("6 numbers of 4 bytes and has 5 bytes"));
  EXPECT_THAT(ErrorOf(LegacyFile(object, {})), HasSubstr("data '0' is missing"));
  EXPECT_THAT(ErrorOf(LegacyFile(object, {{"0", 6, "short"}})), HasSubstr("and has 5 bytes"));
  EXPECT_THAT(ErrorOf(LegacyFile(object, {{"0", 5, kSixFloats}})),
              HasSubstr("6 numbers and has 5"));
  EXPECT_THAT(ErrorOf(LegacyFile(object, {{"0", -1, kSixFloats}})),
              HasSubstr("6 numbers and has -1"));
  EXPECT_THAT(ErrorOf(LegacyFile(object, {{"1", 6, kSixFloats}})), HasSubstr("belongs to nothing"));
  EXPECT_THAT(ErrorOf(LegacyFile(object, {{"0", 6, kSixFloats}, {"0", 6, kSixFloats}})),
              HasSubstr("'0' comes twice"));
  const auto with = [](const std::string& storage) {
    return ErrorOf(
        ZipFile(Dict({{"a", Tensor(kSix, 0, {6}, {1})}, {"b", Tensor(storage, 0, {1}, {1})}}),
                {{"0", kSixFloats}}));
  };
  EXPECT_THAT(with(Storage("FloatStorage", "0", 5)), HasSubstr("described in two ways"));
  EXPECT_THAT(with(Storage("IntStorage", "0", 6)), HasSubstr("described in two ways"));
  EXPECT_THAT(with(Storage("FloatStorage", "1", -1)), HasSubstr("none of torch's"));
  EXPECT_THAT(with(Storage("FloatStorage", "1", std::numeric_limits<int64_t>::max())),
              HasSubstr("'1' is missing"));
  EXPECT_THAT(with(Storage("ComplexFloatStorage", "1", 1)), HasSubstr("ComplexFloatStorage"));
  EXPECT_THAT(with("NQ"), HasSubstr("none of torch's"));
  EXPECT_THAT(with(Tuple({Text("storage"), Text("float"), Text("1"), Text("cpu"), Int(1)}) + "Q"),
              HasSubstr("no known type"));
  EXPECT_THAT(with(Tuple({Text("storage"), Global("torch", "FloatStorage"), Text("0"), Text("cpu"),
                          Int(6), Tuple({Text("k"), Int(0), Int(1)})}) +
                   "Q"),
              HasSubstr("a view of other data"));
}

TEST(TorchFile, FilesOfOtherKindsAreNamed) {
  EXPECT_THAT(ErrorOf("GIF89a"), HasSubstr("begins neither"));
  EXPECT_THAT(ErrorOf(""), HasSubstr("begins neither"));
  EXPECT_THAT(ErrorOf(Zip({{.name = "picture.png"}})), HasSubstr("without data.pkl"));
  const std::string pickle = Pickled(Dict({}));
  EXPECT_THAT(ErrorOf(Zip({{.name = "net/data.pkl", .content = pickle},
                           {.name = "net/constants.pkl", .content = pickle}})),
              HasSubstr("TorchScript"));
  EXPECT_THAT(ErrorOf(Zip({{.name = "net/data.pkl", .content = pickle},
                           {.name = "net/byteorder", .content = "big"}})),
              HasSubstr("byteorder is not 'little'"));
  const std::string legacy = LegacySample();
  std::string version = legacy;
  EXPECT_THAT(ErrorOf(version.replace(18, 2, "\x01\x02")), HasSubstr("version 513"));
  std::string machine = legacy;
  machine[legacy.find("little_endian") + 13] = '\x89';
  EXPECT_THAT(ErrorOf(machine), HasSubstr("little-endian machine"));
}

TEST(TorchFile, TruncationAtEveryByteIsAnError) {
  for (const std::string& good : {ZipSample(), LegacySample()}) {
    for (size_t length = 0; length < good.size(); ++length) {
      EXPECT_NE(ErrorOf(good.substr(0, length)), "") << length << " bytes";
    }
  }
}

// The bytes that the dense tensor takes, if they are few.
std::string ReadIfSmall(const TorchFile& file, const TorchTensor& tensor) {
  constexpr int64_t kMost = 1 << 16;
  int64_t bytes = DTypeBytes(tensor.dtype);
  for (const int64_t size : tensor.shape) {
    if (size > kMost || (bytes *= size) > kMost) return "";
  }
  std::string read(static_cast<size_t>(bytes), '\0');
  file.Read(tensor, read.data());
  return read;
}

TEST(TorchFile, DamagedFilesNeverCrash) {
  Rng rng(7);
  int opened = 0;
  for (const std::string& good : {ZipSample(), LegacySample()}) {
    for (int round = 0; round < 20000; ++round) {
      std::string bad = good;
      for (uint64_t edits = 1 + rng.Below(3); edits > 0; --edits) {
        bad[rng.Below(bad.size())] = static_cast<char>(rng.Below(256));
      }
      try {
        const TorchFile file = Open(bad);
        for (const auto& [name, tensor] : file.tensors()) {
          EXPECT_GE(tensor.begin, 0);
          EXPECT_LE(tensor.begin + tensor.bytes, static_cast<int64_t>(bad.size()));
          ReadIfSmall(file, tensor);
        }
        ++opened;
      } catch (const TrainError&) {
        // What most damage gives.
      }
    }
  }
  EXPECT_GT(opened, 0);  // damage of numbers is not seen
}

}  // namespace
}  // namespace mead::train
