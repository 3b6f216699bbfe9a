"""Calibration, precision and recall equal scikit-learn's, SciPy's and plain NumPy's.

The predictions file itself goes through the safetensors package, both ways.
Usage: test_scores.py SCORES_PROBE
"""

import json
import pathlib
import subprocess
import sys
import tempfile
import warnings

import numpy
from safetensors import safe_open
from safetensors.numpy import save_file
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax
from sklearn import metrics

BINS = 15


def ece(log_probabilities, truth, temperature=1.0):
    """Guo et al. 2017, equation 3, the long way."""
    p = numpy.exp(log_softmax(log_probabilities.astype(numpy.float64) / temperature, axis=1))
    confidence, right = p.max(axis=1), p.argmax(axis=1) == truth
    total = 0.0
    edges = numpy.linspace(0, 1, BINS + 1)
    for low, high in zip(edges[:-1], edges[1:]):
        inside = (confidence > low) & (confidence <= high)
        if inside.any():
            total += inside.sum() * abs(right[inside].mean() - confidence[inside].mean())
    return total / len(truth)


def nll(log_probabilities, truth, temperature=1.0):
    scaled = log_softmax(log_probabilities.astype(numpy.float64) / temperature, axis=1)
    return -scaled[numpy.arange(len(truth)), truth].mean()


def compare(probe, folder, rng, n, k, sharpness, ties):
    truth = rng.integers(0, k, n).astype(numpy.int32)
    logits = rng.normal(size=(n, k)) + 1.5 * numpy.eye(k)[truth]
    if ties:
        logits = numpy.round(logits)
    values = log_softmax(sharpness * logits, axis=1).astype(numpy.float32)
    keys = [f"class/{i} \u00e9\".jpg" for i in range(n)]
    metadata = {"mead.predictions": "1", "trial": "t-0", "epoch": "3", "manifest": "sha256:0",
                "classes": json.dumps([f"c{i}" for i in range(k)]), "keys": json.dumps(keys)}
    source, copy = folder / "in.safetensors", folder / "out.safetensors"
    save_file({"log_probabilities": values, "truth": truth}, source, metadata)
    run = subprocess.run([probe, source, copy], capture_output=True, text=True, check=True)
    ours = {name: float(value)
            for name, value in (line.rsplit(" ", 1) for line in run.stdout.splitlines())}

    with safe_open(copy, "numpy") as written:
        assert (written.get_tensor("log_probabilities") == values).all()
        assert (written.get_tensor("truth") == truth).all()
        assert json.loads(written.metadata()["keys"]) == keys

    fit = minimize_scalar(lambda log_t: nll(values, truth, numpy.exp(log_t)),
                          bounds=numpy.log([0.01, 100]), method="bounded",
                          options={"xatol": 1e-10})
    temperature = float(numpy.exp(fit.x))
    # The minimum is flat: both are compared by the loss, and loosely by the temperature.
    assert abs(ours["temperature"] / temperature - 1) < 1e-4, (ours["temperature"], temperature)
    assert ours["nll_scaled"] <= fit.fun + 1e-12, (ours["nll_scaled"], fit.fun)
    theirs = {"nll": nll(values, truth), "ece": ece(values, truth),
              "nll_scaled": nll(values, truth, ours["temperature"]),
              "ece_scaled": ece(values, truth, ours["temperature"])}
    for c in range(k):
        p = values[:, c]
        theirs[f"average_precision/{c}"] = metrics.average_precision_score(truth == c, p)
        precision, recall, thresholds = metrics.precision_recall_curve(truth == c, p)
        # Theirs rises with the threshold and ends with a point without one.
        for i, (t, pr, re) in enumerate(zip(thresholds[::-1], precision[-2::-1], recall[-2::-1])):
            theirs[f"threshold/{c}/{i}"] = float(numpy.exp(numpy.float64(t)))
            theirs[f"precision/{c}/{i}"] = pr
            theirs[f"recall/{c}/{i}"] = re
    losses = -values[numpy.arange(n), truth]
    for i in numpy.argsort(-losses, kind="stable")[:10]:
        theirs["loss/" + keys[i]] = float(losses[i])
    missing = theirs.keys() ^ (ours.keys() - {"temperature"})
    assert not missing, sorted(missing)[:10]
    for name, value in theirs.items():
        assert abs(ours[name] - value) < 1e-9, (n, k, name, ours[name], value)
    return len(theirs)


def main():
    warnings.simplefilter("error")
    rng = numpy.random.default_rng(7)
    compared = 0
    with tempfile.TemporaryDirectory() as folder:
        for n, k, sharpness, ties in [(400, 2, 1, False), (400, 2, 4, True), (800, 8, 2.5, False),
                                      (300, 8, 0.4, True), (60, 3, 1, True)]:
            compared += compare(sys.argv[1], pathlib.Path(folder), rng, n, k, sharpness, ties)
    print(f"{compared} figures equal")


if __name__ == "__main__":
    main()
