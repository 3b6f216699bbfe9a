#include "common/dataset/manifest.h"

#include <cstdio>
#include <nlohmann/json.hpp>
#include <optional>
#include <unordered_set>

#include "absl/strings/str_cat.h"
#include "common/sha256.h"

namespace mead::dataset {
namespace {

using Json = nlohmann::json;  // objects keep their keys sorted: canonical

constexpr char kFormat[] = "mead-dataset";
constexpr int kVersion = 1;

std::optional<Split> ParseSplit(const std::string& name) {
  if (name == "train") return Split::kTrain;
  if (name == "val") return Split::kVal;
  return std::nullopt;
}

absl::Status Invalid(const std::string& what) {
  return absl::InvalidArgumentError(absl::StrCat("bad data set manifest: ", what));
}

// What Check() promises to those who use a manifest that came over the network.
absl::Status Check(const Manifest& m) {
  if (m.classes.size() < 2) return Invalid("fewer than two classes");
  if (m.split_method != "stratified" && m.split_method != "given") {
    return Invalid(
        absl::StrCat("split_method '", m.split_method, "', expected stratified or given"));
  }
  for (size_t i = 0; i < m.shards.size(); ++i) {
    if (!IsDigest(m.shards[i].digest)) return Invalid(absl::StrCat("shard ", i, " has no digest"));
  }
  std::vector<uint64_t> in_shard(m.shards.size());
  std::unordered_set<std::string_view> keys;
  for (const Sample& s : m.samples) {
    const std::string where = absl::StrCat("picture '", s.key, "': ");
    if (!keys.insert(s.key).second) return Invalid(absl::StrCat(where, "listed twice"));
    if (s.class_id >= m.classes.size()) {
      return Invalid(absl::StrCat(where, "class ", s.class_id, " of ", m.classes.size()));
    }
    if (s.shard >= m.shards.size()) {
      return Invalid(absl::StrCat(where, "shard ", s.shard, " of ", m.shards.size()));
    }
    const Shard& shard = m.shards[s.shard];
    if (shard.split != s.split)
      return Invalid(absl::StrCat(where, "its shard is of another split"));
    if (s.size == 0 || s.size > shard.bytes || s.offset > shard.bytes - s.size) {
      return Invalid(absl::StrCat(where, "bytes ", s.offset, "+", s.size, " of a shard of ",
                                  shard.bytes, " bytes"));
    }
    if (!IsDigest(s.digest)) return Invalid(absl::StrCat(where, "no digest"));
    ++in_shard[s.shard];
  }
  for (size_t i = 0; i < m.shards.size(); ++i) {
    if (in_shard[i] != m.shards[i].num_samples) {
      return Invalid(absl::StrCat("shard ", i, " should hold ", m.shards[i].num_samples,
                                  " pictures, and ", in_shard[i], " are listed"));
    }
  }
  return absl::OkStatus();
}

}  // namespace

std::string_view SplitName(Split split) { return split == Split::kTrain ? "train" : "val"; }

std::vector<uint32_t> Manifest::SamplesOf(Split split) const {
  std::vector<uint32_t> indices;
  for (size_t i = 0; i < samples.size(); ++i) {
    if (samples[i].split == split) indices.push_back(static_cast<uint32_t>(i));
  }
  return indices;
}

uint64_t Manifest::Count(Split split) const {
  uint64_t count = 0;
  for (const Sample& s : samples) count += s.split == split ? 1 : 0;
  return count;
}

std::vector<uint64_t> Manifest::ClassCounts(Split split) const {
  std::vector<uint64_t> counts(classes.size());
  for (const Sample& s : samples) {
    if (s.split == split) ++counts[s.class_id];
  }
  return counts;
}

uint64_t Manifest::TotalBytes() const {
  uint64_t bytes = 0;
  for (const Shard& s : shards) bytes += s.bytes;
  return bytes;
}

std::string Manifest::ToJson() const {
  Json json = {{"format", kFormat},
               {"version", kVersion},
               {"name", name},
               {"classes", classes},
               {"seed", seed},
               {"split_method", split_method},
               {"val_fraction", val_fraction},
               {"shards", Json::array()},
               {"samples", Json::array()},
               {"quarantined", Json::array()}};
  for (const Shard& s : shards) {
    json["shards"].push_back({{"digest", s.digest},
                              {"bytes", s.bytes},
                              {"split", SplitName(s.split)},
                              {"num_samples", s.num_samples}});
  }
  for (const Sample& s : samples) {
    json["samples"].push_back({{"key", s.key},
                               {"class", s.class_id},
                               {"split", SplitName(s.split)},
                               {"shard", s.shard},
                               {"offset", s.offset},
                               {"size", s.size},
                               {"digest", s.digest},
                               {"width", s.width},
                               {"height", s.height}});
    if (s.group != 0) json["samples"].back()["group"] = s.group;
  }
  for (const QuarantinedFile& q : quarantined) {
    json["quarantined"].push_back({{"path", q.path}, {"reason", q.reason}});
  }
  if (leakage_guard != LeakageGuard::kUnknown) {
    json["leakage_guard"] = leakage_guard == LeakageGuard::kOn ? "on" : "off";
  }
  if (!group_by.empty()) json["group_by"] = group_by;
  // File names are bytes and need not be UTF-8: replace what JSON cannot say.
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

absl::StatusOr<Manifest> Manifest::FromJson(std::string_view text) {
  Manifest m;
  try {
    const Json json = Json::parse(text);
    if (json.value("format", "") != kFormat) return Invalid("not a mead-dataset file");
    if (json.at("version").get<int>() != kVersion) {
      return Invalid(absl::StrCat("version ", json.at("version").get<int>(),
                                  ", this program reads ", kVersion, "; add the data set again"));
    }
    json.at("name").get_to(m.name);
    json.at("classes").get_to(m.classes);
    json.at("seed").get_to(m.seed);
    json.at("split_method").get_to(m.split_method);
    json.at("val_fraction").get_to(m.val_fraction);
    for (const Json& j : json.at("shards")) {
      const auto split = ParseSplit(j.at("split").get<std::string>());
      if (!split) return Invalid("a shard's split is neither train nor val");
      m.shards.push_back({.digest = j.at("digest").get<std::string>(),
                          .bytes = j.at("bytes").get<uint64_t>(),
                          .split = *split,
                          .num_samples = j.at("num_samples").get<uint64_t>()});
    }
    m.samples.reserve(json.at("samples").size());
    for (const Json& j : json.at("samples")) {
      const auto split = ParseSplit(j.at("split").get<std::string>());
      if (!split) return Invalid("a picture's split is neither train nor val");
      m.samples.push_back({.key = j.at("key").get<std::string>(),
                           .class_id = j.at("class").get<uint32_t>(),
                           .split = *split,
                           .shard = j.at("shard").get<uint32_t>(),
                           .offset = j.at("offset").get<uint64_t>(),
                           .size = j.at("size").get<uint64_t>(),
                           .digest = j.at("digest").get<std::string>(),
                           .width = j.at("width").get<uint32_t>(),
                           .height = j.at("height").get<uint32_t>(),
                           .group = j.value("group", uint32_t{0})});
    }
    for (const Json& j : json.at("quarantined")) {
      m.quarantined.push_back({j.at("path").get<std::string>(), j.at("reason").get<std::string>()});
    }
    if (json.contains("leakage_guard")) {
      const auto guard = json.at("leakage_guard").get<std::string>();
      if (guard != "on" && guard != "off") {
        return Invalid(absl::StrCat("leakage_guard '", guard, "', expected on or off"));
      }
      m.leakage_guard = guard == "on" ? LeakageGuard::kOn : LeakageGuard::kOff;
    }
    m.group_by = json.value("group_by", "");
  } catch (const Json::exception& error) {
    return Invalid(error.what());
  }
  if (absl::Status status = Check(m); !status.ok()) return status;
  return m;
}

std::string ShardFileName(const Manifest& manifest, size_t index) {
  char number[32];
  std::snprintf(number, sizeof(number), "-%05zu.tar", index);
  return absl::StrCat(std::string(SplitName(manifest.shards[index].split)), number);
}

}  // namespace mead::dataset
