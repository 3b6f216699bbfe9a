"""Paired comparisons equal SciPy's: the plain t-test, and Nadeau and Bengio's corrected one.

Usage: test_paired.py PAIRED_PROBE
"""

import subprocess
import sys

import numpy
from scipy import stats


def main():
    rng = numpy.random.default_rng(11)
    cases = []
    for folds in [2, 3, 5, 10, 20]:
        for spread in [1e-3, 0.02, 0.3]:
            for shift in [0, 0.01, -0.05, 1]:
                cases.append((0.0, rng.normal(shift, spread, folds)))
                cases.append((1 / (folds - 1), cases[-1][1]))
    lines = "".join(f"{ratio!r} " + " ".join(repr(float(d)) for d in differences) + "\n"
                    for ratio, differences in cases)
    run = subprocess.run([sys.argv[1]], input=lines, capture_output=True, text=True, check=True)
    ours = [[float(word) for word in line.split()] for line in run.stdout.splitlines()]
    assert len(ours) == len(cases)
    for (ratio, d), (difference, low, high, t, p) in zip(cases, ours):
        n = len(d)
        error = numpy.sqrt(d.var(ddof=1) * (1 / n + ratio))
        expected_t = d.mean() / error
        expected = [d.mean(), *stats.t.interval(0.95, n - 1, d.mean(), error), expected_t,
                    2 * stats.t.sf(abs(expected_t), n - 1)]
        if ratio == 0:
            test = stats.ttest_rel(d, numpy.zeros(n))
            interval = test.confidence_interval(0.95)
            expected = [d.mean(), interval.low, interval.high, test.statistic, test.pvalue]
        numpy.testing.assert_allclose([difference, low, high, t, p], expected, rtol=1e-9,
                                      atol=1e-13)
    print(f"{len(cases)} comparisons equal")


if __name__ == "__main__":
    main()
