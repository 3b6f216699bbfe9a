"""mead lr-find on a real cluster: one rank and two, past the data set's end, and after a restart."""

import csv
import json
import unittest

import numpy
from PIL import Image

from cluster import Cluster

SWEEP = """apiVersion: mead/v1
kind: Sweep
name: rates
dataset: tiny
resources: {ranks: 1, accelerator: cpu}
train:
  model: resnet18
  image_size: 64
  batch_size: 16
  deterministic: true
  optimizer: {name: sgd}
space:
  optimizer.lr: {log_uniform: [1e-3, 1e-1]}
  batch_size: {choice: [16, 32]}
"""


class LrFindTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.cluster = Cluster()
        cls.addClassCleanup(cls.cluster.__exit__, None, None, None)
        cls.cluster.start()
        cls.cluster.add_dataset(images_per_class=5)  # two steps an epoch
        cls.file = cls.cluster.dir / "rates.yaml"
        cls.file.write_text(SWEEP)

    def find(self, *more):
        return json.loads(self.cluster.mead("lr-find", *more, "-o", "json"))

    def test_a_gang_finds_what_one_rank_finds_and_a_restart_forgets_nothing(self):
        one = self.find(self.file, "--min-lr", "1e-5", "--max-lr", "0.1", "--steps", 16)
        rates = [point["lr"] for point in one["points"]]
        self.assertTrue(numpy.allclose(rates, numpy.geomspace(1e-5, 0.1, 16), rtol=1e-12))
        losses = [point["loss"] for point in one["points"]]
        self.assertLess(min(losses), losses[0])
        two = self.find(self.file, "--min-lr", "1e-5", "--max-lr", "0.1", "--steps", 16,
                        "--set", "resources.ranks=2")
        self.assertEqual(two["points"], one["points"])
        self.assertNotEqual(two["trialId"], one["trialId"])

        trial = self.cluster.trial(one["trialId"])
        self.assertEqual(trial["state"], "TRIAL_STATE_SUCCEEDED")
        self.assertNotIn("latestCheckpoint", trial)
        self.assertEqual(trial["percentDone"], 100)
        self.cluster.kill(self.cluster.coordinator.pid)
        self.cluster.coordinator.wait()
        self.cluster.start_coordinator()
        table, picture = self.cluster.dir / "curve.csv", self.cluster.dir / "curve.png"
        again = self.find("--trial", one["trialId"], "--csv", table, "--png", picture)
        self.assertEqual(again, one)
        with open(table, newline="") as file:
            self.assertEqual([int(row["step"]) for row in csv.DictReader(file)],
                             list(range(1, 17)))
        with Image.open(picture) as image:
            self.assertGreater(len(image.getcolors()), 3)
        text = self.cluster.mead("lr-find", "--trial", one["trialId"])
        self.assertIn("all 16 steps, up to a learning rate of 0.1", text)

    def test_a_loss_that_rises_ends_the_test_well(self):
        found = self.find(self.file, "--min-lr", "0.01", "--max-lr", "100", "--steps", 40, "--set",
                          "train.deterministic=false", "--set", "train.augment.mixup=0.2")
        self.assertLess(len(found["points"]), 40)
        self.assertRegex(found["message"], "rose above 4 times|no longer finite")
        trial = self.cluster.trial(found["trialId"])
        self.assertEqual(trial["state"], "TRIAL_STATE_SUCCEEDED")
        self.assertIn(found["message"], self.cluster.mead("describe", found["trialId"]))
        # The trainer that diverged is fit for the next trial.
        sweep = self.cluster.submit(epochs=1, ranks=1)
        self.assertEqual(self.cluster.wait_for_sweep(sweep)["sweep"]["state"],
                         "SWEEP_STATE_SUCCEEDED")


if __name__ == "__main__":
    unittest.main()
