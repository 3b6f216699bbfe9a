#include "worker/agent/line_splitter.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace mead::agent {
namespace {

using ::testing::ElementsAre;

std::vector<std::string> Split(const std::vector<std::string>& pieces) {
  LineSplitter splitter;
  std::vector<std::string> lines;
  const auto collect = [&](std::string line) { lines.push_back(std::move(line)); };
  for (const std::string& piece : pieces) splitter.Feed(piece, collect);
  splitter.Finish(collect);
  return lines;
}

TEST(LineSplitterTest, LinesComeWholeHoweverTheBytesWereCut) {
  EXPECT_THAT(Split({"one\ntw", "o\n", "\n", "thr", "ee"}), ElementsAre("one", "two", "", "three"));
}

TEST(LineSplitterTest, NothingPrintedIsNoLine) { EXPECT_THAT(Split({""}), ElementsAre()); }

TEST(LineSplitterTest, ALineWithoutEndIsCutAndSaysHowMuchIsMissing) {
  const std::string chunk(10'000, 'x');
  const std::vector<std::string> lines = Split({chunk, chunk, "\nnext\n"});
  ASSERT_EQ(lines.size(), 2u);
  EXPECT_EQ(lines[0], std::string(LineSplitter::kMaxLineBytes, 'x') + " [15904 more bytes]");
  EXPECT_EQ(lines[1], "next");
}

TEST(LineSplitterTest, BytesThatAreNotUtf8BecomeReplacementCharacters) {
  EXPECT_EQ(SanitizeLine("caf\xC3\xA9"), "caf\xC3\xA9");
  EXPECT_EQ(SanitizeLine("\xE2\x82\xAC \xF0\x9F\x8D\xAF"), "\xE2\x82\xAC \xF0\x9F\x8D\xAF");
  EXPECT_EQ(SanitizeLine("a\xFF"
                         "b"),
            "a\xEF\xBF\xBD"
            "b");
  // Overlong, a surrogate, and a sequence that ends too early.
  EXPECT_EQ(SanitizeLine("\xC0\xAF"), "\xEF\xBF\xBD\xEF\xBF\xBD");
  EXPECT_EQ(SanitizeLine("\xED\xA0\x80"), "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD");
  EXPECT_EQ(SanitizeLine("\xE2\x82"), "\xEF\xBF\xBD\xEF\xBF\xBD");
}

TEST(LineSplitterTest, ControlCharactersDoNotReachATerminal) {
  EXPECT_EQ(SanitizeLine("50%\r100%\x1b[2Jdone\tok\x7f"), "50%100%[2Jdone\tok");
}

}  // namespace
}  // namespace mead::agent
