"""What a cluster does when its processes are killed; run by CTest, one test a process."""

import os
import pathlib
import re
import shutil
import signal
import subprocess
import time
import unittest

from cluster import BIN, Cluster, is_alive, wait_for

EPOCHS = 6


def epochs_by_metric(points):
    """metric name -> list of the epochs that it was reported for."""
    epochs = {}
    for point in points:
        epochs.setdefault(point["name"], []).append(point["epoch"])
    return epochs


class SweepTest(unittest.TestCase):
    def test_sweep_of_two_ranks_completes_with_everything_reported(self):
        with Cluster() as cluster:
            cluster.start()
            cluster.add_dataset()
            sweep_id = cluster.submit(trials=2, epochs=2)
            result = cluster.wait_for_sweep(sweep_id)
            self.assertEqual(result["sweep"]["state"], "SWEEP_STATE_SUCCEEDED")
            self.assertEqual(result["sweep"]["trialsSucceeded"], 2)
            for trial in result["trials"]:
                self.assertEqual(trial["attempt"], 1)
                self.assertEqual(trial["epochsDone"], 2)
                self.assertTrue(pathlib.Path(trial["latestCheckpoint"]["path"]).is_file())
                points = cluster.get(f"trials/{trial['id']}/metrics")["points"]
                reported = epochs_by_metric(points)
                for name in ("train/loss", "train/accuracy", "train/images_per_second", "lr",
                             "val/loss", "val/accuracy", "val/balanced_accuracy", "val/macro_f1",
                             "val/mcc", "val/r_k", "val/recall/esophagitis",
                             "val/precision/polyps", "val/specificity/polyps", "val/f1/polyps"):
                    self.assertEqual(reported.get(name), [1, 2], name)
                # Evaluation is exact: every picture of the split counts once.
                confusion = cluster.get(f"trials/{trial['id']}/confusion")["confusion"]
                dataset = cluster.get("datasets")["datasets"][0]
                self.assertEqual(sum(int(n) for n in confusion["counts"]),
                                 int(dataset["valSamples"]))
            # The second trial ran in the processes of the first: they stayed warm.
            for name in cluster.workers:
                self.assertEqual(len(cluster.trainers(name)), 1)
                # The sweep may be over for its users before its workers have tidied up.
                path = cluster.dir / f"{name}.log"
                wait_for(f"{name} is free again",
                         lambda: path.read_text().count("is free of") >= 2)
                self.assertEqual(path.read_text().count("is free of"), 2, path.read_text())
                work = cluster.dir / name / "work"
                wait_for(f"{work} is empty", lambda: not list(work.iterdir()))


class DecodedPicturesTest(unittest.TestCase):
    def test_later_trials_find_what_the_first_one_decoded(self):
        with Cluster() as cluster:
            cluster.start(workers=1)
            cluster.add_dataset(images_per_class=5)
            sweep_id = cluster.submit(trials=2, epochs=1, ranks=1)
            self.assertEqual(cluster.wait_for_sweep(sweep_id)["sweep"]["state"],
                             "SWEEP_STATE_SUCCEEDED")
            dataset = cluster.get("datasets")["datasets"][0]
            for trial in (0, 1):
                said = re.findall(r"decoded pictures \((\w+), \d+ a side\): (\d+) of (\d+) are",
                                  "\n".join(cluster.logs(f"{sweep_id}-{trial}")))
                counts = {"train": dataset["trainSamples"], "val": dataset["valSamples"]}
                self.assertEqual(said, [(split, str(n) if trial else "0", str(n))
                                        for split, n in counts.items()])
            files = list((cluster.dir / "worker-1" / "cache" / "decoded").glob("*.pixels"))
            self.assertEqual(len(files), 2, files)


class StepSettingsTest(unittest.TestCase):
    def test_deterministic_trials_of_one_and_two_ranks_have_equal_losses(self):
        with Cluster() as cluster:
            cluster.start()
            cluster.add_dataset(images_per_class=5)
            losses = {}
            for ranks in (1, 2):
                sweep_id = cluster.submit(epochs=2, ranks=ranks,
                                          settings=["train.deterministic=true", "train.ema=0.9",
                                                    "train.optimizer.clip_grad_norm=1"])
                result = cluster.wait_for_sweep(sweep_id)
                self.assertEqual(result["sweep"]["state"], "SWEEP_STATE_SUCCEEDED")
                points = cluster.get(f"trials/{sweep_id}-0/metrics")["points"]
                losses[ranks] = [point["value"] for point in points
                                 if point["name"] == "train/loss"]
            self.assertEqual(len(losses[1]), 2)
            self.assertEqual(losses[1], losses[2])

    def test_trial_in_pieces_says_so_in_its_log(self):
        with Cluster() as cluster:
            cluster.start(workers=1)
            cluster.add_dataset(images_per_class=5)
            sweep_id = cluster.submit(epochs=1, ranks=1, settings=["train.micro_batch=2"])
            result = cluster.wait_for_sweep(sweep_id)
            self.assertEqual(result["sweep"]["state"], "SWEEP_STATE_SUCCEEDED")
            said = [line for line in cluster.logs(f"{sweep_id}-0") if "in pieces of" in line]
            self.assertEqual(said, ["rank 0 computes its batches in pieces of 2 pictures "
                                    "(micro_batch) and adds their gradients up; batch-norm "
                                    "normalises over a piece"])


class KilledTrainerTest(unittest.TestCase):
    def test_gang_stops_and_goes_on_from_its_last_checkpoint(self):
        with Cluster() as cluster:
            cluster.start()
            cluster.add_dataset()
            sweep_id = cluster.submit(epochs=EPOCHS)
            trial_id = f"{sweep_id}-0"
            before = cluster.wait_for_checkpoint(trial_id)
            victim, = cluster.trainers("worker-1")
            other, = cluster.trainers("worker-2")
            killed = time.monotonic()
            cluster.kill(victim)
            wait_for("the other member is gone", lambda: not is_alive(other), seconds=5)
            gone_after = time.monotonic() - killed
            wait_for("the second attempt trains",
                     lambda: cluster.trial(trial_id).get("attempt") == 2 and
                     cluster.trial(trial_id)["state"] == "TRIAL_STATE_RUNNING")
            print(f"the gang was gone after {gone_after:.1f} s and trains again after "
                  f"{time.monotonic() - killed:.1f} s")
            result = cluster.wait_for_sweep(sweep_id)
            trial = result["trials"][0]
            self.assertEqual(trial["state"], "TRIAL_STATE_SUCCEEDED", trial)
            self.assertEqual(trial["attempt"], 2)
            self.assertEqual(trial["epochsDone"], EPOCHS)
            resumed = [int(match.group(1)) for line in cluster.logs(trial_id)
                       if (match := re.match(r"resumed from the checkpoint of epoch (\d+)", line))]
            self.assertEqual(len(resumed), 2, "both ranks say where they go on from")
            self.assertEqual(len(set(resumed)), 1)
            self.assertGreaterEqual(resumed[0], int(before["latestCheckpoint"]["epoch"]))


class KilledAgentTest(unittest.TestCase):
    def test_lease_notices_and_trial_ends_after_the_worker_returns(self):
        with Cluster(lease="2s") as cluster:
            cluster.start()
            cluster.add_dataset()
            sweep_id = cluster.submit(epochs=EPOCHS)
            trial_id = f"{sweep_id}-0"
            cluster.wait_for_checkpoint(trial_id)
            orphan, = cluster.trainers("worker-1")
            agent = cluster.workers["worker-1"]
            cluster.kill(agent.pid)
            agent.wait()
            wait_for("the trainer dies with its agent", lambda: not is_alive(orphan), seconds=5)

            def lost():
                nodes = {node["id"]: node for node in cluster.get("nodes")["nodes"]}
                slots = nodes["worker-1"]["slots"]
                return all(slot["state"] == "SLOT_STATE_LOST" for slot in slots)
            wait_for("the lease runs out", lost, seconds=20)
            wait_for("the trial waits for two slots",
                     lambda: cluster.trial(trial_id)["state"] == "TRIAL_STATE_QUEUED", seconds=20)
            cluster.start_worker("worker-1")
            result = cluster.wait_for_sweep(sweep_id)
            trial = result["trials"][0]
            self.assertEqual(trial["state"], "TRIAL_STATE_SUCCEEDED", trial)
            self.assertEqual(trial["attempt"], 2)
            self.assertTrue(any(line.startswith("resumed from") for line in cluster.logs(trial_id)))


class KilledCoordinatorTest(unittest.TestCase):
    def test_trainers_go_on_and_no_acknowledged_report_is_lost(self):
        with Cluster(lease="4s") as cluster:
            cluster.start()
            cluster.add_dataset()
            sweep_id = cluster.submit(trials=2, epochs=EPOCHS)
            first = f"{sweep_id}-0"
            cluster.wait_for_checkpoint(first)
            pids = {name: cluster.trainers(name) for name in cluster.workers}
            before = cluster.get(f"trials/{first}/metrics")["points"]
            cluster.kill(cluster.coordinator.pid)
            cluster.coordinator.wait()
            # They train on alone: rank 0 writes a further checkpoint meanwhile.
            for name, trainers in pids.items():
                for pid in trainers:
                    self.assertTrue(is_alive(pid), f"{name}'s trainer ended with the coordinator")
            cluster.start_coordinator()
            cluster.wait_for_workers()
            self.assertEqual({name: cluster.trainers(name) for name in cluster.workers}, pids)
            result = cluster.wait_for_sweep(sweep_id)
            self.assertEqual(result["sweep"]["state"], "SWEEP_STATE_SUCCEEDED")
            for trial in result["trials"]:
                # No trial ran twice to success, or even started again.
                self.assertEqual(trial["attempt"], 1, trial)
                points = cluster.get(f"trials/{trial['id']}/metrics")["points"]
                reported = epochs_by_metric(points)
                self.assertEqual(reported["val/accuracy"], list(range(1, EPOCHS + 1)))
            after = cluster.get(f"trials/{first}/metrics")["points"]
            for point in before:
                self.assertIn(point, after)
            # The same processes did the whole sweep.
            self.assertEqual({name: cluster.trainers(name) for name in cluster.workers}, pids)
            for name in cluster.workers:
                log = (cluster.dir / f"{name}.log").read_text()
                self.assertEqual(log.count("is free of"), 2, log)


class StoppedWorkerTest(unittest.TestCase):
    def test_sigterm_ends_trainers_and_hands_the_trial_back(self):
        with Cluster() as cluster:
            cluster.start()
            cluster.add_dataset()
            sweep_id = cluster.submit(epochs=EPOCHS)
            trial_id = f"{sweep_id}-0"
            cluster.wait_for_checkpoint(trial_id)
            trainers = cluster.trainers("worker-1")
            agent = cluster.workers["worker-1"]
            agent.send_signal(signal.SIGTERM)
            self.assertEqual(agent.wait(timeout=10), 0)
            for pid in trainers:
                self.assertFalse(is_alive(pid))
            cluster.start_worker("worker-1")
            trial = cluster.wait_for_sweep(sweep_id)["trials"][0]
            self.assertEqual(trial["state"], "TRIAL_STATE_SUCCEEDED", trial)
            self.assertEqual(trial["attempt"], 2)


class RefusedWorkerTest(unittest.TestCase):
    def test_worker_of_another_protocol_is_told_which_side_to_upgrade(self):
        with Cluster() as cluster:
            cluster.start_coordinator()
            result = subprocess.run(
                [BIN.parent / "tests" / "next_version_worker", "--coordinator", cluster.grpc,
                 "--name", "next", "--dir", cluster.dir / "next", "--accelerator", "cpu",
                 "--trainer", BIN / "mead-trainer"],
                capture_output=True, text=True, timeout=60)
            self.assertEqual(result.returncode, 2, result.stderr)
            self.assertIn("speaks protocol 3", result.stderr)
            self.assertIn("upgrade the coordinator", result.stderr)

    def test_older_process_of_a_name_gives_way_to_the_newer(self):
        with Cluster() as cluster:
            cluster.start(workers=1)
            older = cluster.workers["worker-1"]
            # The same name from another folder, as a pod that moved would come.
            newer = cluster._start("newer", BIN / "mead-worker", "--coordinator", cluster.grpc,
                                   "--name", "worker-1", "--dir", cluster.dir / "newer",
                                   "--accelerator", "cpu")
            cluster.workers["newer"] = newer
            self.assertEqual(older.wait(timeout=30), 2)
            self.assertIn("give this one another --name",
                          (cluster.dir / "worker-1.log").read_text())
            self.assertIsNone(newer.poll())


def ip(*arguments, netns=None):
    inside = ["nsenter", f"--net=/proc/{netns}/ns/net"] if netns else []
    subprocess.run([*inside, "ip", *arguments], check=True, capture_output=True, text=True)


class Hosts:
    """Hosts as network namespaces on one bridge; the test itself is at 10.77.0.1.

    Each namespace lives as long as a process in it, rather than by `ip netns`, which
    mounts and so does not work in a chroot.
    """

    def __init__(self, names):
        self.names = names
        self.bridge = "meadbr0"
        self.holders = []

    def __enter__(self):
        self.__exit__()
        try:
            ip("link", "add", self.bridge, "type", "bridge")
            ip("addr", "add", "10.77.0.1/24", "dev", self.bridge)
            ip("link", "set", self.bridge, "up")
            for i in range(len(self.names)):
                self._add(i)
        except subprocess.CalledProcessError as error:
            self.__exit__()
            raise unittest.SkipTest(f"SKIPPED: no network namespaces here: {error.stderr}")
        return self

    def _add(self, i):
        # Says a word once it is inside.
        holder = subprocess.Popen(["unshare", "--net", "sh", "-c", "echo in; exec sleep 3600"],
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.holders.append(holder)
        if holder.stdout.readline() != "in\n":
            raise subprocess.CalledProcessError(1, "unshare", stderr=holder.stderr.read())
        pid = str(holder.pid)
        ip("link", "add", f"mead{i}", "type", "veth", "peer", "name", "eth0", "netns", pid)
        ip("link", "set", f"mead{i}", "master", self.bridge, "up")
        ip("addr", "add", f"10.77.0.{i + 2}/24", "dev", "eth0", netns=pid)
        ip("link", "set", "eth0", "up", netns=pid)
        ip("link", "set", "lo", "up", netns=pid)

    def __exit__(self, *_):
        for holder in self.holders:
            holder.kill()
            holder.communicate()
        self.holders = []
        subprocess.run(["ip", "link", "del", self.bridge], capture_output=True)

    def prefix(self, name):
        """What runs a command on a host."""
        pid = self.holders[self.names.index(name)].pid
        return ["nsenter", f"--net=/proc/{pid}/ns/net"]

    def unplug(self, name):
        ip("link", "set", f"mead{self.names.index(name)}", "down")

    def plug(self, name):
        ip("link", "set", f"mead{self.names.index(name)}", "up")


@unittest.skipUnless(os.geteuid() == 0 and shutil.which("ip"),
                     "SKIPPED: network namespaces need root and iproute2")
class SeveralHostsTest(unittest.TestCase):
    def test_gang_across_hosts_survives_an_unplugged_one(self):
        hosts = ["mead-host-1", "mead-host-2"]
        with Hosts(hosts) as network, Cluster(lease="2s") as cluster:
            cluster.grpc = "10.77.0.1:0"
            cluster.start_coordinator()
            for host in hosts:
                # No --address: the agent finds the one that faces the coordinator.
                cluster.start_worker(host, prefix=network.prefix(host))
            cluster.wait_for_workers()
            nodes = {node["id"]: node for node in cluster.get("nodes")["nodes"]}
            self.assertEqual(nodes[hosts[1]]["address"].split(":")[0], "10.77.0.3")
            cluster.add_dataset()
            sweep_id = cluster.submit(epochs=EPOCHS)
            trial_id = f"{sweep_id}-0"
            cluster.wait_for_checkpoint(trial_id)
            network.unplug(hosts[1])
            wait_for("the lease of the unplugged host runs out",
                     lambda: cluster.trial(trial_id)["state"] != "TRIAL_STATE_RUNNING", seconds=30)
            network.plug(hosts[1])
            trial = cluster.wait_for_sweep(sweep_id)["trials"][0]
            self.assertEqual(trial["state"], "TRIAL_STATE_SUCCEEDED", trial)
            self.assertGreaterEqual(trial["attempt"], 2)
            for name, worker in cluster.workers.items():
                self.assertIsNone(worker.poll(), f"{name} must live through a partition")


if __name__ == "__main__":
    unittest.main(verbosity=2)
