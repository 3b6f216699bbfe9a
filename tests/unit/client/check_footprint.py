"""Checks that a program is light: no LibTorch in it, and little memory at its peak.

usage: check_footprint.py PROGRAM [ARGUMENT...]

The start-up time is printed, not judged: it depends on what else the machine does.
"""

import resource
import subprocess
import sys
import time

MAX_RSS_KIB = 60 * 1024

libraries = subprocess.run(["ldd", sys.argv[1]], check=True, capture_output=True, text=True).stdout
for heavy in ("libtorch", "libc10", "libcuda", "libopencv_imgcodecs"):
    if heavy in libraries:
        sys.exit(f"{sys.argv[1]} loads {heavy}:\n{libraries}")

times = []
for _ in range(5):
    start = time.perf_counter()
    subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
    times.append(time.perf_counter() - start)
peak_kib = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
print(f"start to end: {1000 * min(times):.0f} ms at best, peak memory {peak_kib / 1024:.1f} MiB")
if peak_kib > MAX_RSS_KIB:
    sys.exit(f"{sys.argv[1]} held {peak_kib} KiB, more than {MAX_RSS_KIB}")
