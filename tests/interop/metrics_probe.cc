// Prints the metrics of predictions read from standard input, for comparison with
// scikit-learn (test_metrics.py). Input: K, N, ranks, then N pairs "truth predicted".
// The predictions are dealt to the ranks in turn and the ranks' matrices merged.
#include <cstdint>
#include <iostream>
#include <string>
#include <vector>

#include "common/base/classification_metrics.h"
#include "common/base/confusion_matrix.h"

int main() {
  int classes = 0;
  size_t n = 0;
  size_t ranks = 0;
  std::cin >> classes >> n >> ranks;
  std::vector<mead::ConfusionMatrix> parts(ranks, mead::ConfusionMatrix(classes));
  for (size_t i = 0; i < n; ++i) {
    int32_t truth = 0;
    int32_t predicted = 0;
    std::cin >> truth >> predicted;
    const auto added = parts[i % ranks].Add({&truth, 1}, {&predicted, 1});
    if (!std::cin || !added.ok()) return 1;
  }
  mead::ConfusionMatrix all(classes);
  for (const auto& part : parts) all.Merge(part);
  const auto metrics = mead::ComputeMetrics(all);
  std::cout.precision(17);
  const auto print = [](const std::string& name, double value) {
    std::cout << name << ' ' << value << '\n';
  };
  print("accuracy", metrics.accuracy);
  print("balanced_accuracy", metrics.balanced_accuracy);
  print("macro_f1", metrics.macro_f1);
  print("mcc", metrics.mcc);
  print("r_k", metrics.r_k);
  print("one_vs_rest_accuracy", metrics.one_vs_rest_accuracy);
  for (int k = 0; k < classes; ++k) {
    const auto& c = metrics.classes[static_cast<size_t>(k)];
    const std::string id = std::to_string(k);
    print("recall/" + id, c.recall);
    print("precision/" + id, c.precision);
    print("specificity/" + id, c.specificity);
    print("f1/" + id, c.f1);
    for (int j = 0; j < classes; ++j) {
      print("counts/" + id + "/" + std::to_string(j), static_cast<double>(all.at(k, j)));
    }
  }
}
