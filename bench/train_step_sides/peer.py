"""One rank of the Python peer: torch's training step at its best, driven by bench/train_step.

peer.py MODEL SIDE BATCH THREADS DEVICE PRECISION RANK WORLD STORE COMPILE
  COMPILE: "eager", or "compile:MODE" with a mode of torch.compile

The protocol: bench/harness.py. Its input is normalised and on the device before the clock starts,
and it never reads the loss: both favour the peer.
"""

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

    def reset_peak_memory(self) -> None:
        if self.kind == "cuda":
            torch.cuda.reset_peak_memory_stats()
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
        else:
            start = time.perf_counter()
            rank.train(int(order))
            rank.settle()
            print(time.perf_counter() - start, flush=True)


if __name__ == "__main__":
    main()
