"""Every picture exactly once: what really went into the steps of a trial whose processes are killed.

The trainers write what they feed to each step (sample_traces.py).
"""

import pathlib
import random
import unittest

from cluster import Cluster, wait_for
from sample_traces import check_each_picture_once, traces

EPOCHS = 2
BATCH = 16


class LedgerTest(unittest.TestCase):
    def test_killed_trial_uses_every_picture_once_and_ends_with_the_same_bits(self):
        with Cluster(lease="2s") as cluster:
            folder = cluster.dir / "trace"
            folder.mkdir()
            cluster.env["MEAD_SAMPLE_TRACE"] = str(folder)
            cluster.start(workers=3)
            cluster.add_dataset(images_per_class=20)
            dataset = cluster.get("datasets")["datasets"][0]
            count = int(dataset["trainSamples"])
            settings = ["train.deterministic=true", "train.ema=0.9", "train.checkpoint.every_steps=2"]

            def submit(ranks):
                return cluster.submit(epochs=EPOCHS, ranks=ranks, settings=settings) + "-0"

            # Without a fault, on another number of ranks.
            whole = submit(ranks=1)
            cluster.wait_for_sweep(whole[:-2])

            trial_id = submit(ranks=2)
            per_epoch = -(-count // BATCH)
            rng = random.Random(7)
            # In the midst of epochs; the last takes a whole worker, whose rank moves to another.
            targets = sorted(rng.sample(range(3, per_epoch - 2), 2)) + [
                per_epoch + rng.randrange(3, per_epoch - 3)]
            for kill, target in enumerate(targets):
                place = (target // per_epoch + 1, target % per_epoch)

                def reached():
                    attempts = traces(folder, trial_id)
                    trial = cluster.trial(trial_id)
                    self.assertNotIn(trial["state"], ("TRIAL_STATE_FAILED", "TRIAL_STATE_SUCCEEDED"))
                    if len(attempts) <= kill:
                        return None
                    last = attempts[max(attempts)]
                    fed = all(trace.steps and max(trace.steps) >= place for trace in last)
                    saved = int(trial.get("latestCheckpoint", {}).get("step", 0)) > 0
                    return trial if fed and saved and len(last) == 2 else None
                trial = wait_for(f"attempt {kill + 1} trains step {place}", reached)
                name = trial["workers"][rng.randrange(2)]
                if kill < 2:
                    victim, = cluster.trainers(name)
                    cluster.kill(victim)
                else:
                    agent = cluster.workers.pop(name)
                    cluster.kill(agent.pid)
                    agent.wait()
            trial = cluster.wait_for_sweep(trial_id[:-2])["trials"][0]
            self.assertEqual(trial["state"], "TRIAL_STATE_SUCCEEDED", trial)

            attempts = traces(folder, trial_id)
            self.assertGreaterEqual(len(attempts), 4)
            repeated = check_each_picture_once(self, attempts, EPOCHS, count)
            self.assertGreater(repeated, 2 * EPOCHS * per_epoch, "some steps were done again")

            # Weights, optimizer and average have the same bits as without a fault, and so do
            # the whole epochs' figures.
            self.assertEqual(trial["latestCheckpoint"]["digest"],
                             cluster.trial(whole)["latestCheckpoint"]["digest"])
            for name in ("train/loss", "train/accuracy", "lr"):
                def figures(of):
                    points = cluster.get(f"trials/{of}/metrics")["points"]
                    return {point["epoch"]: point["value"] for point in points
                            if point["name"] == name}
                self.assertEqual(figures(trial_id), figures(whole), name)

    def test_damaged_checkpoint_is_passed_over_for_the_one_before_it(self):
        epochs = 5
        with Cluster(lease="2s") as cluster:
            cluster.start(workers=2)
            cluster.add_dataset()
            trial_id = cluster.submit(epochs=epochs, ranks=1,
                                      settings=["train.checkpoint.keep_latest=2"]) + "-0"
            name, = cluster.wait_for_checkpoint(trial_id, epoch=2)["workers"]
            agent = cluster.workers.pop(name)
            cluster.kill(agent.pid)
            agent.wait()
            wait_for("the lease has run out",
                     lambda: cluster.trial(trial_id)["state"] != "TRIAL_STATE_RUNNING")
            latest = cluster.trial(trial_id)["latestCheckpoint"]
            path = pathlib.Path(latest["path"])
            content = bytearray(path.read_bytes())
            content[len(content) // 2] ^= 1
            path.write_bytes(content)

            trial = cluster.wait_for_sweep(trial_id[:-2])["trials"][0]
            self.assertEqual(trial["state"], "TRIAL_STATE_SUCCEEDED", trial)
            self.assertEqual(trial["epochsDone"], epochs)
            self.assertEqual(trial["attempt"], 3, "the second found the damage")
            resumed = [line for line in cluster.logs(trial_id) if line.startswith("resumed from")]
            self.assertEqual(len(resumed), 1, resumed)
            self.assertIn(f"the checkpoint of epoch {int(latest['epoch']) - 1},", resumed[0])
            # What it goes on from is in the coordinator's hands, so it says why, too.
            self.assertIn("is damaged", (cluster.dir / "coordinator.log").read_text())


if __name__ == "__main__":
    unittest.main(verbosity=2)
