// Prints paired comparisons of what comes on standard input, for comparison with SciPy
// (test_paired.py). A line in: the evaluated pictures per training picture, then the differences;
// a line out: difference, low, high, t, p.
#include <iostream>
#include <sstream>
#include <string>
#include <vector>

#include "common/base/paired_test.h"

int main() {
  std::cout.precision(17);
  for (std::string line; std::getline(std::cin, line);) {
    std::istringstream in(line);
    double test_per_train = 0;
    in >> test_per_train;
    std::vector<double> differences;
    for (double value = 0; in >> value;) differences.push_back(value);
    const mead::PairedTest test = mead::CorrectedPairedTest(differences, test_per_train);
    std::cout << test.difference << ' ' << test.low << ' ' << test.high << ' ' << test.t << ' '
              << test.p << '\n';
  }
}
