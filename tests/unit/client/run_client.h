// Runs the `mead` command in this process, against a folder of its own.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>
#include <string>
#include <vector>

#include "client/app.h"
#include "client/terminal.h"

namespace mead::client {

struct ClientResult {
  int exit_code = 0;
  std::string out;
  std::string err;
};

// A folder and an environment: HOME lies in the folder, nothing else is set.
class ClientHome {
 public:
  ClientHome() {
    std::string path = (std::filesystem::temp_directory_path() / "mead-client-XXXXXX").string();
    dir_ = mkdtemp(path.data());
    variables_["HOME"] = dir_.string();
  }
  ~ClientHome() {
    std::error_code error;
    std::filesystem::remove_all(dir_, error);
  }

  void Set(const std::string& name, const std::string& value) { variables_[name] = value; }
  const std::filesystem::path& dir() const { return dir_; }

  std::string Write(const std::string& name, const std::string& text) const {
    const std::filesystem::path path = dir_ / name;
    std::filesystem::create_directories(path.parent_path());
    std::ofstream(path, std::ios::binary) << text;
    return path.string();
  }

  ClientResult Run(const std::vector<std::string>& arguments, bool tty = false) const {
    std::ostringstream out;
    std::ostringstream err;
    Terminal terminal{.out = out, .err = err, .env = {}};
    terminal.out_is_tty = tty;
    terminal.err_is_tty = tty;
    terminal.colours = tty;
    terminal.env = [this](const std::string& name) -> std::optional<std::string> {
      const auto it = variables_.find(name);
      if (it == variables_.end()) return std::nullopt;
      return it->second;
    };
    ClientResult result;
    result.exit_code = RunMead(arguments, terminal);
    result.out = out.str();
    result.err = err.str();
    return result;
  }

 private:
  std::filesystem::path dir_;
  std::map<std::string, std::string> variables_;
};

}  // namespace mead::client
