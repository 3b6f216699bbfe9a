#include "common/dataset/names.h"

#include <wctype.h>  // towlower_l: POSIX

#include <optional>
#include <span>
#include <vector>

namespace mead::dataset {
namespace {

// The code point at the start of `text`, and its length in bytes; nothing for what UTF-8 forbids
// (overlong forms, surrogates, beyond U+10FFFF).
struct CodePoint {
  char32_t value;
  size_t length;
};
std::optional<CodePoint> Decode(std::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  if (text.empty()) return std::nullopt;
  if (byte(0) < 0x80) return CodePoint{byte(0), 1};
  const size_t length = byte(0) >= 0xF0 ? 4 : byte(0) >= 0xE0 ? 3 : 2;
  constexpr char32_t kSmallest[] = {0, 0, 0x80, 0x800, 0x10000};
  if (byte(0) < 0xC2 || byte(0) > 0xF4 || text.size() < length) return std::nullopt;
  char32_t value = byte(0) & (0x7Fu >> length);
  for (size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xC0) != 0x80) return std::nullopt;
    value = value << 6 | (byte(i) & 0x3Fu);
  }
  if (value < kSmallest[length] || value > 0x10FFFF || (value >= 0xD800 && value < 0xE000)) {
    return std::nullopt;
  }
  return CodePoint{value, length};
}

void Append(char32_t c, std::string& out) {
  const auto put = [&](char32_t byte) { out.push_back(static_cast<char>(byte)); };
  if (c < 0x80) {
    put(c);
  } else if (c < 0x800) {
    put(0xC0 | c >> 6), put(0x80 | (c & 0x3F));
  } else if (c < 0x10000) {
    put(0xE0 | c >> 12), put(0x80 | (c >> 6 & 0x3F)), put(0x80 | (c & 0x3F));
  } else {
    put(0xF0 | c >> 18), put(0x80 | (c >> 12 & 0x3F)), put(0x80 | (c >> 6 & 0x3F));
    put(0x80 | (c & 0x3F));
  }
}

std::vector<char32_t> DecodeAll(std::string_view text) {
  std::vector<char32_t> out;
  while (!text.empty()) {
    const auto c = Decode(text);
    out.push_back(c ? c->value : U'?');
    text.remove_prefix(c ? c->length : 1);
  }
  return out;
}

bool IsBlank(char32_t c) {
  return c <= 0x20 || c == 0x7F || c == 0x85 || c == 0xA0 || c == 0x1680 ||
         (c >= 0x2000 && c <= 0x200D) || c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F ||
         c == 0x2060 || c == 0x3000 || c == 0xFEFF;
}

std::span<const char32_t> Trim(std::span<const char32_t> text) {
  while (!text.empty() && IsBlank(text.front())) text = text.subspan(1);
  while (!text.empty() && IsBlank(text.back())) text = text.first(text.size() - 1);
  return text;
}

// Lower-case Latin letters with one accent, U+00E0 to U+017E, as letter and combining mark; enough
// for the languages that class names come in, without a Unicode database.
struct Composed {
  char32_t composed;
  char letter;
  char32_t mark;
};
constexpr char32_t kGrave = 0x300, kAcute = 0x301, kCircumflex = 0x302, kTilde = 0x303,
                   kMacron = 0x304, kBreve = 0x306, kDot = 0x307, kDiaeresis = 0x308, kRing = 0x30A,
                   kDoubleAcute = 0x30B, kCaron = 0x30C, kCedilla = 0x327, kOgonek = 0x328;
constexpr Composed kComposed[] = {
    {0xE0, 'a', kGrave},        {0xE1, 'a', kAcute},      {0xE2, 'a', kCircumflex},
    {0xE3, 'a', kTilde},        {0xE4, 'a', kDiaeresis},  {0xE5, 'a', kRing},
    {0xE7, 'c', kCedilla},      {0xE8, 'e', kGrave},      {0xE9, 'e', kAcute},
    {0xEA, 'e', kCircumflex},   {0xEB, 'e', kDiaeresis},  {0xEC, 'i', kGrave},
    {0xED, 'i', kAcute},        {0xEE, 'i', kCircumflex}, {0xEF, 'i', kDiaeresis},
    {0xF1, 'n', kTilde},        {0xF2, 'o', kGrave},      {0xF3, 'o', kAcute},
    {0xF4, 'o', kCircumflex},   {0xF5, 'o', kTilde},      {0xF6, 'o', kDiaeresis},
    {0xF9, 'u', kGrave},        {0xFA, 'u', kAcute},      {0xFB, 'u', kCircumflex},
    {0xFC, 'u', kDiaeresis},    {0xFD, 'y', kAcute},      {0xFF, 'y', kDiaeresis},
    {0x101, 'a', kMacron},      {0x103, 'a', kBreve},     {0x105, 'a', kOgonek},
    {0x107, 'c', kAcute},       {0x10D, 'c', kCaron},     {0x10F, 'd', kCaron},
    {0x113, 'e', kMacron},      {0x117, 'e', kDot},       {0x119, 'e', kOgonek},
    {0x11B, 'e', kCaron},       {0x11F, 'g', kBreve},     {0x12B, 'i', kMacron},
    {0x13E, 'l', kCaron},       {0x144, 'n', kAcute},     {0x148, 'n', kCaron},
    {0x151, 'o', kDoubleAcute}, {0x159, 'r', kCaron},     {0x15B, 's', kAcute},
    {0x15F, 's', kCedilla},     {0x161, 's', kCaron},     {0x165, 't', kCaron},
    {0x16B, 'u', kMacron},      {0x16F, 'u', kRing},      {0x171, 'u', kDoubleAcute},
    {0x17A, 'z', kAcute},       {0x17C, 'z', kDot},       {0x17E, 'z', kCaron},
};

// C.UTF-8 is part of glibc's own package, so it is on every Debian.
locale_t Utf8Locale() {
  static const locale_t kLocale = newlocale(LC_CTYPE_MASK, "C.UTF-8", nullptr);
  return kLocale;
}

char32_t ToLower(char32_t c) {
  if (Utf8Locale() == nullptr) return c >= U'A' && c <= U'Z' ? c + 32 : c;
  return static_cast<char32_t>(towlower_l(static_cast<wint_t>(c), Utf8Locale()));
}

}  // namespace

bool IsValidUtf8(std::string_view text) {
  while (!text.empty()) {
    const auto c = Decode(text);
    if (!c) return false;
    text.remove_prefix(c->length);
  }
  return true;
}

std::string PrintableUtf8(std::string_view text) {
  std::string out;
  for (char32_t c : DecodeAll(text)) Append(c < 0x20 || c == 0x7F ? U'?' : c, out);
  return out;
}

std::string TrimName(std::string_view name) {
  const std::vector<char32_t> all = DecodeAll(name);
  std::string out;
  for (char32_t c : Trim(all)) Append(c, out);
  return out;
}

std::string FoldName(std::string_view name) {
  const std::vector<char32_t> all = DecodeAll(name);
  std::string out;
  bool blank = false;
  for (char32_t c : Trim(all)) {
    if (IsBlank(c)) {
      if (!blank) out.push_back(' ');
      blank = true;
      continue;
    }
    blank = false;
    c = ToLower(c);
    for (const Composed& composed : kComposed) {
      if (composed.composed == c) {
        out.push_back(composed.letter);
        c = composed.mark;
        break;
      }
    }
    Append(c, out);
  }
  return out;
}

ScopedUtf8Locale::ScopedUtf8Locale()
    : before_(Utf8Locale() != nullptr ? uselocale(Utf8Locale()) : uselocale(nullptr)) {}

ScopedUtf8Locale::~ScopedUtf8Locale() { uselocale(before_); }

}  // namespace mead::dataset
