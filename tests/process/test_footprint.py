"""What the programs load and hold: no LibTorch outside the trainer, quick starts, little memory.

Start-up is measured as processor time, which another process's load does not change much.
"""

import os
import pathlib
import resource
import subprocess
import unittest

from cluster import BIN, Cluster

START_LIMIT_S = 0.1
MEMORY_LIMIT_MB = 60


def resident_mb(pid):
    """Peak resident memory of a running process."""
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    raise AssertionError(f"{pid} has no VmHWM")


class Footprint(unittest.TestCase):
    def test_only_the_trainer_loads_libtorch(self):
        for program in ("mead", "mead-coordinator", "mead-worker", "mead-trainer"):
            libraries = subprocess.run(["ldd", BIN / program], capture_output=True, text=True,
                                       check=True).stdout
            self.assertEqual("libtorch" in libraries, program == "mead-trainer", program)
            self.assertEqual("libnccl" in libraries, program == "mead-trainer", program)
            self.assertNotIn("not found", libraries)
            self.assertNotIn("opencv_imgcodecs", libraries)

    def test_client_starts_quickly_and_holds_little(self):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        runs = 5
        for _ in range(runs):
            subprocess.run([BIN / "mead", "version"], capture_output=True, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        self.assertLess(spent / runs, START_LIMIT_S)
        with Cluster() as cluster:
            cluster.start(workers=1)
            peak = subprocess.run(["/usr/bin/env", "python3", "-c", """
import resource, subprocess, sys
subprocess.run(sys.argv[1:], check=True, capture_output=True)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024)
""", BIN / "mead", "--server", cluster.grpc, "status"], capture_output=True, text=True, check=True)
            self.assertLess(float(peak.stdout), MEMORY_LIMIT_MB)

    def test_coordinator_starts_quickly_and_holds_little(self):
        with Cluster() as cluster:
            cluster.start_coordinator()
            fields = pathlib.Path(f"/proc/{cluster.coordinator.pid}/stat").read_text()
            ticks = fields.rsplit(")", 1)[1].split()
            spent = (int(ticks[11]) + int(ticks[12])) / os.sysconf("SC_CLK_TCK")
            self.assertLess(spent, START_LIMIT_S)
            cluster.start_worker("worker-1")
            cluster.wait_for_workers()
            cluster.add_dataset(images_per_class=4)
            cluster.mead("status")
            self.assertLess(resident_mb(cluster.coordinator.pid), MEMORY_LIMIT_MB)


if __name__ == "__main__":
    unittest.main(verbosity=2)
