// A program that a test starts, reads from, and may stop or kill.
#pragma once

#include <sys/types.h>

#include <cstdio>
#include <string>
#include <vector>

namespace mead::testing {

class ChildProcess {
 public:
  // command: the program's path and its arguments.
  explicit ChildProcess(std::vector<std::string> command);
  // Kills it.
  ~ChildProcess();
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;

  // Reads lines until one begins with `prefix`; returns the rest of it. A program
  // that ends without one fails the test.
  std::string ReadUntil(const std::string& prefix);
  // Reads to the end; returns all that was read so far.
  std::string ReadAll();
  void Signal(int number);
  void Kill();
  // The exit status, or -signal.
  int Wait();

 private:
  pid_t process_ = 0;
  int status_ = 0;
  FILE* output_ = nullptr;
  std::string text_;
};

}  // namespace mead::testing
