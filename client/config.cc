#include "client/config.h"

#include <yaml-cpp/yaml.h>

#include <filesystem>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "common/files.h"
#include "common/status_util.h"

namespace mead::client {
namespace {

namespace fs = std::filesystem;

std::string XdgDir(const Terminal& terminal, const char* variable, const char* below_home) {
  const std::string home = terminal.Env("HOME", "/tmp");
  return terminal.Env(variable, (fs::path(home) / below_home).string());
}

std::string Text(const YAML::Node& node, const char* key) {
  const YAML::Node value = node[key];
  return value.IsDefined() && value.IsScalar() ? value.Scalar() : "";
}

}  // namespace

std::string ConfigPath(const Terminal& terminal) {
  return XdgDir(terminal, "XDG_CONFIG_HOME", ".config") + "/mead/config.yaml";
}

std::string DefaultLocalDir(const Terminal& terminal) {
  return XdgDir(terminal, "XDG_DATA_HOME", ".local/share") + "/mead/local";
}

std::string CacheDir(const Terminal& terminal) {
  return XdgDir(terminal, "XDG_CACHE_HOME", ".cache") + "/mead";
}

absl::StatusOr<Config> Config::Load(const std::string& path) {
  Config config;
  std::error_code error;
  if (!fs::exists(path, error)) return config;
  MEAD_ASSIGN_OR_RETURN(const std::string text, ReadFile(path));
  try {
    const YAML::Node root = YAML::Load(text);
    if (root.IsNull()) return config;
    if (!root.IsMap()) throw YAML::Exception(root.Mark(), "wanted a mapping");
    config.current = Text(root, "current");
    for (const auto& entry : root["contexts"]) {
      if (!entry.second.IsMap() || Text(entry.second, "server").empty()) {
        throw YAML::Exception(entry.first.Mark(), "a context wants {server: HOST:PORT}");
      }
      config.contexts[entry.first.Scalar()] = {
          Text(entry.second, "server"), Text(entry.second, "http"), Text(entry.second, "dir")};
    }
  } catch (const YAML::Exception& exception) {
    return absl::InvalidArgumentError(absl::StrCat(path, ":", exception.mark.line + 1, ": ",
                                                   exception.msg,
                                                   "; correct the file or remove it"));
  }
  return config;
}

absl::Status Config::Save(const std::string& path) const {
  YAML::Emitter out;
  out << YAML::BeginMap << YAML::Key << "current" << YAML::Value << current << YAML::Key
      << "contexts" << YAML::Value << YAML::BeginMap;
  for (const auto& [name, entry] : contexts) {
    out << YAML::Key << name << YAML::Value << YAML::BeginMap << YAML::Key << "server"
        << YAML::Value << entry.server;
    if (!entry.http.empty()) out << YAML::Key << "http" << YAML::Value << entry.http;
    if (!entry.dir.empty()) out << YAML::Key << "dir" << YAML::Value << entry.dir;
    out << YAML::EndMap;
  }
  out << YAML::EndMap << YAML::EndMap;
  MEAD_RETURN_IF_ERROR(MakeDirs(fs::path(path).parent_path()));
  return WriteFileAtomically(path, std::string(out.c_str()) + "\n");
}

absl::Status CheckAddress(const std::string& address, const std::string& origin) {
  const size_t colon = address.rfind(':');
  int port = 0;
  if (colon == std::string::npos || colon == 0 || address.find('/') != std::string::npos ||
      !absl::SimpleAtoi(address.substr(colon + 1), &port) || port < 1 || port > 65535) {
    return absl::InvalidArgumentError(absl::StrCat("\"", address, "\" (from ", origin,
                                                   ") is not a server address; it wants "
                                                   "HOST:PORT, for example 127.0.0.1:7070"));
  }
  return absl::OkStatus();
}

absl::StatusOr<ServerChoice> ChooseServer(const Terminal& terminal, const std::string& flag) {
  ServerChoice choice{kDefaultServer, "the default", ""};
  if (!flag.empty()) {
    choice = {flag, "--server", ""};
  } else if (const std::string server = terminal.Env("MEAD_SERVER"); !server.empty()) {
    choice = {server, "MEAD_SERVER", ""};
  } else {
    MEAD_ASSIGN_OR_RETURN(const Config config, Config::Load(ConfigPath(terminal)));
    if (const auto it = config.contexts.find(config.current); it != config.contexts.end()) {
      choice = {it->second.server, absl::StrCat("context ", it->first), it->second.http};
    }
  }
  MEAD_RETURN_IF_ERROR(CheckAddress(choice.address, choice.origin));
  return choice;
}

}  // namespace mead::client
