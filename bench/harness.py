"""What the benches share: the processes of both sides, rounds, the machine, the results.

A side is one or more processes. Each is started with a command line and driven over its standard
input and output, line by line:

    it prints   store ADDRESS   rank 0 of a gang, before it waits for the others, who get ADDRESS
                KEY VALUE       any other fact, e.g. "images 1000"
                ready           it is warm and waits for orders
    we write    N               do N steps (or epochs); it answers with the seconds they took
                memory          it answers with the bytes of its peak: resident since it was ready
                                on a CPU, allocated since its start on a GPU
                anything else   one line of answer, e.g. JSON
    we close its input, and it ends.

Lines that oneDNN prints when ONEDNN_VERBOSE is set are collected aside.

Rounds alternate, and every other round starts with the other side, so that what drifts (clocks,
heat, other users) meets all sides alike. A ratio is the median of the rounds' ratios.
"""

import argparse
import datetime
import json
import os
import pathlib
import platform
import re
import shlex
import statistics
import subprocess
import sys
from collections.abc import Callable

ROOT = pathlib.Path(__file__).resolve().parent.parent
RESULTS = ROOT / "bench" / "results"


def output_of(*command: str, environment: dict[str, str] | None = None) -> str:
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, cwd=ROOT,
                          env=environment).stdout.strip()


def output_or_none(*command: str) -> str | None:
    """None where the command is missing or fails."""
    try:
        return subprocess.run(command, check=True, stdout=subprocess.PIPE,
                              stderr=subprocess.DEVNULL, text=True, cwd=ROOT).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None


# --- The command line ----------------------------------------------------------------------------

def parser(description: str | None) -> argparse.ArgumentParser:
    """A parser with the options of every bench."""
    made = argparse.ArgumentParser(description=description,
                                   formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--quick", action="store_true",
                      help="a first look within 5 minutes; writes results only with --results")
    made.add_argument("--build", default=str(ROOT / "build" / "release"), metavar="DIR",
                      help="where the build lies (build/release)")
    made.add_argument("--python",
                      help="an interpreter with torch and torchvision (scripts/bootstrap's)")
    made.add_argument("--results", metavar="DIR", help="where to write (bench/results)")
    made.add_argument("--label", default="", help="told apart by this in the results' file name")
    return made


def program(build: str, name: str) -> str:
    """The path of a program of ours; ends with the way to build it if it is not there."""
    path = pathlib.Path(build).resolve() / "bench" / name
    if not path.exists():
        sys.exit(f"{path} is not built: ninja -C {build} {name}")
    return str(path)


class Python:
    """The interpreter that runs the peers, and the environment of every side."""

    def __init__(self, named: str | None):
        self.environment = dict(os.environ)
        if named:
            self.path = named
        else:
            toolchain = pathlib.Path(output_of("scripts/bootstrap", "--print-toolchain"))
            self.path = str(toolchain / "bin" / "python")
            if not (toolchain / ".complete").exists():
                sys.exit("No PyTorch here: run scripts/bootstrap --tests, or name an interpreter "
                         "that has torch and torchvision with --python")
            tests = output_of("scripts/bootstrap", "--print-tests")
            before = self.environment.get("PYTHONPATH")
            self.environment["PYTHONPATH"] = f"{tests}:{before}" if before else tests

    def evaluate(self, program_text: str) -> str:
        return output_of(self.path, "-c", program_text, environment=self.environment)

    def with_threads(self, threads: int) -> dict[str, str]:
        """The environment of a process that may use this many cores."""
        return {**self.environment, "OMP_NUM_THREADS": str(threads)}


# --- Sides ---------------------------------------------------------------------------------------

class SideEnded(SystemExit):
    """A process ended before its time; uncaught, it ends the bench with its message."""


class Process:
    """One process of a side; it runs only when told to."""

    def __init__(self, command: list[str], environment: dict[str, str]):
        self.facts: dict[str, str] = {}
        self.verbose: list[str] = []  # oneDNN's lines
        self.popen = subprocess.Popen(command, text=True, stdin=subprocess.PIPE,
                                      stdout=subprocess.PIPE, env=environment)

    def line(self) -> str:
        assert self.popen.stdout
        while True:
            line = self.popen.stdout.readline()
            if not line:
                raise SideEnded(f"{shlex.join(map(str, self.popen.args))} ended early, "
                                f"status {self.popen.wait()}")
            if not line.startswith(("onednn_verbose", "dnnl_verbose")):
                return line.strip()
            self.verbose.append(line.strip())

    def wait_for(self, word: str) -> None:
        """Takes up facts until the line that begins with `word`."""
        while True:
            key, _, value = self.line().partition(" ")
            self.facts[key] = value
            if key == word:
                return

    def tell(self, order: str) -> None:
        assert self.popen.stdin
        self.popen.stdin.write(f"{order}\n")
        self.popen.stdin.flush()

    def end(self) -> None:
        assert self.popen.stdin
        try:
            self.popen.stdin.close()
            self.popen.wait(60)
        except (OSError, subprocess.TimeoutExpired):
            self.popen.terminate()  # it may have processes of its own to end
            try:
                self.popen.wait(60)
            except subprocess.TimeoutExpired:
                self.popen.kill()


class Side:
    """The processes of one side: the ranks of a gang, or independent ones that run together.

    command_line: (index, store) -> the command line of one process. In a gang `store` is "serve"
      for the first and the address that it printed for the others; else it is "-".
    """

    def __init__(self, command_line: Callable[[int, str], list[str]],
                 environment: dict[str, str], processes: int = 1, gang: bool = False):
        self.processes: list[Process] = []
        store = "serve" if gang else "-"
        for index in range(processes):
            process = Process(command_line(index, store), environment)
            self.processes.append(process)
            if gang and index == 0:
                process.wait_for("store")
                store = process.facts["store"]
        for process in self.processes:
            process.wait_for("ready")

    @property
    def facts(self) -> dict[str, str]:
        return self.processes[0].facts

    def ask(self, order: str) -> list[str]:
        """Gives the order to all, then waits for all answers."""
        for process in self.processes:
            process.tell(order)
        return [process.line() for process in self.processes]

    def seconds(self, amount: int) -> float:
        """Of the slowest."""
        return max(map(float, self.ask(str(amount))))

    def memory_bytes(self) -> int:
        """Of all together."""
        return sum(map(int, self.ask("memory")))

    def end(self) -> None:
        for process in self.processes:
            process.end()


def alternate(sides: dict[str, Side], rounds: int, amount: int) -> dict[str, list[float]]:
    """Seconds of each side, round by round."""
    times: dict[str, list[float]] = {name: [] for name in sides}
    for turn in range(rounds):
        order = list(sides) if turn % 2 == 0 else list(sides)[::-1]
        for name in order:
            times[name].append(sides[name].seconds(amount))
    return times


def ratios_of(ours: list[float], theirs: list[float]) -> list[float]:
    """Seconds of both, round by round -> how many times as fast we are, round by round."""
    return [t / o for o, t in zip(ours, theirs, strict=True)]


# --- The machine ---------------------------------------------------------------------------------

# (vendor, family) -> (first model, name), ascending.
GENERATIONS = {
    ("AuthenticAMD", 23): [(0, "zen"), (0x30, "zen2")],
    ("AuthenticAMD", 25): [(0, "zen3"), (0x10, "zen4"), (0x20, "zen3"), (0x60, "zen4"),
                           (0x80, "zen4"), (0xA0, "zen4c")],
    ("AuthenticAMD", 26): [(0, "zen5")],
    ("GenuineIntel", 6): [(79, "broadwell"), (80, ""), (85, "skylake"), (86, ""),
                          (106, "ice-lake"), (107, ""), (143, "sapphire-rapids"), (144, ""),
                          (173, "granite-rapids"), (175, ""), (207, "emerald-rapids"), (208, "")],
}
ISA_FLAGS = ("amx_bf16", "avx512_bf16", "avx512f", "avx2")  # widest first


def slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def cpu_facts() -> dict[str, str]:
    """The first processor's entry of /proc/cpuinfo; empty where there is none."""
    try:
        text = pathlib.Path("/proc/cpuinfo").read_text().split("\n\n")[0]
    except OSError:
        return {}
    pairs = (line.partition(":") for line in text.splitlines())
    return {key.strip(): value.strip() for key, _, value in pairs}


def cpu_name(facts: dict[str, str], cores: int) -> str:
    """Such as epyc-zen4-2c."""
    model = facts.get("model name", platform.machine())
    line = next((word for word in ("epyc", "ryzen", "threadripper", "xeon", "core")
                 if word in model.lower()), None)
    if line is None:
        return f"{slug(model)}-{cores}c"
    key = (facts.get("vendor_id", ""), int(facts.get("cpu family", "0")))
    generation = ""
    for first, name in GENERATIONS.get(key, []):
        if int(facts.get("model", "0")) >= first:
            generation = name
    return "-".join(part for part in (line, generation, f"{cores}c") if part)


def gpu_name(full: str) -> str:
    """NVIDIA H200 -> h200; NVIDIA A100-SXM4-80GB -> a100."""
    words = re.split(r"[\s-]+", full.removeprefix("NVIDIA "))
    return slug(next((word for word in words if re.search(r"\d", word)), full))


def commit() -> tuple[str, bool | None]:
    """Of this tree, and whether it has changes (results aside); from MEAD_COMMIT without git."""
    head = output_or_none("git", "rev-parse", "HEAD")
    changes = output_or_none("git", "status", "--porcelain", "--", ".", ":!bench/results")
    if head is None or os.environ.get("MEAD_COMMIT"):
        return os.environ.get("MEAD_COMMIT", "unknown"), None
    return head, None if changes is None else bool(changes)


def machine(python: Python, device: str = "cpu") -> dict[str, object]:
    """What the figures depend on. Call it before the sides start: it takes the load average."""
    facts = cpu_facts()
    cores = len(os.sched_getaffinity(0))
    load = os.getloadavg()[0]
    flags = set(facts.get("flags", "").split())
    packages = ("import importlib.util as u, json, torch; "
                "v = {'torch': torch.__version__}; "
                "v.update({'torchvision': __import__('torchvision').__version__} "
                "if u.find_spec('torchvision') else {}); ")
    gpu = device.startswith("cuda")
    if gpu:
        packages += (f"v['gpu'] = torch.cuda.get_device_name({device!r}); "
                     "v['cuda'] = torch.version.cuda; "
                     "v['cudnn'] = torch.backends.cudnn.version(); ")
    versions = json.loads(python.evaluate(packages + "print(json.dumps(v))").splitlines()[-1])
    head, dirty = commit()
    found: dict[str, object] = {
        "name": gpu_name(versions["gpu"]) if gpu else cpu_name(facts, cores),
        "cpu": facts.get("model name", platform.machine()),
        "cores": cores,
        "isa": [flag for flag in ISA_FLAGS if flag in flags],
        "kernel": platform.release(),
        **versions,
        "commit": head,
        "dirty": dirty,
        "load_before": round(load, 2),
        "date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%MZ"),
    }
    if gpu:
        found["driver"] = output_or_none("nvidia-smi", "--query-gpu=driver_version",
                                         "--format=csv,noheader")
    if load > 0.5:
        print(f"warning: a load of {load:.1f} before the start: others use this machine, and the "
              "figures will not be steady", file=sys.stderr)
    return found


# --- Results -------------------------------------------------------------------------------------

def command_line() -> str:
    """This run's, without the machine's own paths."""
    command = shlex.join(["bench/" + pathlib.Path(sys.argv[0]).name, *sys.argv[1:]])
    for folder, name in ((str(ROOT) + "/", ""), (str(pathlib.Path.home()), "~")):
        command = command.replace(folder, name)
    return command


def finish(options: argparse.Namespace, name: str, on: dict[str, object],
           body: dict[str, object], ratios: dict[str, list[float]], text: str = "") -> None:
    """Writes NAME-MACHINE[-LABEL].json, and text beside it, and prints the ratios, last.

    ratios: name -> the rounds' ratios; higher is better for us.
    """
    middle = {key: statistics.median(values) for key, values in ratios.items()}
    if not options.quick or options.results:
        folder = pathlib.Path(options.results) if options.results else RESULTS
        folder.mkdir(parents=True, exist_ok=True)
        label = f"-{options.label}" if options.label else ""
        path = folder / f"{name}-{on['name']}{label}.json"
        path.write_text(json.dumps({
            "bench": name, "label": options.label, "quick": options.quick,
            "command": command_line(), "machine": on, **body,
            "ratios": {key: {"median": round(middle[key], 4),
                             "rounds": [round(value, 4) for value in values]}
                       for key, values in ratios.items()}}, indent=1) + "\n")
        if text:
            path.with_suffix(".txt").write_text(text)
        print(f"results: {path}")
    for key, value in middle.items():
        print(f"ratio {key} {value:.3f}")
