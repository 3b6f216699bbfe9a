"""Our side of bench/accuracy: a cluster of one worker, and a sweep of one trial per seed.

The protocol: bench/harness.py. An order "seed N" is answered with one line of JSON.

Usage: ours.py MEAD SCRATCH RECIPE
"""

import json
import os
import pathlib
import signal
import subprocess
import sys
import time

SWEEP = """\
apiVersion: mead/v1
kind: Sweep
name: accuracy
dataset: accuracy
search: {{method: grid, parallel: 1}}
resources: {{ranks: 1, accelerator: cpu}}
train:
  model: {model}
  image_size: {size}
  batch_size: {batch}
  epochs: {epochs}
  schedule: one_cycle
  optimizer: {{name: sgd, lr: {lr}, momentum: 0.9, nesterov: true, weight_decay: 1.0e-4}}
  augment: {{rotate: 180, flip: both}}
  precision: bf16
{weights}
space:
  seed: {{choice: [{seed}]}}
"""


class Cluster:
    def __init__(self, mead: str, scratch: pathlib.Path):
        self.mead, self.folder = mead, scratch / "cluster"
        self.environment = {**os.environ, "XDG_CONFIG_HOME": str(scratch / "config")}
        self.environment.pop("MEAD_SERVER", None)

    def run(self, *arguments: str) -> str:
        done = subprocess.run([self.mead, *arguments], env=self.environment, text=True,
                              stdin=subprocess.DEVNULL, capture_output=True)
        if done.returncode:
            sys.exit(f"mead {' '.join(arguments)} failed:\n{done.stdout}{done.stderr}")
        return done.stdout

    def up(self) -> None:
        self.run("local", "up", "--detach", "--workers", "1", "--dir", str(self.folder),
                 "--port", "0", "--http-port", "0", "--accelerator", "cpu")

    def down(self) -> None:
        self.run("local", "down", "--dir", str(self.folder))


def train(cluster: Cluster, scratch: pathlib.Path, recipe: dict, seed: str) -> dict[str, float]:
    weights = f"  weights: {json.dumps(recipe['weights'])}" if recipe["weights"] else ""
    file = scratch / f"seed-{seed}.yaml"
    file.write_text(SWEEP.format(**{**recipe, "weights": weights}, seed=seed))
    start = time.perf_counter()
    sweep = cluster.run("submit", str(file), "-o", "name").split()[-1]
    cluster.run("watch", sweep)
    seconds = time.perf_counter() - start
    trial = json.loads(cluster.run("describe", sweep, "-o", "json"))["trials"][0]
    metrics = trial["lastMetrics"]
    return {"seconds": round(seconds, 3), "accuracy": metrics["val/accuracy"],
            "balanced_accuracy": metrics["val/balanced_accuracy"], "r_k": metrics["val/r_k"]}


def main() -> None:
    scratch, recipe = pathlib.Path(sys.argv[2]), json.loads(sys.argv[3])
    if recipe["weights"]:
        recipe["weights"] = str(pathlib.Path(recipe["weights"]).resolve())
    # Whatever ends the bench, the cluster goes with it.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    cluster = Cluster(sys.argv[1], scratch)
    cluster.up()
    try:
        cluster.run("dataset", "add", "accuracy", recipe["data"])
        print("ready", flush=True)
        for line in sys.stdin:
            print(json.dumps(train(cluster, scratch, recipe, line.split()[1])), flush=True)
    finally:
        cluster.down()


if __name__ == "__main__":
    main()
