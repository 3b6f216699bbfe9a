#include "common/dataset/csv_labels.h"

#include <gmock/gmock.h>

#include <filesystem>

#include "absl/strings/str_cat.h"
#include "common/dataset/build.h"
#include "common/dataset/csv_table.h"
#include "tests/support/temp_dir.h"
#include "tests/unit/dataset/pictures.h"

namespace mead::dataset {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(ParseCsv, FieldsMayHoldSeparatorsQuotesAndLineEnds) {
  const auto rows = ParseCsv("path,label\r\n\"a, b.jpg\",\"say \"\"polyp\"\"\"\n\n\"c\nd\",e", "t");
  ASSERT_TRUE(rows.ok()) << rows.status();
  EXPECT_THAT(*rows,
              ElementsAre(ElementsAre("path", "label"), ElementsAre("a, b.jpg", "say \"polyp\""),
                          ElementsAre("c\nd", "e")));
}

TEST(ParseCsv, TheFirstLineTellsTheSeparator) {
  EXPECT_THAT(ParseCsv("a;b\n1,5;2\n", "t").value(),
              ElementsAre(ElementsAre("a", "b"), ElementsAre("1,5", "2")));
  EXPECT_THAT(ParseCsv("\xEF\xBB\xBF"
                       "a\tb\nc d\te\n",
                       "t")
                  .value(),
              ElementsAre(ElementsAre("a", "b"), ElementsAre("c d", "e")));
}

TEST(ParseCsv, BrokenQuotesAreNamedWithTheirRow) {
  for (const char* text : {"a,b\n1,2\n\"open,2\n", "a,b\n1,2\nx\"y,2\n"}) {
    const absl::Status status = ParseCsv(text, "labels.csv").status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << text;
    EXPECT_THAT(std::string(status.message()), HasSubstr("labels.csv, row 3: a quote")) << text;
  }
  EXPECT_THAT(std::string(ParseCsv("\xFF\xFE"
                                   "a",
                                   "labels.csv")
                              .status()
                              .message()),
              HasSubstr("UTF-16"));
}

class CsvLabelsTest : public ::testing::Test {
 protected:
  void SetUp() override { PutJpegs(root_ / "images", 8, 1); }

  // The header, then "images/<i>.jpg,<class of i>".
  static std::string Table() {
    std::string text = "path,label\n";
    for (int i = 0; i < 8; ++i) {
      absl::StrAppend(&text, "images/", i, ".jpg,", i % 2 == 0 ? "normal" : "polyp", "\n");
    }
    return text;
  }
  absl::StatusOr<Manifest> Build(const fs::path& path) { return BuildFrom(path, dir_.Join("out")); }
  std::string ErrorOf(const std::string& table) {
    Put(root_ / "labels.csv", table);
    const absl::Status status = Build(root_ / "labels.csv").status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
    return std::string(status.message());
  }

  testing::TempDir dir_;
  const fs::path root_ = dir_.path() / "wrap/pictures";
};

TEST_F(CsvLabelsTest, ATableAndItsFolderGiveTheSameDataSet) {
  Put(root_ / "labels.csv", Table());
  const absl::StatusOr<Manifest> table = Build(root_ / "labels.csv");
  ASSERT_TRUE(table.ok()) << table.status();
  EXPECT_THAT(table->classes, ElementsAre("normal", "polyp"));
  EXPECT_EQ(table->samples.size(), 8u);
  for (const Sample& sample : table->samples) {
    const int i = sample.key[std::string("images/").size()] - '0';
    EXPECT_EQ(sample.class_id, static_cast<uint32_t>(i % 2)) << sample.key;
  }
  EXPECT_EQ(Build(root_)->ToJson(), table->ToJson());
  EXPECT_EQ(Build(dir_.path() / "wrap")->ToJson(), table->ToJson());
}

TEST_F(CsvLabelsTest, ColumnsMayHaveOtherNamesOrderAndCompany) {
  Put(root_ / "labels.csv",
      "Finding;age;Filename\n normal ;61;images/0\nnormal;50;images/2.jpg\n"
      "polyp;7;images/1\npolyp;8;images/3\n");
  const absl::StatusOr<Manifest> m = Build(root_ / "labels.csv");
  ASSERT_TRUE(m.ok()) << m.status();
  EXPECT_THAT(m->classes, ElementsAre("normal", "polyp"));
  EXPECT_EQ(m->samples.size(), 4u);
  EXPECT_TRUE(m->quarantined.empty());
}

TEST_F(CsvLabelsTest, ASplitColumnIsKept) {
  std::string text = "path,label,split\n";
  for (int i = 0; i < 8; ++i) {
    absl::StrAppend(&text, "images/", i, ".jpg,", i % 2, ",", i < 6 ? "train" : "Test", "\n");
  }
  Put(root_ / "labels.csv", text);
  const absl::StatusOr<Manifest> m = Build(root_);
  ASSERT_TRUE(m.ok()) << m.status();
  EXPECT_EQ(m->split_method, "given");
  EXPECT_EQ(m->Count(Split::kVal), 2u);
  EXPECT_THAT(ErrorOf("path,label,split\nimages/0.jpg,0,maybe\n"),
              HasSubstr("the split is 'maybe'"));
  Put(root_ / "images/8.jpg", Jpeg(40, 30, 9));
  EXPECT_THAT(ErrorOf(text + "images/8.jpg,0,\n"), HasSubstr("row 10 has no split"));
}

TEST_F(CsvLabelsTest, RowsThatCannotBeUsedAreListed) {
  Put(root_ / "labels.csv",
      Table() + "images/9.jpg,polyp\nimages/0.jpg,normal\nimages/1.jpg,\n,x\n");
  const absl::StatusOr<Manifest> m = Build(root_ / "labels.csv");
  ASSERT_TRUE(m.ok()) << m.status();
  EXPECT_EQ(m->samples.size(), 8u);
  ASSERT_EQ(m->quarantined.size(), 4u);
  EXPECT_EQ(m->quarantined[0].reason, "row 11 names it again, after row 2");
  EXPECT_EQ(m->quarantined[1].reason, "row 12 has no class");
  EXPECT_EQ(m->quarantined[2].reason, "row 10 names it, and there is no such file");
  EXPECT_EQ(m->quarantined[3].path, "row 13");
}

TEST_F(CsvLabelsTest, MistakesAreNamedWithTheirRow) {
  EXPECT_THAT(ErrorOf("a,b\n1,2\n"),
              AllOf(HasSubstr("no column for the picture"), HasSubstr("(a, b)")));
  EXPECT_THAT(ErrorOf("path,b\n1,2\n"), HasSubstr("no column for the class"));
  EXPECT_THAT(ErrorOf(""), HasSubstr("is empty"));
  EXPECT_THAT(ErrorOf(Table() + "images/0.jpg,polyp\n"),
              AllOf(HasSubstr("row 10"), HasSubstr("of class 'normal' in row 2")));
  Put(root_ / "images/8.jpg", Jpeg(40, 30, 9));
  EXPECT_THAT(ErrorOf(Table() + "images/8.jpg,Polyp\n"), HasSubstr("name one class"));
  EXPECT_THAT(ErrorOf(Table() + "../secret.jpg,polyp\n"), HasSubstr("leaves the folder"));
  EXPECT_THAT(ErrorOf(Table() + "/etc/passwd,polyp\n"), HasSubstr("leaves the folder"));
}

TEST_F(CsvLabelsTest, LinksThatLeaveTheFolderAreNotFollowed) {
  Put(dir_.path() / "wrap/secret.jpg", Jpeg(40, 30, 77));
  fs::create_symlink(dir_.path() / "wrap/secret.jpg", root_ / "images/link.jpg");
  Put(root_ / "labels.csv", Table() + "images/link.jpg,polyp\n");
  EXPECT_EQ(Build(root_ / "labels.csv")->samples.size(), 8u);
}

TEST_F(CsvLabelsTest, ATableBesideClassFoldersIsAboutSomethingElse) {
  PutJpegs(root_ / "normal", 4, 20);
  PutJpegs(root_ / "polyp", 4, 30);
  fs::remove_all(root_ / "images");
  Put(root_ / "patients.csv", "patient,age\n1,2\n");
  EXPECT_EQ(Build(root_)->samples.size(), 8u);
  Put(dir_.path() / "wrap/patients.csv", "patient,age\n1,2\n");
  EXPECT_EQ(FindCsv(dir_.Join("wrap")), "");
}

}  // namespace
}  // namespace mead::dataset
