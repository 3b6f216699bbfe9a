"""Python packages of a peer, installed once per pinned list, by pip, into a folder of their own."""

import hashlib
import os
import pathlib
import shutil
import subprocess
import sys


def install(python: str, requirements: pathlib.Path,
            environment: dict[str, str] | None = None) -> pathlib.Path:
    """The folder that holds what `requirements` lists, for PYTHONPATH; installs it if it is missing.

    Raises RuntimeError with pip's last lines if it cannot.
    """
    digest = hashlib.sha256(requirements.read_bytes()).hexdigest()[:12]
    cache = pathlib.Path(os.environ.get("MEAD_CACHE") or pathlib.Path(
        os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "mead")
    folder = cache / f"bench-{requirements.stem}-{digest}"
    if (folder / ".complete").exists():
        return folder
    print(f"installing {requirements.stem} into {folder}", file=sys.stderr)
    shutil.rmtree(folder, ignore_errors=True)
    done = subprocess.run(
        [python, "-m", "pip", "install", "--disable-pip-version-check", "--no-cache-dir",
         "--no-deps", "--target", str(folder), "-r", str(requirements)],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        env={**os.environ, **(environment or {})})
    if done.returncode != 0:
        errors = [line for line in done.stdout.splitlines() if "rror" in line] or [done.stdout]
        raise RuntimeError("\n".join(errors[-5:]))
    (folder / ".complete").touch()
    return folder
