"""What users get wrong and machines run out of: a clear error, the right exit code, nothing lost.

Needs MEAD_BIN (the programs' folder) and Pillow.
"""

import json
import os
import pathlib
import shutil
import socket
import sqlite3
import subprocess
import tempfile
import unittest
import urllib.error
import urllib.request

from PIL import Image

from cluster import BIN, Cluster, wait_for


def picture(path, size=(96, 80), seed=0):
    """A JPEG of noise that no other seed gives."""
    path.parent.mkdir(parents=True, exist_ok=True)
    small = Image.frombytes("RGB", (8, 8), bytes((seed * 37 + i * 71) % 256 for i in range(192)))
    small.resize(size).save(path, quality=90)


def folder_of_classes(root, classes=("normal", "polyp"), each=6):
    for k, name in enumerate(classes):
        for i in range(each):
            picture(root / name / f"{i}.jpg", seed=1 + k * each + i)


class OneCoordinator(unittest.TestCase):
    """Tests that share a coordinator with one worker of one slot."""

    @classmethod
    def setUpClass(cls):
        cls.cluster = Cluster()
        cls.cluster.start(workers=1)
        cls.cluster.add_dataset(images_per_class=4)

    @classmethod
    def tearDownClass(cls):
        cls.cluster.__exit__(None, None, None)

    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="mead-bad-"))
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)

    def run_mead(self, *arguments):
        return subprocess.run([BIN / "mead", "--server", self.cluster.grpc, *map(str, arguments)],
                              capture_output=True, text=True, env=self.cluster.env, timeout=120)

    def refused(self, code, *arguments):
        """Runs the client, expects an exit code, and returns its errors."""
        result = self.run_mead(*arguments)
        self.assertEqual(result.returncode, code, result.stdout + result.stderr)
        return result.stderr

    def sweep_file(self, text):
        path = self.folder / "sweep.yaml"
        path.write_text(text)
        return path

    # --- pictures -------------------------------------------------------------------

    def test_unreadable_pictures_are_quarantined_and_named(self):
        folder_of_classes(self.folder / "d")
        polyp = self.folder / "d" / "polyp"
        (polyp / "empty.jpg").write_bytes(b"")
        (polyp / "text.jpg").write_text("not a picture")
        whole = (polyp / "0.jpg").read_bytes()
        (polyp / "half.jpg").write_bytes(whole[: len(whole) // 2])
        Image.new("RGB", (1, 1)).save(polyp / "dot.jpg")
        Image.new("RGB", (30000, 4)).save(polyp / "wide.jpg")
        result = self.run_mead("dataset", "add", "quarantine", self.folder / "d")
        self.assertEqual(result.returncode, 0, result.stderr)
        answer = json.loads(self.run_mead("dataset", "describe", "quarantine", "-o", "json").stdout)
        dataset = answer.get("dataset", answer)
        reasons = {q["path"]: q["reason"] for q in dataset["quarantined"]}
        self.assertEqual(set(reasons), {f"polyp/{n}.jpg"
                                        for n in ("empty", "text", "half", "dot", "wide")})
        self.assertTrue(all(reasons.values()), reasons)
        self.assertIn("30000", reasons["polyp/wide.jpg"])
        # Told to the one who added it, too.
        self.assertIn("5", result.stdout + result.stderr)
        self.assertEqual(int(dataset["trainSamples"]) + int(dataset["valSamples"]), 12)

    def test_class_folder_without_pictures_is_named(self):
        folder_of_classes(self.folder / "d")
        (self.folder / "d" / "ulcer").mkdir()
        errors = self.refused(2, "dataset", "add", "x", self.folder / "d")
        self.assertIn("'ulcer' has no pictures", errors)

    def test_two_classes_with_one_name_are_named(self):
        folder_of_classes(self.folder / "d", classes=("polyp", "Polyp "))
        errors = self.refused(2, "dataset", "add", "x", self.folder / "d")
        self.assertIn("'polyp'", errors.lower())
        self.assertIn("'polyp '", errors.lower())

    def test_missing_folder_and_missing_data_set_name_near_ones(self):
        folder_of_classes(self.folder / "pictures")
        errors = self.refused(2, "dataset", "add", "x", self.folder / "picturs")
        self.assertIn("picturs", errors)
        self.assertIn("pictures", errors)
        path = self.sweep_file("apiVersion: mead/v1\nkind: Sweep\nname: x\ndataset: tinny\n"
                               "search: {trials: 1}\nresources: {ranks: 1}\n")
        errors = self.refused(2, "submit", path)
        self.assertIn("tinny", errors)
        self.assertIn("tiny", errors.replace("tinny", ""))

    # --- the sweep file -------------------------------------------------------------

    def test_every_mistake_of_a_sweep_file_is_reported_at_once_with_its_place(self):
        path = self.sweep_file("""apiVersion: mead/v1
kind: Sweep
name: x
dataset: tiny
objetive: {metric: val/accuracy}
search: {method: random, trials: many}
train:
  batch_size: [1]
space:
  optimizer.lr: {uniform: [1, 1]}
  batch_size: {choice: []}
\tseed: 3
""")
        errors = self.refused(2, "submit", path)
        for place, said in [(":5:1:", "did you mean objective"), (":6:34:", "whole number"),
                            (":8:15:", "train.batch_size"), (":10:", "space.optimizer.lr"),
                            (":11:", "space.batch_size"), (":12:1:", "tab")]:
            lines = [line for line in errors.splitlines() if f"sweep.yaml{place}" in line]
            self.assertTrue(any(said in line for line in lines), (place, said, errors))

    def test_what_the_coordinator_finds_wrong_is_shown_with_its_line(self):
        path = self.sweep_file("""apiVersion: mead/v1
kind: Sweep
name: x
dataset: tiny
objective: {metric: val/acuracy}
resources: {ranks: 1}
train:
  model: resnet51
  image_size: 5
""")
        errors = self.refused(2, "submit", path)
        for place, said in [(":5:", "val/accuracy"), (":8:", "resnet50"), (":9:", "64")]:
            lines = [line for line in errors.splitlines() if f"sweep.yaml{place}" in line]
            self.assertTrue(any(said in line for line in lines), (place, said, errors))
        sweeps = json.loads(self.run_mead("list", "-o", "json").stdout).get("sweeps", [])
        self.assertNotIn("x", [sweep["spec"]["name"] for sweep in sweeps])

    def test_more_ranks_than_the_cluster_has_wait_only_when_asked_to(self):
        path = self.sweep_file("apiVersion: mead/v1\nkind: Sweep\nname: big\ndataset: tiny\n"
                               "search: {trials: 1}\nresources: {ranks: 3}\n")
        errors = self.refused(2, "submit", path)
        self.assertIn("3", errors)
        self.assertIn("has 1", errors)
        self.assertIn("--wait-for-resources", errors)
        sweep = self.run_mead("submit", path, "--wait-for-resources", "-o", "name")
        self.assertEqual(sweep.returncode, 0, sweep.stderr)
        self.assertIn("waits for 3 slots", self.run_mead("describe", sweep.stdout.strip()).stdout)
        self.assertEqual(self.run_mead("stop", sweep.stdout.strip()).returncode, 0)
        wait_for("the waiting sweep is stopped", lambda: "STOPPED" in self.run_mead(
            "describe", sweep.stdout.strip(), "-o", "json").stdout)

    # --- the server -----------------------------------------------------------------

    def test_unreachable_server_is_named_with_a_remedy_and_exit_3(self):
        result = subprocess.run([BIN / "mead", "--server", "127.0.0.1:1", "list"],
                                capture_output=True, text=True, timeout=60)
        self.assertEqual(result.returncode, 3)
        self.assertIn("127.0.0.1:1", result.stderr)
        self.assertIn("mead local up", result.stderr)

    def test_nearly_full_disk_refuses_new_work_and_says_so(self):
        with Cluster() as cluster:
            cluster.coordinator_flags = ["--min-free-bytes", str(10**18)]
            cluster.start_coordinator()
            result = subprocess.run(
                [BIN / "mead", "--server", cluster.grpc, "dataset", "synth", "x",
                 "--images-per-class", "2"], capture_output=True, text=True, env=cluster.env)
            self.assertEqual(result.returncode, 1, result.stderr)
            self.assertIn("disk", result.stderr)
            self.assertIn("disk", cluster.mead("status"))
            with self.assertRaises(urllib.error.HTTPError) as raised:
                urllib.request.urlopen(f"http://{cluster.http}/readyz", timeout=10)
            self.assertEqual(raised.exception.code, 503)


class Coordinator(unittest.TestCase):
    """Starts that must be refused, and a disk that fills."""

    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="mead-bad-"))
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)

    def refused(self, folder, listen="127.0.0.1:0", http="127.0.0.1:0"):
        result = subprocess.run([BIN / "mead-coordinator", "--dir", folder, "--listen", listen,
                                 "--http", http], capture_output=True, text=True, timeout=60)
        self.assertEqual(result.returncode, 2, result.stderr)
        return result.stderr

    def test_taken_port_is_named(self):
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            port = taken.getsockname()[1]
            for flag in ("listen", "http"):
                errors = self.refused(self.folder / flag, **{flag: f"127.0.0.1:{port}"})
                self.assertIn(str(port), errors)
                self.assertIn(f"--{flag}", errors)

    def test_folder_in_use_is_named(self):
        with Cluster() as cluster:
            cluster.start_coordinator()
            errors = self.refused(cluster.dir / "coordinator")
            self.assertIn(str(cluster.dir / "coordinator"), errors)

    def test_foreign_and_newer_journals_are_refused_untouched(self):
        foreign = self.folder / "foreign"
        foreign.mkdir()
        with sqlite3.connect(foreign / "mead.db") as db:
            db.execute("CREATE TABLE songs (name TEXT)")
        before = (foreign / "mead.db").read_bytes()
        self.assertIn("mead.db", self.refused(foreign))
        self.assertEqual((foreign / "mead.db").read_bytes(), before)

        with Cluster() as cluster:
            cluster.start_coordinator()
            cluster.coordinator.terminate()
            self.assertEqual(cluster.coordinator.wait(30), 0)
            path = cluster.dir / "coordinator" / "mead.db"
            with sqlite3.connect(path) as db:
                db.execute("PRAGMA user_version = 999")
            errors = self.refused(path.parent)
            self.assertIn("999", errors)
            self.assertIn("mead.db", errors)

    def test_full_disk_corrupts_nothing(self):
        mount = self.folder / "small"
        mount.mkdir()
        made = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(mount)],
                              capture_output=True, text=True)
        if made.returncode != 0:
            self.skipTest(f"SKIPPED: needs to mount a small file system: {made.stderr.strip()}")
        self.addCleanup(subprocess.run, ["umount", "-l", str(mount)])
        with Cluster() as cluster:
            (cluster.dir / "coordinator").symlink_to(mount)
            cluster.coordinator_flags = ["--min-free-bytes", "0"]
            cluster.start_coordinator()
            cluster.add_dataset(images_per_class=2)
            ballast = mount / "ballast"
            with open(ballast, "wb") as file:
                try:
                    while True:
                        file.write(b"\0" * 65536)
                        file.flush()
                except OSError:
                    pass
            result = subprocess.run(
                [BIN / "mead", "--server", cluster.grpc, "dataset", "synth", "second",
                 "--images-per-class", "4"], capture_output=True, text=True, env=cluster.env)
            self.assertNotEqual(result.returncode, 0)
            if cluster.coordinator.poll() is not None:
                # It may end rather than act on what is not durable; never otherwise.
                self.assertEqual(cluster.coordinator.returncode, 74)
            else:
                cluster.coordinator.terminate()
                cluster.coordinator.wait(30)
            ballast.unlink()
            cluster.start_coordinator()
            names = cluster.mead("dataset", "list", "-o", "name").split()
            self.assertEqual(names, ["tiny"])
            cluster.mead("dataset", "verify", "tiny")


if __name__ == "__main__":
    os.environ.setdefault("NO_COLOR", "1")
    unittest.main(verbosity=2)
