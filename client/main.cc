// The `mead` command.

#include <iostream>
#include <string>
#include <vector>

#include "client/app.h"
#include "client/terminal.h"

int main(int argc, char** argv) {
  std::ios::sync_with_stdio(false);
  mead::client::Terminal terminal = mead::client::Terminal::Real();
  return mead::client::RunMead(std::vector<std::string>(argv + 1, argv + argc), terminal);
}
