"""One rank of the Python peer: torch's training step at its best.

Driven by bench/train_step, and by bench/step_profile with an order "profile N" that is answered as
step_profile_sides/ours.cc answers it.

peer.py MODEL SIDE BATCH THREADS DEVICE PRECISION RANK WORLD STORE COMPILE
  COMPILE: "eager", or "compile:MODE" with a mode of torch.compile

The protocol: bench/harness.py. Its input is normalised and on the device before the clock starts,
and it never reads the loss: both favour the peer.
"""

import collections
import json
import pathlib
import sys
import time

import torch
import torch.distributed
import torchvision

CLASSES = 8
WARM_UP_STEPS = {"cpu": 3, "cuda": 10}


class Rank:
    """The model, its optimizer, and a batch."""

    def __init__(self, arguments: list[str]):
        name, side, batch, threads, device, precision, rank, world, store, compiled = arguments
        self.kind = device.split(":")[0]
        self.bf16 = precision == "bf16"
        torch.set_num_threads(int(threads))
        torch.set_flush_denormal(True)
        torch.backends.cudnn.benchmark = True
        if self.kind == "cuda":
            torch.set_float32_matmul_precision("high")
        torch.manual_seed(1)
        model = torchvision.models.get_model(name, weights=None, num_classes=CLASSES)
        model = model.to(device, memory_format=torch.channels_last).train()
        if int(world) > 1:
            serve = store == "serve"
            host, port = ("127.0.0.1", 0) if serve else store.split(":")
            meeting = torch.distributed.TCPStore(host, int(port), is_master=serve,
                                                 wait_for_workers=False)
            print(f"store 127.0.0.1:{meeting.port}", flush=True)
            torch.distributed.init_process_group("nccl" if self.kind == "cuda" else "gloo",
                                                 store=meeting, rank=int(rank),
                                                 world_size=int(world))
            model = torch.nn.parallel.DistributedDataParallel(model, gradient_as_bucket_view=True)
        self.optimizer = self.sgd(model)
        self.criterion = torch.nn.CrossEntropyLoss()
        self.mode = compiled.partition(":")[2]
        self.model = torch.compile(model, mode=self.mode) if self.mode else model
        mine = int(batch) // int(world)
        images = torch.randn(mine, 3, int(side), int(side), device=device)  # [N, 3, H, W]
        self.images = images.contiguous(memory_format=torch.channels_last)
        self.labels = torch.randint(0, CLASSES, (mine,), device=device)  # [N]

    @staticmethod
    def sgd(model: torch.nn.Module) -> torch.optim.Optimizer:
        settings = {"lr": 0.01, "momentum": 0.9, "nesterov": True, "weight_decay": 1e-4}
        try:
            return torch.optim.SGD(model.parameters(), fused=True, **settings)
        except RuntimeError:  # not on this device
            return torch.optim.SGD(model.parameters(), foreach=True, **settings)

    def train(self, steps: int) -> None:
        for _ in range(steps):
            if self.mode and self.kind == "cuda":
                torch.compiler.cudagraph_mark_step_begin()
            self.optimizer.zero_grad(set_to_none=True)
            with torch.autocast(self.kind, torch.bfloat16, enabled=self.bf16):
                loss = self.criterion(self.model(self.images), self.labels)
            loss.backward()
            self.optimizer.step()

    def settle(self) -> None:
        if self.kind == "cuda":
            torch.cuda.synchronize()

    def seconds(self, steps: int) -> float:
        start = time.perf_counter()
        self.train(steps)
        self.settle()
        return time.perf_counter() - start

    def profile(self, steps: int) -> dict[str, object]:
        """Operators and kernels in passes of their own: watching the latter slows the former."""
        activities = torch.profiler.ProfilerActivity
        with torch.profiler.profile(activities=[activities.CPU], acc_events=True) as watched:
            seconds = self.seconds(steps)
        operators = [[event.key, event.count, event.self_cpu_time_total]
                     for event in watched.key_averages()]
        kernels: dict[tuple[str, str], list[float]] = collections.defaultdict(lambda: [0, 0.0])
        if self.kind == "cuda":
            with torch.profiler.profile(activities=[activities.CPU, activities.CUDA],
                                        acc_events=True) as watched:
                self.train(steps)
                self.settle()
            events = watched.profiler.kineto_results.events()
            launchers = {event.correlation_id(): event.name() for event in events
                         if event.device_type() == torch.autograd.DeviceType.CPU
                         and event.linked_correlation_id() == 0}
            for event in events:
                # Annotations span kernels and would count them twice.
                if (event.device_type() == torch.autograd.DeviceType.CUDA
                        and not event.is_user_annotation()):
                    launcher = launchers.get(event.linked_correlation_id(), "")
                    totals = kernels[launcher, event.name()]
                    totals[0] += 1
                    totals[1] += event.duration_ns() / 1e3
        return {"seconds": seconds, "operators": operators,
                "kernels": [[*key, *totals] for key, totals in kernels.items()]}

    def reset_peak_memory(self) -> None:
        if self.kind == "cuda":  # counted from the start, as ours is
            return
        try:
            pathlib.Path("/proc/self/clear_refs").write_text("5")
        except OSError:  # a kernel without it counts from the start
            pass

    def peak_memory_bytes(self) -> int:
        if self.kind == "cuda":
            return torch.cuda.max_memory_allocated()
        for line in pathlib.Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
        return 0


def main() -> None:
    rank = Rank(sys.argv[1:])
    rank.train(WARM_UP_STEPS[rank.kind])
    rank.settle()
    rank.reset_peak_memory()
    print("ready", flush=True)
    for order in map(str.strip, sys.stdin):
        if order == "memory":
            print(rank.peak_memory_bytes(), flush=True)
        elif order.startswith("profile "):
            print(json.dumps(rank.profile(int(order.removeprefix("profile ")))), flush=True)
        else:
            print(rank.seconds(int(order)), flush=True)


if __name__ == "__main__":
    main()
