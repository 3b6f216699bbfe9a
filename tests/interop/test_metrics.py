"""The confusion matrix and its metrics equal scikit-learn's on the same predictions.

Usage: test_metrics.py METRICS_PROBE
"""

import random
import subprocess
import sys
import warnings

import numpy
from sklearn import metrics


def expected(truth: list[int], predicted: list[int], k: int) -> dict[str, float]:
    labels = list(range(k))
    matrix = metrics.confusion_matrix(truth, predicted, labels=labels)
    precision, recall, f1, _ = metrics.precision_recall_fscore_support(
        truth, predicted, labels=labels, zero_division=0)
    t, p = numpy.array(truth), numpy.array(predicted)
    values = {
        "accuracy": metrics.accuracy_score(truth, predicted),
        "balanced_accuracy": metrics.balanced_accuracy_score(truth, predicted),
        "macro_f1": metrics.f1_score(truth, predicted, labels=labels, average="macro",
                                     zero_division=0),
        # One class against the rest, averaged, as the Kvasir papers do.
        "mcc": numpy.mean([metrics.matthews_corrcoef(t == c, p == c) for c in labels]),
        # scikit-learn's multi-class coefficient is Gorodkin's R_K.
        "r_k": metrics.matthews_corrcoef(truth, predicted),
        "one_vs_rest_accuracy": numpy.mean(
            [metrics.accuracy_score(t == c, p == c) for c in labels]),
    }
    for c in labels:
        values[f"recall/{c}"] = recall[c]
        values[f"precision/{c}"] = precision[c]
        values[f"f1/{c}"] = f1[c]
        negatives = int((t != c).sum())
        values[f"specificity/{c}"] = (
            metrics.recall_score(t != c, p != c, zero_division=0) if negatives else 0.0)
        for j in labels:
            values[f"counts/{c}/{j}"] = float(matrix[c][j])
    return values


def main() -> None:
    warnings.simplefilter("ignore")  # classes that never occur are wanted here
    rng = random.Random(5)
    compared = 0
    for k, n, ranks, skill in [(2, 400, 1, 0.9), (8, 1600, 2, 0.9), (8, 50, 4, 0.3),
                               (3, 7, 3, 0.5), (23, 2000, 3, 0.7), (8, 64, 2, 0.0), (2, 1, 2, 1)]:
        for _ in range(5):
            truth = [rng.randrange(k) for _ in range(n)]
            predicted = [t if rng.random() < skill else rng.randrange(k) for t in truth]
            text = f"{k} {n} {ranks}\n" + "\n".join(f"{t} {p}" for t, p in zip(truth, predicted))
            run = subprocess.run([sys.argv[1]], input=text, capture_output=True, text=True,
                                 check=True)
            ours = {name: float(value) for name, value in map(str.split, run.stdout.splitlines())}
            theirs = expected(truth, predicted, k)
            assert ours.keys() == theirs.keys(), ours.keys() ^ theirs.keys()
            for name, value in theirs.items():
                assert abs(ours[name] - value) < 1e-12, (k, n, name, ours[name], value)
                compared += 1
    print(f"{compared} figures equal")


if __name__ == "__main__":
    main()
