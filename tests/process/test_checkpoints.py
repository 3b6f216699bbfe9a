"""Checkpoints by the clock, and a coordinator that lets old ones go for --checkpoint-quota."""

import pathlib
import unittest

from cluster import Cluster, wait_for


class CheckpointsTest(unittest.TestCase):
    def test_clock_writes_within_an_epoch_and_the_quota_drops_what_is_old(self):
        with Cluster() as cluster:
            cluster.start(workers=1)
            cluster.add_dataset(images_per_class=40)
            first = cluster.submit(epochs=2, ranks=1,
                                   settings=["train.checkpoint.keep_latest=4"]) + "-0"
            cluster.wait_for_sweep(first[:-2])
            size = int(cluster.trial(first)["latestCheckpoint"]["sizeBytes"])

            # Room for two and a half: of the first trial only the best stays, and of the second,
            # which may keep four, those that it needs.
            cluster.coordinator.terminate()
            cluster.coordinator.wait()
            cluster.coordinator_flags = ["--checkpoint-quota", str(size * 5 // 2)]
            cluster.start_coordinator()
            cluster.wait_for_workers()
            best = pathlib.Path(cluster.trial(first)["bestCheckpoint"]["path"])
            self.assertTrue(best.exists())

            second = cluster.submit(epochs=3, ranks=1, settings=[
                "train.checkpoint.keep_latest=4", "train.checkpoint.every_minutes=0.005"]) + "-0"

            def within_an_epoch():
                trial = cluster.trial(second)
                self.assertNotEqual(trial["state"], "TRIAL_STATE_SUCCEEDED", "none was seen")
                return int(trial.get("latestCheckpoint", {}).get("step", 0)) > 0
            wait_for("a checkpoint in the midst of an epoch", within_an_epoch)
            trial = cluster.wait_for_sweep(second[:-2])["trials"][0]
            self.assertEqual(trial["state"], "TRIAL_STATE_SUCCEEDED", trial)

            wait_for("the log says what went", lambda: "for --checkpoint-quota" in
                     (cluster.dir / "coordinator.log").read_text())
            self.assertTrue(best.exists(), "a trial's best never goes")
            for kind in ("latestCheckpoint", "bestCheckpoint"):
                self.assertTrue(pathlib.Path(trial[kind]["path"]).exists(), kind)

            def stored():
                files = [path for path in (cluster.dir / "coordinator").rglob("*")
                         if path.is_file() and path.stat().st_size > size // 2]
                # The best of each, and what the second ended with.
                return len(files) <= 3
            wait_for("the others' files are gone", stored, 20)


if __name__ == "__main__":
    unittest.main(verbosity=2)
