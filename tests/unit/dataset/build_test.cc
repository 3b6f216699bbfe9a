#include "common/dataset/build.h"

#include <archive.h>
#include <archive_entry.h>
#include <gmock/gmock.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <set>

#include "absl/strings/str_cat.h"
#include "common/dataset/leakage.h"
#include "common/dataset/names.h"
#include "common/files.h"
#include "common/sha256.h"
#include "tests/support/temp_dir.h"
#include "tests/unit/dataset/pictures.h"

namespace mead::dataset {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Pair;
using ::testing::UnorderedElementsAre;

class BuildTest : public ::testing::Test {
 protected:
  BuildOptions Options(const std::string& path) {
    BuildOptions options;
    options.name = "set";
    options.path = path;
    options.out_dir = dir_.Join("out");
    options.threads = 2;
    return options;
  }
  absl::StatusOr<Manifest> Build() { return BuildDataset(Options(root_)); }
  std::string Error() { return std::string(Build().status().message()); }

  // The quarantined files of a build, path to reason.
  static std::map<std::string, std::string> Quarantined(const Manifest& m) {
    std::map<std::string, std::string> out;
    for (const QuarantinedFile& q : m.quarantined) out[q.path] = q.reason;
    return out;
  }

  // The bytes of a sample, by the manifest's offsets.
  std::string BytesOf(const Manifest& m, const Sample& s) {
    const std::string shard = ReadFile(dir_.path() / "out" / ShardFileName(m, s.shard)).value();
    return shard.substr(s.offset, s.size);
  }

  testing::TempDir dir_;
  const fs::path root_ = dir_.path() / "pictures";
};

TEST_F(BuildTest, FolderPerClassIsSplitAndPacked) {
  PutJpegs(root_ / "polyps", 10, 100);
  PutJpegs(root_ / "normal", 15, 200);
  Put(root_ / "normal/deep/er/one.png", Png(50, 60, 9));
  const absl::StatusOr<Manifest> m = Build();
  ASSERT_TRUE(m.ok()) << m.status();
  EXPECT_THAT(m->classes, ElementsAre("normal", "polyps"));
  EXPECT_EQ(m->split_method, "stratified");
  EXPECT_THAT(m->ClassCounts(Split::kTrain), ElementsAre(13, 8));
  EXPECT_THAT(m->ClassCounts(Split::kVal), ElementsAre(3, 2));
  EXPECT_TRUE(m->quarantined.empty());
  for (const Sample& s : m->samples) {
    const std::string bytes = BytesOf(*m, s);
    EXPECT_EQ(bytes, ReadFile(root_ / s.key).value()) << s.key;
    EXPECT_EQ(DigestOf(bytes), s.digest);
    EXPECT_EQ(s.width, s.key.ends_with(".png") ? 50u : 40u);
    EXPECT_EQ(s.height, s.key.ends_with(".png") ? 60u : 30u);
  }
  EXPECT_EQ(Manifest::FromJson(ReadFile(dir_.path() / "out" / kManifestFileName).value()).value(),
            *m);
  EXPECT_TRUE(VerifyBuild(*m, dir_.Join("out")).ok());
}

TEST_F(BuildTest, TrainAndTestFoldersGiveTheSplit) {
  PutJpegs(root_ / "Train/a", 4, 100);
  PutJpegs(root_ / "Train/b", 5, 200);
  PutJpegs(root_ / "test/a", 2, 300);
  PutJpegs(root_ / "validation/b", 3, 400);
  const absl::StatusOr<Manifest> m = Build();
  ASSERT_TRUE(m.ok()) << m.status();
  EXPECT_EQ(m->split_method, "given");
  EXPECT_THAT(m->ClassCounts(Split::kTrain), ElementsAre(4, 5));
  EXPECT_THAT(m->ClassCounts(Split::kVal), ElementsAre(2, 3));
  for (const Sample& s : m->samples) {
    EXPECT_EQ(s.split == Split::kTrain, s.key.starts_with("Train/")) << s.key;
  }
}

TEST_F(BuildTest, SamePicturesAndSeedGiveTheSameBytes) {
  PutJpegs(root_ / "a", 20, 100);
  PutJpegs(root_ / "b", 20, 200);
  BuildOptions options = Options(root_);
  options.shard_bytes = 10000;
  const Manifest first = BuildDataset(options).value();
  EXPECT_GT(first.shards.size(), 4u);
  // Elsewhere, with other times and another number of threads.
  const fs::path other = dir_.path() / "elsewhere";
  fs::copy(root_, other, fs::copy_options::recursive);
  options.path = other;
  options.out_dir = dir_.Join("out2");
  options.threads = 1;
  EXPECT_EQ(BuildDataset(options).value().ToJson(), first.ToJson());
  EXPECT_TRUE(VerifyBuild(first, options.out_dir).ok());
  options.seed = 2;
  EXPECT_NE(BuildDataset(options).value().ToJson(), first.ToJson());
}

TEST_F(BuildTest, BadFilesAreQuarantinedAndNeverFatal) {
  PutJpegs(root_ / "a", 5, 100);
  PutJpegs(root_ / "b", 5, 200);
  const std::string good = Jpeg(100, 80, 1);
  Put(root_ / "a/empty.jpg", "");
  Put(root_ / "a/cut.jpg", good.substr(0, good.size() * 2 / 3));
  Put(root_ / "a/garbage.jpg", good.substr(0, 300) + std::string(2000, 'x'));
  Put(root_ / "a/tiny.jpg", Jpeg(1, 1, 1));
  Put(root_ / "a/wide.jpg", WithSides(good, 30000, 80));
  Put(root_ / "a/notes.txt", "not a picture");
  Put(root_ / "a/caf\xE9.jpg", good);
  Put(root_ / "README.md", "about");
  Put(root_ / ".DS_Store", "ignored");
  Put(root_ / "a/Thumbs.db", "ignored");
  fs::create_symlink("/etc/passwd", root_ / "a/link.jpg");
  fs::create_symlink("nowhere", root_ / "a/broken.jpg");
  fs::create_directory_symlink(root_, root_ / "a/loop");
  fs::create_symlink("0.jpg", root_ / "a/alias.jpg");
  const absl::StatusOr<Manifest> m = Build();
  ASSERT_TRUE(m.ok()) << m.status();
  EXPECT_THAT(Quarantined(*m),
              UnorderedElementsAre(Pair("a/empty.jpg", "empty file"),
                                   Pair("a/cut.jpg", HasSubstr("corrupt JPEG")),
                                   Pair("a/garbage.jpg", HasSubstr("corrupt JPEG")),
                                   Pair("a/tiny.jpg", HasSubstr("1x1 pixels")),
                                   Pair("a/wide.jpg", HasSubstr("30000x80 pixels")),
                                   Pair("a/notes.txt", "not a JPEG, PNG, WebP or TIFF picture"),
                                   Pair("a/caf?.jpg", HasSubstr("not UTF-8")),
                                   Pair("README.md", "lies outside the class folders"),
                                   Pair("a/link.jpg", "a link that leaves the folder"),
                                   Pair("a/broken.jpg", "a broken link"),
                                   Pair("a/loop", "a link to a folder: not followed")));
  EXPECT_EQ(m->samples.size(), 11u);  // five, five and the alias
}

TEST_F(BuildTest, CopiesNeverStraddleTheSplit) {
  for (int i = 0; i < 10; ++i) {
    for (const char* copy : {"x", "y", "z"}) {
      Put(root_ / "a" / (copy + std::to_string(i) + ".jpg"),
          Jpeg(40, 30, static_cast<uint64_t>(i)));
    }
  }
  PutJpegs(root_ / "b", 10, 200);
  const Manifest m = Build().value();
  std::map<std::string, Split> side;
  for (const Sample& s : m.samples)
    EXPECT_EQ(side.emplace(s.digest, s.split).first->second, s.split);
  EXPECT_EQ(m.ClassCounts(Split::kVal)[0], 6u);
}

TEST_F(BuildTest, WrappingFoldersAreLookedThrough) {
  PutJpegs(root_ / "kvasir/v2/a", 3, 100);
  PutJpegs(root_ / "kvasir/v2/b", 3, 200);
  Put(root_ / "__MACOSX/kvasir/._a", "x");
  const absl::StatusOr<Manifest> m = Build();
  ASSERT_TRUE(m.ok()) << m.status();
  EXPECT_THAT(m->classes, ElementsAre("a", "b"));
  EXPECT_TRUE(m->samples[0].key.starts_with("a/") || m->samples[0].key.starts_with("b/"));
}

TEST_F(BuildTest, LayoutsThatCannotWorkNameTheThingAndTheRemedy) {
  fs::create_directories(root_);
  EXPECT_THAT(Error(), AllOf(HasSubstr("no classes in"), HasSubstr("one folder of pictures")));
  PutJpegs(root_ / "polyps", 3, 100);
  EXPECT_THAT(Error(), HasSubstr("only one class, 'polyps'"));
  fs::create_directories(root_ / "normal/deeper");
  EXPECT_THAT(Error(), AllOf(HasSubstr("the class folder 'normal' has no pictures"),
                             HasSubstr("or remove it")));
  Put(root_ / "normal/x.jpg", "broken");
  EXPECT_THAT(Error(), AllOf(HasSubstr("'normal' has no usable pictures"),
                             HasSubstr("normal/x.jpg: not a JPEG, PNG, WebP or TIFF picture")));
  PutJpegs(root_ / "normal", 3, 200);
  EXPECT_EQ(Error(), "");
  PutJpegs(root_ / "Polyps ", 3, 300);
  EXPECT_THAT(Error(), AllOf(HasSubstr("'Polyps ' and 'polyps' name one class"),
                             HasSubstr("merge them, or rename one")));
  fs::remove_all(root_ / "Polyps ");
  PutJpegs(root_ / "train/a", 2, 400);
  PutJpegs(root_ / "test/a", 2, 500);
  EXPECT_THAT(Error(), HasSubstr("beside them 'normal'"));
}

TEST_F(BuildTest, GivenSplitsThatCannotWorkAreErrors) {
  PutJpegs(root_ / "train/polyp", 2, 100);
  PutJpegs(root_ / "train/normal", 2, 200);
  PutJpegs(root_ / "test/Polyp", 2, 300);
  EXPECT_THAT(Error(), HasSubstr("'test/Polyp' and 'train/polyp' name one class"));
  fs::rename(root_ / "test/Polyp", root_ / "test/other");
  EXPECT_THAT(Error(), HasSubstr("'other' is only among the evaluation pictures"));
  fs::remove_all(root_ / "test/other");
  Put(root_ / "test/polyp/x.jpg", "broken");
  EXPECT_THAT(Error(), HasSubstr("the evaluation folders have no usable pictures"));
}

TEST_F(BuildTest, OnePictureInEachClassLeavesNoneToEvaluate) {
  PutJpegs(root_ / "a", 1, 100);
  PutJpegs(root_ / "b", 1, 200);
  EXPECT_THAT(Error(), HasSubstr("no pictures left to evaluate on"));
}

TEST_F(BuildTest, MissingPathsNameNearOnes) {
  PutJpegs(dir_.path() / "kvasir-v2/a", 1, 100);
  const absl::Status status = BuildDataset(Options(dir_.Join("kvasir_v2/a"))).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(status.message()),
              AllOf(HasSubstr("no such folder or archive"), HasSubstr("did you mean kvasir-v2")));
}

TEST_F(BuildTest, BadOptionsAreRefused) {
  PutJpegs(root_ / "a", 2, 100);
  for (double fraction : {0.0, 1.0, -1.0, std::nan("")}) {
    BuildOptions options = Options(root_);
    options.val_fraction = fraction;
    EXPECT_EQ(BuildDataset(options).status().code(), absl::StatusCode::kInvalidArgument);
  }
  Put(dir_.path() / "labels.txt", "x");
  EXPECT_THAT(std::string(BuildDataset(Options(dir_.Join("labels.txt"))).status().message()),
              HasSubstr("neither a folder nor an archive"));
}

TEST_F(BuildTest, ProgressGoesThroughThePhasesToTheirEnds) {
  PutJpegs(root_ / "a", 3, 100);
  PutJpegs(root_ / "b", 3, 200);
  BuildOptions options = Options(root_);
  std::map<std::string, std::pair<uint64_t, uint64_t>> last;
  options.progress = [&](std::string_view phase, uint64_t done, uint64_t total) {
    EXPECT_GE(done, last[std::string(phase)].first);
    last[std::string(phase)] = {done, total};
  };
  ASSERT_TRUE(BuildDataset(options).ok());
  EXPECT_EQ(last["scan"], std::pair(uint64_t{6}, uint64_t{6}));
  EXPECT_EQ(last["check"], std::pair(uint64_t{6}, uint64_t{6}));
  EXPECT_EQ(last["compare"].first, last["compare"].second);
  EXPECT_EQ(last["pack"], std::pair(uint64_t{6}, uint64_t{6}));
}

TEST_F(BuildTest, DamagedShardsAreNamed) {
  PutJpegs(root_ / "a", 3, 100);
  PutJpegs(root_ / "b", 3, 200);
  const Manifest m = Build().value();
  const fs::path shard = dir_.path() / "out" / ShardFileName(m, 1);
  std::string bytes = ReadFile(shard).value();
  bytes[600] = static_cast<char>(bytes[600] ^ 1);
  Put(shard, bytes);
  const absl::Status status = VerifyBuild(m, dir_.Join("out"));
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(std::string(status.message()), HasSubstr("val-00001.tar"));
}

TEST_F(BuildTest, ShardsAreTarFilesThatWebDatasetReadersUnderstand) {
  PutJpegs(root_ / "a", 3, 100);
  PutJpegs(root_ / "b", 3, 200);
  // Names that a tar's header or a WebDataset reader would trip over.
  const std::string deep = std::string(120, 'd') + "/" + std::string(120, 'n');
  Put(root_ / "a" / (deep + ".jpg"), Jpeg(40, 30, 1));
  Put(root_ / "a/x.y.jpg", Jpeg(40, 30, 2));
  Put(root_ / "a/x_y.jpg", Jpeg(40, 30, 3));
  Put(root_ / "b/\u00E9.png", Png(40, 30, 4));
  const Manifest m = Build().value();
  const ScopedUtf8Locale utf8;
  std::map<std::string, std::set<std::string>> members;  // sample name -> extensions
  for (size_t i = 0; i < m.shards.size(); ++i) {
    archive* a = archive_read_new();
    archive_read_support_format_tar(a);
    archive_read_set_option(a, "tar", "hdrcharset", "UTF-8");
    const std::string path = dir_.Join("out/" + ShardFileName(m, i));
    ASSERT_EQ(archive_read_open_filename(a, path.c_str(), 1 << 16), ARCHIVE_OK);
    archive_entry* entry = nullptr;
    while (archive_read_next_header(a, &entry) == ARCHIVE_OK) {
      const fs::path name = archive_entry_pathname_utf8(entry);
      const std::string last = name.filename();
      EXPECT_EQ(std::count(last.begin(), last.end(), '.'), 1) << name;
      members[(name.parent_path() / name.stem()).string()].insert(name.extension());
    }
    archive_read_free(a);
  }
  EXPECT_EQ(members.size(), m.samples.size());
  for (const auto& [name, extensions] : members) {
    EXPECT_EQ(extensions.size(), 2u) << name;
    EXPECT_TRUE(extensions.contains(".cls")) << name;
  }
  for (const Sample& s : m.samples) EXPECT_EQ(DigestOf(BytesOf(m, s)), s.digest) << s.key;
}

// The same picture again, a little smaller and compressed more.
std::string NearCopy(uint64_t seed) {
  Image image = SmoothImage(40, 30, seed);
  image.pixels.resize(size_t{3} * 40 * 29);
  image.height = 29;
  return EncodeJpeg(image, 70).value();
}

TEST_F(BuildTest, NearDuplicatesStayTogetherUnlessTheGuardIsOff) {
  PutJpegs(root_ / "a", 20, 100);
  PutJpegs(root_ / "b", 20, 200);
  for (uint64_t i = 0; i < 10; ++i) {
    Put(root_ / "a" / absl::StrCat("copy", i, ".jpg"), NearCopy(100 + i));
  }
  BuildOptions options = Options(root_);
  bool torn_without = false;
  for (options.seed = 1; options.seed <= 5; ++options.seed) {
    options.leakage_guard = true;
    const Manifest m = BuildDataset(options).value();
    EXPECT_EQ(m.leakage_guard, LeakageGuard::kOn);
    EXPECT_THAT(m.ClassCounts(Split::kVal), ElementsAre(6, 4));
    const std::vector<PictureGroup> groups = PictureGroups(m);
    EXPECT_EQ(groups.size(), 10u);
    for (const PictureGroup& group : groups) {
      EXPECT_EQ(group.samples.size(), 2u);
      EXPECT_FALSE(group.straddles());
    }
    options.leakage_guard = false;
    const Manifest unguarded = BuildDataset(options).value();
    EXPECT_EQ(unguarded.leakage_guard, LeakageGuard::kOff);
    EXPECT_TRUE(PictureGroups(unguarded).empty());
    std::map<std::string, Split> side;
    for (const Sample& s : unguarded.samples) side[s.key] = s.split;
    for (int i = 0; i < 10; ++i) {
      torn_without |=
          side[absl::StrCat("a/copy", i, ".jpg")] != side[absl::StrCat("a/", i, ".jpg")];
    }
  }
  EXPECT_TRUE(torn_without);
}

TEST_F(BuildTest, AGivenSplitStaysUnlessStraddlingPicturesAreDropped) {
  PutJpegs(root_ / "train/a", 4, 100);
  PutJpegs(root_ / "train/b", 4, 200);
  PutJpegs(root_ / "test/a", 2, 300);
  Put(root_ / "test/a/copy.jpg", NearCopy(100));
  BuildOptions options = Options(root_);
  const Manifest given = BuildDataset(options).value();
  EXPECT_THAT(given.ClassCounts(Split::kTrain), ElementsAre(4, 4));
  ASSERT_EQ(PictureGroups(given).size(), 1u);
  EXPECT_TRUE(PictureGroups(given)[0].straddles());
  options.drop_straddling = true;
  const Manifest dropped = BuildDataset(options).value();
  EXPECT_THAT(dropped.ClassCounts(Split::kTrain), ElementsAre(3, 4));
  EXPECT_THAT(dropped.ClassCounts(Split::kVal), ElementsAre(3, 0));
  EXPECT_TRUE(PictureGroups(dropped).empty());
  EXPECT_THAT(
      Quarantined(dropped),
      ElementsAre(Pair("train/a/0.jpg", "shows the same as test/a/copy.jpg, which is evaluated")));
  options.leakage_guard = false;
  EXPECT_THAT(std::string(BuildDataset(options).status().message()),
              HasSubstr("needs the leakage guard"));
}

TEST_F(BuildTest, PicturesOfOnePatientStayTogether) {
  for (uint64_t i = 0; i < 60; ++i) {
    Put(root_ / (i % 2 == 0 ? "a" : "b") / absl::StrCat("p", i / 6, "-", i, ".jpg"),
        Jpeg(40, 30, i));
  }
  BuildOptions options = Options(root_);
  options.group_by = "/p([0-9]+)-";
  const Manifest m = BuildDataset(options).value();
  EXPECT_EQ(m.group_by, options.group_by);
  EXPECT_THAT(m.ClassCounts(Split::kVal), ElementsAre(6, 6));
  std::map<std::string, Split> side;
  for (const Sample& s : m.samples) {
    const std::string patient = s.key.substr(0, s.key.find('-')).substr(2);
    EXPECT_EQ(side.emplace(patient, s.split).first->second, s.split) << s.key;
  }
  fs::rename(root_, dir_.path() / "classes");
  fs::create_directories(root_);
  fs::copy(dir_.path() / "classes", root_ / "train", fs::copy_options::recursive);
  fs::copy(dir_.path() / "classes", root_ / "test", fs::copy_options::recursive);
  EXPECT_THAT(std::string(BuildDataset(options).status().message()),
              HasSubstr("these pictures have one"));
}

TEST_F(BuildTest, RealColonoscopyPicturesKeepTheirOfficialSplit) {
  const fs::path shared = testing::SharedDir();
  if (shared.empty()) GTEST_SKIP() << "NOT RUN: no ../shared (set MEAD_SHARED)";
  const absl::StatusOr<Manifest> m = BuildDataset(Options(shared / "data/cp-child-b"));
  ASSERT_TRUE(m.ok()) << m.status();
  EXPECT_THAT(m->classes, ElementsAre("non-polyp", "polyp"));
  EXPECT_THAT(m->ClassCounts(Split::kTrain), ElementsAre(800, 300));
  EXPECT_THAT(m->ClassCounts(Split::kVal), ElementsAre(300, 100));
  EXPECT_TRUE(m->quarantined.empty());
  // Eight of its files lie on both sides, byte for byte.
  const std::vector<PictureGroup> groups = PictureGroups(*m);
  EXPECT_EQ(groups.size(), 38u);
  for (size_t g = 0; g < groups.size(); ++g) EXPECT_EQ(groups[g].straddles(), g < 8) << g;
}

}  // namespace
}  // namespace mead::dataset
