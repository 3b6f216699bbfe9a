#include <google/protobuf/struct.pb.h>

#include <algorithm>
#include <filesystem>

#include "absl/strings/str_cat.h"
#include "client/augment_option.h"
#include "client/commands.h"
#include "client/config.h"
#include "client/contact_sheet.h"
#include "client/dataset_pictures.h"
#include "client/scratch_folder.h"
#include "common/files.h"
#include "common/status_util.h"

namespace mead::client {
namespace {

constexpr int64_t kMostPixels = 64'000'000;  // of a sheet: beyond, no viewer opens it gladly

absl::Status CheckOptions(const ShowDatasetOptions& options, int image_size) {
  const auto wrong = [](const std::string& what) { return absl::InvalidArgumentError(what); };
  if (options.name.empty() == options.path.empty()) {
    return wrong("show wants the NAME of a data set, or --path PATH for pictures on this machine");
  }
  if (image_size < 16 || image_size > 1024) {
    return wrong(absl::StrCat("pictures are from 16 to 1024 pixels a side, not ", image_size));
  }
  const int64_t pixels = int64_t{1 + options.count} * options.pictures * image_size * image_size;
  if (pixels > kMostPixels) {
    return wrong(absl::StrCat("the sheet would have ", pixels / 1'000'000, " million pixels, and ",
                              kMostPixels / 1'000'000,
                              " are the most; make --count, --pictures or --size smaller"));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<PictureFile>> Fetch(Session& session, const ShowDatasetOptions& options,
                                               uint64_t seed) {
  const PictureChoice choice{
      .count = options.pictures, .class_name = options.class_name, .seed = seed};
  if (!options.path.empty()) {
    MEAD_ASSIGN_OR_RETURN(const ScratchFolder scratch,
                          ScratchFolder::MakeIn(CacheDir(session.terminal)));
    return PicturesOfPath(options.path, scratch.path().string(), choice);
  }
  MEAD_ASSIGN_OR_RETURN(Connection* const server, session.Server());
  return PicturesOfDataset(server, options.name, choice);
}

}  // namespace

absl::StatusOr<int> ShowDataset(Session& session, const ShowDatasetOptions& options) {
  MEAD_ASSIGN_OR_RETURN(const ShownTraining training,
                        ReadShownTraining(options.augment, options.sweep));
  SheetOptions sheet;
  sheet.augment = training.augment;
  sheet.mix = training.mix;
  sheet.image_size = options.size.value_or(training.image_size);
  sheet.seed = options.seed.value_or(training.seed);
  sheet.first_epoch = static_cast<uint64_t>(options.epoch);
  sheet.epochs = options.count;
  MEAD_RETURN_IF_ERROR(CheckOptions(options, sheet.image_size));
  MEAD_ASSIGN_OR_RETURN(const std::vector<PictureFile> files, Fetch(session, options, sheet.seed));
  std::vector<SheetRow> rows;
  for (const PictureFile& file : files) {
    absl::StatusOr<dataset::Image> image = DecodeForSheet(file.bytes, sheet);
    if (!image.ok()) return Annotate(image.status(), file.key);
    rows.push_back({.sample = file.sample,
                    .caption = absl::StrCat(file.class_name, "   ", file.key),
                    .image = *std::move(image)});
  }
  const dataset::Image drawn = DrawSheet(rows, sheet);
  MEAD_ASSIGN_OR_RETURN(const std::string png, dataset::EncodePng(drawn));
  MEAD_RETURN_IF_ERROR(WriteFileAtomically(options.png, png));
  google::protobuf::Struct made;
  auto& fields = *made.mutable_fields();
  fields["png"].set_string_value(options.png);
  fields["width"].set_number_value(drawn.width);
  fields["height"].set_number_value(drawn.height);
  for (const PictureFile& file : files) {
    fields["pictures"].mutable_list_value()->add_values()->set_string_value(file.key);
  }
  if (session.Print(made)) return kExitDone;
  if (session.names_only()) {
    session.terminal.out << options.png << "\n";
    return kExitDone;
  }
  const std::string epochs = options.count == 0 ? ""
                             : options.count == 1
                                 ? absl::StrCat(" and in epoch ", options.epoch)
                                 : absl::StrCat(" and in epochs ", options.epoch, " to ",
                                                options.epoch + options.count - 1);
  session.terminal.out << absl::StrCat(
      options.png, ": ", rows.size(), " training picture", rows.size() == 1 ? "" : "s", ", ",
      sheet.image_size, " pixels a side, as they are", epochs, " with seed ", sheet.seed, "\n");
  return kExitDone;
}

}  // namespace mead::client
