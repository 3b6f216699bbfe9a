#include "common/dataset/names.h"

#include <gtest/gtest.h>

namespace mead::dataset {
namespace {

TEST(NamesTest, SpellingsOfOneNameFoldTogether) {
  const std::string expected = FoldName("ulcerative colitis");
  EXPECT_EQ(FoldName("Ulcerative Colitis"), expected);
  EXPECT_EQ(FoldName("  ulcerative  colitis\t"), expected);
  EXPECT_EQ(FoldName("ulcerative\u00A0colitis\u200B"), expected);
  EXPECT_EQ(FoldName("\uFEFFulcerative colitis"), expected);
  EXPECT_EQ(FoldName("\u00D6sophagus"), FoldName("\u00F6sophagus"));
  EXPECT_EQ(FoldName("\u00F6sophagus"), FoldName("o\u0308sophagus"));  // macOS writes it so
  EXPECT_EQ(FoldName("\u041F\u041E\u041B\u0418\u041F"), FoldName("\u043F\u043E\u043B\u0438\u043F"));
}

TEST(NamesTest, DifferentNamesStayDifferent) {
  EXPECT_NE(FoldName("polyp"), FoldName("polyps"));
  EXPECT_NE(FoldName("normal-cecum"), FoldName("normal cecum"));
  EXPECT_NE(FoldName("osophagus"), FoldName("\u00F6sophagus"));
}

TEST(NamesTest, TrimKeepsTheSpelling) {
  EXPECT_EQ(TrimName(" Normal  Cecum\u3000"), "Normal  Cecum");
  EXPECT_EQ(TrimName(" \t\u200B"), "");
}

TEST(NamesTest, Utf8IsChecked) {
  EXPECT_TRUE(IsValidUtf8("caf\u00E9 \U0001F600"));
  EXPECT_FALSE(IsValidUtf8("caf\xE9"));
  EXPECT_FALSE(IsValidUtf8("\xC0\xAF"));          // overlong
  EXPECT_FALSE(IsValidUtf8("\xED\xA0\x80"));      // surrogate
  EXPECT_FALSE(IsValidUtf8("\xF5\x80\x80\x80"));  // beyond Unicode
  EXPECT_EQ(PrintableUtf8("caf\xE9\n"), "caf??");
}

}  // namespace
}  // namespace mead::dataset
