// Shell completion, written from the command tree itself, so that it knows every command and
// option; ids and names are asked of the coordinator when they are wanted.
#pragma once

#include <CLI/CLI.hpp>
#include <string>

namespace mead::client {

// shell: "bash", "zsh" or "fish".
std::string CompletionScript(const CLI::App& app, const std::string& shell);

}  // namespace mead::client
