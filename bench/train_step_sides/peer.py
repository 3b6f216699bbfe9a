"""One rank of the Python peer: torch's training step at its best, driven by bench/train_step.

peer.py MODEL SIDE BATCH THREADS DEVICE PRECISION RANK WORLD STORE COMPILE

The same protocol as ours.cc. Its input is normalised and on the device before
the clock starts, and it never reads the loss: both favour the peer.
"""

import sys
import time

import torch
import torch.distributed
import torchvision

CLASSES = 8


def main() -> None:
    name, side, batch, threads, device, precision, rank, world, store, compiled = sys.argv[1:]
    rank, world, batch = int(rank), int(world), int(batch)
    torch.set_num_threads(int(threads))
    torch.set_flush_denormal(True)
    torch.backends.cudnn.benchmark = True
    torch.manual_seed(1)
    model = torchvision.models.get_model(name, weights=None, num_classes=CLASSES)
    model = model.to(device, memory_format=torch.channels_last).train()
    if world > 1:
        serve = store == "serve"
        host, port = ("127.0.0.1", 0) if serve else store.split(":")
        meeting = torch.distributed.TCPStore(host, int(port), is_master=serve,
                                             wait_for_workers=False)
        print(f"store 127.0.0.1:{meeting.port}", flush=True)
        torch.distributed.init_process_group("nccl" if "cuda" in device else "gloo",
                                             store=meeting, rank=rank, world_size=world)
        model = torch.nn.parallel.DistributedDataParallel(model, gradient_as_bucket_view=True)
    optimizer = torch.optim.SGD(model.parameters(), 0.01, momentum=0.9, nesterov=True,
                                weight_decay=1e-4, fused=True)
    criterion = torch.nn.CrossEntropyLoss()
    if compiled == "compile":
        model = torch.compile(model)
    mine = batch // world
    images = torch.randn(mine, 3, int(side), int(side), device=device)
    images = images.contiguous(memory_format=torch.channels_last)
    labels = torch.randint(0, CLASSES, (mine,), device=device)
    kind = device.split(":")[0]

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast(kind, torch.bfloat16, enabled=precision == "bf16"):
            loss = criterion(model(images), labels)
        loss.backward()
        optimizer.step()

    def settle() -> None:
        if kind == "cuda":
            torch.cuda.synchronize()

    for _ in range(3):
        step()
    settle()
    print("ready", flush=True)
    for line in sys.stdin:
        start = time.perf_counter()
        for _ in range(int(line)):
            step()
        settle()
        print(time.perf_counter() - start, flush=True)


if __name__ == "__main__":
    main()
