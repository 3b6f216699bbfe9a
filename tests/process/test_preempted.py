"""SIGTERM to a worker or a trainer: the gang saves where it is, and no step is done twice."""

import os
import signal
import unittest

from cluster import Cluster, wait_for
from sample_traces import check_each_picture_once, traces

EPOCHS = 2
BATCH = 16


class PreemptedTest(unittest.TestCase):
    def test_gang_that_is_asked_to_end_goes_on_from_the_step_where_it_was(self):
        with Cluster() as cluster:
            folder = cluster.dir / "trace"
            folder.mkdir()
            cluster.env["MEAD_SAMPLE_TRACE"] = str(folder)
            cluster.start(workers=3)
            cluster.add_dataset(images_per_class=60)
            count = int(cluster.get("datasets")["datasets"][0]["trainSamples"])
            # No checkpoint within an epoch but what a SIGTERM asks for, and no restart to spend.
            settings = ["train.deterministic=true", "train.checkpoint.every_minutes=0",
                        "retry.infrastructure=0"]

            def submit(ranks):
                return cluster.submit(epochs=EPOCHS, ranks=ranks, settings=settings) + "-0"

            whole = submit(ranks=1)
            cluster.wait_for_sweep(whole[:-2])
            trial_id = submit(ranks=2)

            def training(attempt):
                def look():
                    trial = cluster.trial(trial_id)
                    self.assertNotIn(trial["state"], ("TRIAL_STATE_FAILED", "TRIAL_STATE_SUCCEEDED"))
                    ranks = traces(folder, trial_id).get(attempt, [])
                    fed = len(ranks) == 2 and all(trace.steps for trace in ranks)
                    return trial if fed and trial["state"] == "TRIAL_STATE_RUNNING" else None
                return wait_for(f"attempt {attempt} trains", look)

            # A trainer alone; its worker stays, and may have it again.
            name = training(attempt=1)["workers"][1]
            trainer, = cluster.trainers(name)
            os.kill(trainer, signal.SIGTERM)

            # A worker, with rank 0 and its checkpoint.
            name = training(attempt=2)["workers"][0]
            agent = cluster.workers.pop(name)
            agent.send_signal(signal.SIGTERM)
            self.assertEqual(agent.wait(timeout=60), 0)

            trial = cluster.wait_for_sweep(trial_id[:-2])["trials"][0]
            self.assertEqual(trial["state"], "TRIAL_STATE_SUCCEEDED", trial)
            self.assertEqual(trial["attempt"], 3)
            self.assertNotIn(name, trial["workers"])

            fed = check_each_picture_once(self, traces(folder, trial_id), EPOCHS, count)
            self.assertEqual(fed, 2 * EPOCHS * -(-count // BATCH), "no step was done twice")

            self.assertEqual(trial["latestCheckpoint"]["digest"],
                             cluster.trial(whole)["latestCheckpoint"]["digest"],
                             "the same bits as one rank that nobody asked to end")
            said = "\n".join(cluster.logs(trial_id))
            self.assertIn("rank 1 was asked to end", said)
            self.assertIn("rank 0 was asked to end", said)

    def test_worker_whose_grace_is_short_ends_all_the_same(self):
        with Cluster() as cluster:
            cluster.start_coordinator()
            cluster.start_worker("worker-1", flags=["--grace-period", 0])
            cluster.wait_for_workers()
            cluster.add_dataset()
            trial_id = cluster.submit(epochs=50, ranks=1, settings=["retry.infrastructure=0"]) + "-0"
            cluster.wait_for_checkpoint(trial_id)
            agent = cluster.workers.pop("worker-1")
            agent.send_signal(signal.SIGTERM)
            self.assertEqual(agent.wait(timeout=30), 0)
            trial = wait_for("the trial waits for another worker", lambda: (
                cluster.trial(trial_id)["state"] == "TRIAL_STATE_QUEUED" and
                cluster.trial(trial_id)))
            self.assertIn("the cluster has 0", trial["message"])
            self.assertEqual(trial["failureKind"], "FAILURE_KIND_PREEMPTED")


if __name__ == "__main__":
    unittest.main(verbosity=2)
