"""Checks that no folder includes what the architecture does not allow it.

The arrows are those of ARCHITECTURE.md ("Who may include whom"). Linking enforces
them for symbols; this enforces them for headers, which need no symbol.
"""

import pathlib
import re
import sys

# What every room of worker/train may use of the hall.
TRAIN_BASE = {"common/base", "worker/train/config.h", "worker/train/errors.h",
              "worker/train/simd", "worker/train/tensors.h"}

# folder -> folders, or single headers of them, whose headers it may include (itself always).
ALLOWED = {
    "common/base": set(),
    "common/augment": {"common/base"},
    "common": {"common/base"},
    "common/dataset": {"common", "common/base"},
    "common/results": {"common", "common/base"},
    "coordinator/core": {"common/base"},
    "coordinator/store": {"coordinator/core", "common", "common/base", "proto"},
    "coordinator/service": {"coordinator/core", "coordinator/store", "common", "common/base",
                            "common/dataset", "proto"},
    "coordinator/web": {"coordinator/service", "coordinator/core", "coordinator/store", "common",
                        "common/base", "proto"},
    "coordinator": {"coordinator/core", "coordinator/store", "coordinator/service",
                    "coordinator/web", "common", "common/base", "proto"},
    "client": {"common", "common/augment", "common/base", "common/dataset", "common/results",
               "proto"},
    "worker/agent": {"common", "common/base", "proto"},
    "worker/data": {"common/augment", "common/dataset", "common", "common/base"},
    # The step knows its rooms; the rooms know nothing of one another.
    "worker/train": {"worker/train/comm", "worker/train/graph", "worker/train/input", "worker/train/memory",
                     "worker/train/model", "worker/train/ops", "worker/train/optim", "worker/train/state",
                     "common/augment", "common/base"},
    "worker/train/comm": TRAIN_BASE,
    "worker/train/graph": TRAIN_BASE,
    "worker/train/input": TRAIN_BASE | {"common/augment"},
    "worker/train/memory": TRAIN_BASE,
    "worker/train/model": TRAIN_BASE | {"worker/train/ops"},
    "worker/train/ops": TRAIN_BASE,
    "worker/train/optim": TRAIN_BASE,
    "worker/train/simd": set(),
    "worker/train/state": TRAIN_BASE,
    "worker/trainer": {"worker/train", "worker/train/comm", "worker/data", "common/augment", "common/dataset",
                       "common/results", "common", "common/base", "proto"},
}
TRAIN = {folder for folder in ALLOWED if folder.split("/")[:2] == ["worker", "train"]}
# Libraries that only these folders may see, by header prefix.
EXTERNAL = {
    "torch/": TRAIN,
    "ATen/": TRAIN,
    "c10/": TRAIN,
    "nccl.h": TRAIN,
    "opencv2/": {"worker/data"},
    "sqlite3.h": {"coordinator/store"},
    "httplib.h": {"coordinator/web"},
    "prometheus/": {"coordinator/web"},
    "yaml-cpp/": {"client"},
    "grpcpp/": {"common", "coordinator/service", "coordinator", "client", "worker/agent",
                "worker/trainer"},
    "absl/": set(ALLOWED) - {"common/base", "common/augment", "coordinator/core"} - TRAIN,
}
# The core is pure: not even these of the standard library.
IMPURE = {"chrono", "thread", "mutex", "random", "fstream", "iostream", "filesystem", "atomic",
          "condition_variable", "ctime"}
INCLUDE = re.compile(r'^\s*#\s*include\s+(["<])([^">]+)[">]', re.M)


def folder_of(path: str) -> str | None:
    """The longest known folder that holds the path."""
    parts = path.split("/")
    for end in range(len(parts) - 1, 0, -1):
        if "/".join(parts[:end]) in ALLOWED:
            return "/".join(parts[:end])
    return None


def main() -> int:
    root = pathlib.Path(sys.argv[1])
    errors = []
    files = 0
    for top in ("common", "coordinator", "worker", "client"):
        for path in sorted((root / top).rglob("*")):
            if path.suffix not in (".h", ".cc", ".cu", ".cuh"):
                continue
            files += 1
            name = path.relative_to(root).as_posix()
            mine = folder_of(name)
            if mine is None:
                errors.append(f"{name}: lies in no folder of the architecture")
                continue
            for _, header in INCLUDE.findall(path.read_text()):
                theirs = "proto" if header.startswith("mead/v1/") else folder_of(header)
                allowed_here = ALLOWED[mine] | {mine}
                if theirs and theirs not in allowed_here and header not in allowed_here:
                    errors.append(f"{name}: {mine} may not include {header} of {theirs}")
                for prefix, allowed in EXTERNAL.items():
                    if header.startswith(prefix) and mine not in allowed:
                        errors.append(f"{name}: {mine} may not include {header}")
                if mine == "coordinator/core" and header in IMPURE:
                    errors.append(f"{name}: the core is pure and may not include <{header}>")
    print(f"{files} files checked")
    for error in errors:
        print(error)
    return 1 if errors or files == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
