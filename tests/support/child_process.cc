#include "tests/support/child_process.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <utility>

namespace mead::testing {

ChildProcess::ChildProcess(std::vector<std::string> command) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) std::abort();
  std::vector<char*> argv;
  for (std::string& argument : command) argv.push_back(argument.data());
  argv.push_back(nullptr);
  process_ = fork();
  if (process_ == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    dup2(ends[1], STDOUT_FILENO);
    execv(argv[0], argv.data());
    _exit(127);
  }
  close(ends[1]);
  output_ = fdopen(ends[0], "r");
}

ChildProcess::~ChildProcess() {
  Kill();
  Wait();
  fclose(output_);
}

std::string ChildProcess::ReadUntil(const std::string& prefix) {
  char line[4096];
  while (fgets(line, sizeof(line), output_) != nullptr) {
    text_ += line;
    if (std::string(line).starts_with(prefix)) {
      std::string rest = std::string(line).substr(prefix.size());
      rest.pop_back();
      return rest;
    }
  }
  ADD_FAILURE() << "no line '" << prefix << "' in:\n" << text_;
  return "";
}

std::string ChildProcess::ReadAll() {
  char line[4096];
  while (fgets(line, sizeof(line), output_) != nullptr) text_ += line;
  return text_;
}

void ChildProcess::Signal(int number) {
  if (process_ > 0) kill(process_, number);
}

void ChildProcess::Kill() { Signal(SIGKILL); }

int ChildProcess::Wait() {
  if (process_ <= 0) return status_;
  int status = 0;
  waitpid(std::exchange(process_, 0), &status, 0);
  return status_ = WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

}  // namespace mead::testing
