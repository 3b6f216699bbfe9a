// The `mead` command: its tree of subcommands, and running one.
#pragma once

#include <string>
#include <vector>

#include "client/terminal.h"

namespace mead::client {

// arguments: without the program's name. Prints errors as "mead: ..." on terminal.err.
// Returns the exit code (interface: "Exit"; ExitCode in connection.h).
int RunMead(const std::vector<std::string>& arguments, Terminal& terminal);

}  // namespace mead::client
