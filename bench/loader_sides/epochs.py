"""What the Python sides of bench/loader have in common: epochs on demand, timed.

The protocol: bench/harness.py.
"""

import sys
import time
from collections.abc import Callable


def answer(images: int, epoch: Callable[[], None]) -> None:
    """Runs one epoch to be warm, then as many as each line on standard input says.

    images: of an epoch.
    """
    epoch()
    print(f"images {images}\nready", flush=True)
    for line in sys.stdin:
        start = time.perf_counter()
        for _ in range(int(line)):
            epoch()
        print(time.perf_counter() - start, flush=True)


def through(loader) -> Callable[[], None]:
    """An epoch of a loader that is iterated."""
    def epoch() -> None:
        for _ in loader:
            pass
    return epoch
