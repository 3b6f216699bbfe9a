"""A Mead cluster of a test's own, on this machine, made of the real programs.

Everything is started on free ports in a folder that goes with the cluster. Nothing
here sleeps to let something happen: wait_for() waits for it, with a deadline.
"""

import json
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import time
import urllib.request

BIN = pathlib.Path(os.environ["MEAD_BIN"])


def wait_for(what, condition, seconds=120.0):
    """Waits until condition() is true and returns its value."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {seconds} s in vain: {what}")
        time.sleep(0.02)


def is_alive(pid):
    """Whether a process runs; a zombie does not."""
    try:
        stat = pathlib.Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return stat.rsplit(")", 1)[1].split()[0] not in "ZX"


def children(pid, program):
    """Pids of a process's children that run a program."""
    found = []
    for task in pathlib.Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            for child in task.read_text().split():
                if os.readlink(f"/proc/{child}/exe").endswith("/" + program):
                    found.append(int(child))
        except (FileNotFoundError, ProcessLookupError):
            pass  # ended while we looked
    return found


class Cluster:
    def __init__(self, lease="4s"):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="mead-process-"))
        self.lease = lease
        self.grpc = "127.0.0.1:0"
        self.http = "127.0.0.1:0"
        self.coordinator = None
        self.coordinator_flags = []
        self.workers = {}
        self.env = dict(os.environ, XDG_CONFIG_HOME=str(self.dir / "config"))

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        for process in [*self.workers.values(), self.coordinator]:
            if process is not None and process.poll() is None:
                process.kill()
                process.wait()
        if kind is not None:
            for log in sorted(self.dir.glob("*.log")):
                print(f"--- {log.name}\n{log.read_text(errors='replace')[-4000:]}", flush=True)
        shutil.rmtree(self.dir, ignore_errors=True)

    def _start(self, name, *command):
        with open(self.dir / f"{name}.log", "ab") as log:
            return subprocess.Popen([str(part) for part in command], stdout=log, stderr=log,
                                    env=self.env)

    def start_coordinator(self):
        """Starts it, again on the same ports and folder if it had any."""
        folder = self.dir / "coordinator"
        (folder / "endpoints.json").unlink(missing_ok=True)
        self.coordinator = self._start(
            "coordinator", BIN / "mead-coordinator", "--dir", folder, "--listen", self.grpc,
            "--http", self.http, "--lease", self.lease, *self.coordinator_flags)

        def ready():
            assert self.coordinator.poll() is None, "the coordinator ended"
            return (folder / "endpoints.json").exists()
        wait_for("the coordinator is ready", ready)
        endpoints = json.loads((folder / "endpoints.json").read_text())
        self.grpc, self.http = endpoints["grpc"], endpoints["http"]

    def start_worker(self, name, slots=1, prefix=(), flags=()):
        self.workers[name] = self._start(
            name, *prefix, BIN / "mead-worker", "--coordinator", self.grpc, "--slots", slots, "--name", name,
            "--dir", self.dir / name, "--accelerator", "cpu", "--threads", 1, *flags)

    def wait_for_workers(self):
        def registered():
            nodes = self.get("nodes").get("nodes", [])
            connected = {node["id"] for node in nodes if node.get("connected")}
            return connected >= set(self.workers)
        wait_for("every worker has registered", registered)

    def start(self, workers=2):
        self.start_coordinator()
        for i in range(1, workers + 1):
            self.start_worker(f"worker-{i}")
        self.wait_for_workers()

    def trainers(self, name):
        return children(self.workers[name].pid, "mead-trainer")

    # --- asking -------------------------------------------------------------------

    def mead(self, *arguments, codes=(0,)):
        result = subprocess.run([BIN / "mead", "--server", self.grpc, *map(str, arguments)],
                                capture_output=True, text=True, env=self.env, timeout=240)
        assert result.returncode in codes, (
            f"mead {' '.join(map(str, arguments))} exited with {result.returncode}:\n"
            f"{result.stdout}\n{result.stderr}")
        return result.stdout

    def get(self, path):
        """GET /api/v1/PATH."""
        with urllib.request.urlopen(f"http://{self.http}/api/v1/{path}", timeout=10) as response:
            return json.load(response)

    def trial(self, trial_id):
        return self.get(f"trials/{trial_id}")["trial"]

    def logs(self, trial_id):
        # One JSON object a line, as a stream has no end to close a list at.
        return [json.loads(line)["text"]
                for line in self.mead("logs", trial_id, "-o", "json").splitlines()]

    def add_dataset(self, images_per_class=12):
        self.mead("dataset", "synth", "tiny", "--images-per-class", images_per_class, "--size", 64)

    def submit(self, trials=1, epochs=6, ranks=2, settings=()):
        """Submits a sweep over learning rates and returns its id; settings: `key=value`."""
        rates = ", ".join(f"{0.01 * (i + 1):.2f}" for i in range(trials))
        spec = self.dir / "sweep.yaml"
        spec.write_text(f"""apiVersion: mead/v1
kind: Sweep
name: process-test
dataset: tiny
objective: {{metric: val/accuracy, goal: maximize}}
search: {{method: grid, parallel: 1}}
resources: {{ranks: {ranks}, accelerator: cpu}}
train:
  model: resnet18
  image_size: 64
  batch_size: 16
  epochs: {epochs}
  seed: 3
space:
  optimizer.lr: {{choice: [{rates}]}}
""")
        changes = [word for setting in settings for word in ("--set", setting)]
        return self.mead("submit", spec, *changes, "-o", "name").strip()

    def wait_for_sweep(self, sweep_id, seconds=240.0):
        ended = {"SWEEP_STATE_SUCCEEDED", "SWEEP_STATE_FAILED", "SWEEP_STATE_STOPPED"}

        def sweep():
            answer = self.get(f"sweeps/{sweep_id}")
            return answer if answer["sweep"]["state"] in ended else None
        return wait_for(f"sweep {sweep_id} ends", sweep, seconds)

    def wait_for_checkpoint(self, trial_id, epoch=1):
        """Waits until a trial runs with a checkpoint of an epoch stored."""
        def stored():
            trial = self.trial(trial_id)
            assert trial["state"] not in ("TRIAL_STATE_FAILED", "TRIAL_STATE_SUCCEEDED"), trial
            return (trial["state"] == "TRIAL_STATE_RUNNING" and
                    int(trial.get("latestCheckpoint", {}).get("epoch", 0)) >= epoch and trial)
        return wait_for(f"{trial_id} has a checkpoint of epoch {epoch}", stored)

    def kill(self, pid):
        os.kill(pid, signal.SIGKILL)
