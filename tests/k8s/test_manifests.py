"""Renders every kustomization and validates each object against Kubernetes' schemas.

Then checks what a schema cannot: that flags exist in the programs' --help, that
selectors find their pods, that GPU workers ask for a GPU and tolerate its taint.

Usage: test_manifests.py KUBECTL K8S_FOLDER [BIN_FOLDER]
"""

import pathlib
import re
import subprocess
import sys

import kubernetes_validate
import yaml

KUBERNETES_VERSION = "1.29"


def render(kubectl: str, folder: pathlib.Path) -> list[dict]:
    run = subprocess.run([kubectl, "kustomize", str(folder)], capture_output=True, text=True)
    assert run.returncode == 0, f"kubectl kustomize {folder}: {run.stderr}"
    return [o for o in yaml.safe_load_all(run.stdout) if o]


def check_workload(workload: dict) -> None:
    name = workload["metadata"]["name"]
    spec = workload["spec"]
    pod = spec["template"]["spec"]
    labels = spec["template"]["metadata"]["labels"]
    for key, value in spec["selector"]["matchLabels"].items():
        assert labels.get(key) == value, f"{name}: selector {key}={value} finds no pod"
    assert pod["terminationGracePeriodSeconds"] >= 30, f"{name}: no time to end in"
    volumes = {v["name"] for v in pod.get("volumes", [])}
    volumes |= {c["metadata"]["name"] for c in spec.get("volumeClaimTemplates", [])}
    for container in pod["containers"]:
        for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
            assert probe in container, f"{name}: no {probe}"
        for mount in container["volumeMounts"]:
            assert mount["name"] in volumes, f"{name}: no volume {mount['name']}"
        assert container["securityContext"]["allowPrivilegeEscalation"] is False, name


def flags_of(container: dict) -> dict[str, set[str]]:
    """Program -> flags that the container's command lines give it."""
    flags: dict[str, set[str]] = {}
    lines = [container["args"]]
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        if "exec" in container[probe]:
            lines.append(container[probe]["exec"]["command"])
    for line in lines:
        used = flags.setdefault(line[0], set())
        used |= {re.match(r"--[a-z-]+", word).group(0) for word in line[1:] if word.startswith("--")}
    return flags


def check_flags(container: dict, bin_folder: pathlib.Path) -> None:
    for program, flags in flags_of(container).items():
        text = subprocess.run([bin_folder / program, "--help"], capture_output=True, text=True,
                              check=True).stdout
        for flag in flags:
            assert re.search(re.escape(flag) + r"\b", text), f"{program} --help has no {flag}"


def main() -> None:
    kubectl, k8s = sys.argv[1], pathlib.Path(sys.argv[2])
    bin_folder = pathlib.Path(sys.argv[3]) if len(sys.argv) > 3 else None
    folders = [p.parent for p in sorted(k8s.rglob("kustomization.yaml"))]
    assert folders, f"no kustomization under {k8s}"
    for folder in folders:
        objects = render(kubectl, folder)
        for item in objects:
            kubernetes_validate.validate(item, KUBERNETES_VERSION, strict=True)
        workloads = [o for o in objects if o["kind"] == "StatefulSet"]
        names = {w["metadata"]["name"] for w in workloads}
        assert names == {"mead-coordinator", "mead-worker"}, names
        for workload in workloads:
            check_workload(workload)
            if bin_folder:
                check_flags(workload["spec"]["template"]["spec"]["containers"][0], bin_folder)
        services = {o["metadata"]["name"]: o for o in objects if o["kind"] == "Service"}
        for workload in workloads:
            assert workload["spec"]["serviceName"] in services
        worker = next(w for w in workloads if w["metadata"]["name"] == "mead-worker")
        pod = worker["spec"]["template"]["spec"]
        container = pod["containers"][0]
        gpu = "--accelerator=gpu" in container["args"]
        assert gpu == ("nvidia.com/gpu" in container["resources"].get("limits", {})), folder
        if gpu:
            assert any(t["key"] == "nvidia.com/gpu" for t in pod["tolerations"]), folder
        coordinator = next(a for a in container["args"] if a.startswith("--coordinator="))
        assert coordinator.split("=")[1].split(":")[0] in services, coordinator
        print(f"{folder}: {len(objects)} objects valid")


if __name__ == "__main__":
    main()
