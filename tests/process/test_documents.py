"""What the documents tell a newcomer to type is taken by the programs.

Usage: test_documents.py SOURCE_FOLDER
"""

import pathlib
import re
import subprocess
import sys

from cluster import BIN, Cluster


def sweep_files(source, scratch):
    """The example files, and the sweep file that README.md shows."""
    yield from sorted((source / "examples").glob("*.yaml"))
    blocks = re.findall(r"```yaml\n(.*?)```", (source / "README.md").read_text(), re.S)
    assert blocks, "README.md shows no sweep file"
    for i, block in enumerate(blocks):
        path = scratch / f"readme-{i}.yaml"
        path.write_text(block)
        # Named there as a file beside the sweep file; a dry run only looks whether it is there.
        (scratch / "imagenet.safetensors").touch()
        yield path


def main():
    source = pathlib.Path(sys.argv[1])
    with Cluster() as cluster:
        cluster.start_coordinator()
        for name in ("demo", "kvasir-v2"):
            cluster.mead("dataset", "synth", name, "--images-per-class", 3, "--size", 64)
        for path in sweep_files(source, cluster.dir):
            cluster.mead("submit", path, "--dry-run", "--wait-for-resources")
            print(f"{path.name}: accepted")
    text = (source / "README.md").read_text() + (source / "scripts" / "demo").read_text()
    commands = set(re.findall(r"\bmead ((?:local|dataset|nodes|context) [a-z]+|[a-z]+(?:-[a-z]+)*)\b", text))
    commands -= {"is", "from", "trains", "was"}
    checked = 0
    for command in sorted(commands):
        done = subprocess.run([BIN / "mead", *command.split(), "--help"], capture_output=True,
                              text=True)
        if done.returncode == 0:
            checked += 1
        else:
            assert f"`mead {command}" not in text and f"\nmead {command}" not in text, command
    assert checked >= 8, commands
    print(f"{checked} commands exist")


if __name__ == "__main__":
    main()
