"""A range test's rates, smoothing, end and suggestions equal the published formulas in NumPy.

The formulas are fast.ai's (LRFinder, AvgSmoothLoss, lr_find's valley, steep and minimum), written
down the long way; the rates are numpy.geomspace. Usage: test_lr_range.py RANGE_PROBE
"""

import itertools
import subprocess
import sys

import numpy


def curve(rng, steps, kind):
    """Losses of made-up tests: they fall, and may rise or stay."""
    x = numpy.linspace(0, 1, steps)
    fall = 2.3 - 1.8 / (1 + numpy.exp(-20 * (x - rng.uniform(0.4, 0.7))))
    rise = numpy.exp(rng.uniform(20, 60) * (x - rng.uniform(0.75, 0.95)))
    noise = rng.normal(scale=0.1, size=steps)
    return numpy.maximum(fall + noise + (rise if kind == "rises" else 0), 0.01)


def smoothed(losses):
    value, out = 0.0, []
    for count, loss in enumerate(losses, 1):
        value = loss + 0.98 * (value - loss)  # lerp
        out.append(value / (1 - 0.98 ** count))
    return numpy.array(out)


def longest_falls(losses):
    """By end, the longest falling subsequence, found by recursion over its last but one."""
    lengths = []
    for i, loss in enumerate(losses):
        lengths.append(1 + max((lengths[j] for j in range(i) if losses[j] > loss), default=0))
    return numpy.array(lengths)


def suggestions(rates, losses, steps):
    rates, losses = rates[steps // 10:-5], losses[steps // 10:-5]
    lengths = longest_falls(losses)
    end, longest = lengths.argmax(), lengths.max()
    assert longest > 3, "no curve to compare with"
    third = longest / 3
    slopes = numpy.diff(losses) / numpy.diff(numpy.log(rates))
    return {"valley": rates[end - longest + int(third) + int(third / 2)],
            "steep": rates[slopes.argmin()], "minimum": rates[losses.argmin()] / 10}


def main():
    rng = numpy.random.default_rng(11)
    rose = compared = 0
    for kind, steps, _ in itertools.product(["rises", "stays"], [20, 100, 237, 1000], range(5)):
        losses = curve(rng, steps, kind)
        low, high = 10 ** rng.uniform(-8, -4), 10 ** rng.uniform(-1, 2)
        run = subprocess.run([sys.argv[1], repr(low), repr(high), str(steps)], text=True,
                             input="\n".join(map(repr, map(float, losses))), capture_output=True,
                             check=True)
        rows = [line.split() for line in run.stdout.splitlines()]
        points = numpy.array([[float(x) for x in row[1:]] for row in rows if row[0] == "point"])
        ours = {row[0]: float(row[1]) for row in rows if row[0] != "point"}
        theirs = smoothed(losses)
        above = numpy.flatnonzero(theirs > 4 * numpy.minimum.accumulate(theirs))
        count = above[0] + 1 if len(above) else steps
        assert len(points) == count, (kind, steps, len(points), count)
        assert ours.pop("rose") == bool(len(above))
        rose += bool(len(above))
        rates = numpy.geomspace(low, high, steps)[:count]
        assert numpy.allclose(points[:, 0], rates, rtol=1e-12, atol=0)
        assert numpy.allclose(points[:, 1], theirs[:count], rtol=1e-12, atol=0)
        expected = suggestions(rates, theirs[:count], steps)
        assert ours.keys() == expected.keys(), (ours, expected)
        for name, rate in expected.items():
            assert abs(ours[name] / rate - 1) < 1e-9, (kind, steps, name, ours[name], rate)
            compared += 1
    assert rose >= 10, rose
    print(f"{compared} suggestions equal, {rose} tests ended early")


if __name__ == "__main__":
    main()
