// Our processes' end of the protocol that bench/harness.py documents.
#pragma once

#include <functional>
#include <istream>
#include <map>
#include <string>

namespace mead::bench {

// One line to the harness, at once.
void Say(const std::string& line);

struct Orders {
  // "N": does N steps (or epochs); the answer is the seconds that it took.
  std::function<void(int)> run;
  // Others by their word: reads what follows it and returns the line to answer with.
  std::map<std::string, std::function<std::string(std::istream&)>> others;
};

// Says "ready" and answers orders until there are no more.
// Errors: std::invalid_argument (neither a number nor a word of `others`).
void AnswerOrders(const Orders& orders);

// Runs a side's main; what it throws goes to standard error, after the program's name.
// Returns the exit status.
int RunSide(const char* program, const std::function<void()>& side);

}  // namespace mead::bench
