#include "worker/train/state/pickle.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <unordered_map>
#include <utility>

#include "worker/train/state/file_format.h"

namespace mead::train {
namespace {

static_assert(std::endian::native == std::endian::little, "a pickle's numbers are little-endian");

constexpr size_t kMaxGlobalBytes = 256;
constexpr std::string_view kOrderedDict = "collections.OrderedDict";

enum Op : uint8_t {
  kMark = '(',
  kStop = '.',
  kBinFloat = 'G',
  kBinInt = 'J',
  kBinInt1 = 'K',
  kBinInt2 = 'M',
  kNone = 'N',
  kBinPersId = 'Q',
  kReduce = 'R',
  kBinString = 'T',
  kShortBinString = 'U',
  kBinUnicode = 'X',
  kAppend = 'a',
  kBuild = 'b',
  kGlobal = 'c',
  kAppends = 'e',
  kBinGet = 'h',
  kLongBinGet = 'j',
  kBinPut = 'q',
  kLongBinPut = 'r',
  kSetItem = 's',
  kTuple = 't',
  kSetItems = 'u',
  kEmptyTuple = ')',
  kEmptyList = ']',
  kEmptyDict = '}',
  kProto = 0x80,
  kTuple1 = 0x85,
  kTuple2 = 0x86,
  kTuple3 = 0x87,
  kNewTrue = 0x88,
  kNewFalse = 0x89,
  kLong1 = 0x8a,
};

// Reads on through a source, piece by piece.
class Input {
 public:
  Input(const ByteSource& source, int64_t begin, int64_t end)
      : source_(source), at_(begin), end_(end), loaded_to_(begin) {}

  int64_t at() const { return at_; }

  [[noreturn]] void Fail(const std::string& what, int64_t at) const {
    FailFormat(source_.path(), kTorchFormat, what, at);
  }

  std::string Bytes(size_t count) {
    if (count > static_cast<uint64_t>(end_ - at_)) {
      Fail("a pickle ends, or passes its limit, within an instruction", at_);
    }
    std::string bytes(count, '\0');
    for (size_t done = 0; done < count;) {
      if (at_ == loaded_to_) Load();
      const size_t part = std::min(count - done, static_cast<size_t>(loaded_to_ - at_));
      std::memcpy(bytes.data() + done, window_.data() + window_.size() - (loaded_to_ - at_), part);
      done += part;
      at_ += static_cast<int64_t>(part);
    }
    return bytes;
  }

  template <class T>
  T Number() {
    T value;
    std::memcpy(&value, Bytes(sizeof(value)).data(), sizeof(value));
    return value;
  }

  std::string Line() {
    const int64_t begin = at_;
    std::string line;
    for (char c = Number<char>(); c != '\n'; c = Number<char>()) {
      if (line.size() == kMaxGlobalBytes) Fail("a name that does not end", begin);
      line += c;
    }
    return line;
  }

 private:
  void Load() {
    constexpr int64_t kWindowBytes = 64 << 10;
    window_.resize(static_cast<size_t>(std::min(kWindowBytes, end_ - at_)));
    source_.Read(at_, window_.data(), window_.size());
    loaded_to_ = at_ + static_cast<int64_t>(window_.size());
  }

  const ByteSource& source_;
  int64_t at_;
  int64_t end_;
  int64_t loaded_to_;  // the window ends in front of this byte of the source
  std::string window_;
};

class Reader {
 public:
  Reader(Input input, std::span<const std::string_view> globals)
      : input_(std::move(input)), globals_(globals) {}

  Pickle Read() {
    while (Step()) {
    }
    return std::move(pickle_);
  }

 private:
  using Kind = PickleKind;

  [[noreturn]] void Fail(const std::string& what) const { input_.Fail(what, op_at_); }

  // One instruction; false after the last.
  bool Step() {
    op_at_ = input_.at();
    const auto op = input_.Number<uint8_t>();
    switch (op) {
      case kProto:
        if (const int version = input_.Number<uint8_t>(); version != 2) {
          Fail("pickle protocol " + std::to_string(version) + ", and 2 (torch's default) is read");
        }
        break;
      case kMark:
        if (marks_.size() == kMaxPickleDepth) {
          Fail("nested deeper than " + std::to_string(kMaxPickleDepth) + " levels");
        }
        marks_.push_back(stack_.size());
        break;
      case kNone:
        Push({.kind = Kind::kNone});
        break;
      case kNewTrue:
      case kNewFalse:
        Push({.kind = Kind::kBool, .integer = op == kNewTrue});
        break;
      case kBinInt:
        PushInt(input_.Number<int32_t>());
        break;
      case kBinInt1:
        PushInt(input_.Number<uint8_t>());
        break;
      case kBinInt2:
        PushInt(input_.Number<uint16_t>());
        break;
      case kLong1:
        PushInt(Long());
        break;
      case kBinFloat:
        input_.Number<double>();
        Push({.kind = Kind::kFloat});
        break;
      case kBinUnicode:
      case kBinString:
        PushText(input_.Number<uint32_t>());
        break;
      case kShortBinString:
        PushText(input_.Number<uint8_t>());
        break;
      case kEmptyTuple:
        Push({.kind = Kind::kTuple});
        break;
      case kEmptyList:
        Push({.kind = Kind::kList});
        break;
      case kEmptyDict:
        Push({.kind = Kind::kDict});
        break;
      case kTuple1:
      case kTuple2:
      case kTuple3:
        Push({.kind = Kind::kTuple, .items = Pop(static_cast<size_t>(op - kTuple1 + 1))});
        break;
      case kTuple:
        Push({.kind = Kind::kTuple, .items = PopMark()});
        break;
      case kAppend:
        Extend(Kind::kList, Pop(1));
        break;
      case kAppends:
        Extend(Kind::kList, PopMark());
        break;
      case kSetItem:
        Extend(Kind::kDict, Pop(2));
        break;
      case kSetItems:
        Extend(Kind::kDict, PopMark());
        break;
      case kBinPut:
        Remember(input_.Number<uint8_t>());
        break;
      case kLongBinPut:
        Remember(input_.Number<uint32_t>());
        break;
      case kBinGet:
        Recall(input_.Number<uint8_t>());
        break;
      case kLongBinGet:
        Recall(input_.Number<uint32_t>());
        break;
      case kGlobal:
        PushGlobal();
        break;
      case kBinPersId:
        Push({.kind = Kind::kPersistent, .items = Pop(1)});
        break;
      case kReduce:
        Reduce();
        break;
      case kBuild:
        // Attributes, such as the _metadata of a state_dict: nothing here needs them.
        Pop(1);
        Top(Kind::kDict);
        break;
      case kStop:
        pickle_.root = Pop(1)[0];
        if (!stack_.empty() || !marks_.empty()) Fail("values are left over where a pickle ends");
        pickle_.end = input_.at();
        return false;
      default:
        Fail("instruction " + std::to_string(op) + " is none of what a weights file needs");
    }
    return true;
  }

  int64_t Long() {
    const std::string bytes = input_.Bytes(input_.Number<uint8_t>());
    if (bytes.size() > sizeof(int64_t)) Fail("a number of more than 64 bits");
    // Two's complement, as short as it can be.
    int64_t value = !bytes.empty() && static_cast<signed char>(bytes.back()) < 0 ? -1 : 0;
    std::memcpy(&value, bytes.data(), bytes.size());
    return value;
  }

  void CountPush() {
    if (++pushes_ > kMaxPickleValues) {
      Fail("more than " + std::to_string(kMaxPickleValues) + " values");
    }
  }

  void Push(PickleValue value) {
    CountPush();
    value.at = op_at_;
    stack_.push_back(static_cast<PickleId>(pickle_.values.size()));
    pickle_.values.push_back(std::move(value));
  }

  void PushInt(int64_t value) { Push({.kind = Kind::kInt, .integer = value}); }

  void PushText(size_t bytes) { Push({.kind = Kind::kText, .text = input_.Bytes(bytes)}); }

  void PushGlobal() {
    std::string name = input_.Line() + ".";
    name += input_.Line();
    if (std::find(globals_.begin(), globals_.end(), name) == globals_.end()) {
      Fail("it refers to " + name +
           ", which is none of what a weights file holds: nothing of it was run");
    }
    Push({.kind = Kind::kGlobal, .text = std::move(name)});
  }

  // Values above the last mark only.
  std::vector<PickleId> Pop(size_t count) {
    const size_t floor = marks_.empty() ? 0 : marks_.back();
    if (stack_.size() - floor < count) Fail("an instruction lacks its operands");
    const auto first = stack_.end() - static_cast<ptrdiff_t>(count);
    std::vector<PickleId> popped(first, stack_.end());
    stack_.erase(first, stack_.end());
    return popped;
  }

  std::vector<PickleId> PopMark() {
    if (marks_.empty()) Fail("an instruction lacks its mark");
    std::vector<PickleId> popped = Pop(stack_.size() - marks_.back());
    marks_.pop_back();
    return popped;
  }

  PickleValue& Top(Kind kind) {
    const PickleId top = Pop(1)[0];
    stack_.push_back(top);
    PickleValue& value = pickle_.values[top];
    if (value.kind != kind) Fail("an instruction has an operand of the wrong kind");
    return value;
  }

  void Extend(Kind kind, const std::vector<PickleId>& items) {
    if (kind == Kind::kDict && items.size() % 2 != 0) Fail("a key without a value");
    std::vector<PickleId>& all = Top(kind).items;
    all.insert(all.end(), items.begin(), items.end());
  }

  void Remember(uint32_t place) {
    const PickleId top = Pop(1)[0];
    stack_.push_back(top);
    if (memo_.size() == kMaxPickleValues) Fail("too many values in the memo");
    memo_[place] = top;
  }

  void Recall(uint32_t place) {
    const auto found = memo_.find(place);
    if (found == memo_.end()) {
      Fail("place " + std::to_string(place) + " of the memo is empty");
    }
    CountPush();
    stack_.push_back(found->second);
  }

  void Reduce() {
    const std::vector<PickleId> operands = Pop(2);
    const PickleValue& callee = pickle_.values[operands[0]];
    const PickleValue& arguments = pickle_.values[operands[1]];
    if (callee.kind != Kind::kGlobal || arguments.kind != Kind::kTuple) {
      Fail("a call of something that has no name, or without arguments");
    }
    if (callee.text == kOrderedDict) {
      Push({.kind = Kind::kDict, .items = Pairs(arguments)});
    } else {
      Push({.kind = Kind::kCall, .text = callee.text, .items = {operands[1]}});
    }
  }

  // OrderedDict() or, as Python 2 wrote it, OrderedDict([[key, value], ...]).
  // Its items are copies, so they count.
  std::vector<PickleId> Pairs(const PickleValue& arguments) {
    std::vector<PickleId> items;
    for (const PickleId id : arguments.items) {
      const PickleValue& list = pickle_[id];
      if (arguments.items.size() > 1 || list.kind != Kind::kList) Fail("an OrderedDict of no list");
      for (const PickleId pair : list.items) {
        const std::vector<PickleId>& two = pickle_[pair].items;
        if (two.size() != 2) Fail("an OrderedDict of no pairs");
        CountPush();
        items.insert(items.end(), two.begin(), two.end());
      }
    }
    return items;
  }

  Input input_;
  std::span<const std::string_view> globals_;
  int64_t op_at_ = 0;
  size_t pushes_ = 0;
  Pickle pickle_;
  std::vector<PickleId> stack_;
  std::vector<size_t> marks_;
  std::unordered_map<uint32_t, PickleId> memo_;
};

}  // namespace

Pickle ReadPickle(const ByteSource& source, int64_t begin, int64_t end,
                  std::span<const std::string_view> globals) {
  end = std::min(end, begin + kMaxPickleBytes);
  return Reader(Input(source, begin, end), globals).Read();
}

}  // namespace mead::train
