"""One rank of the Python peer: torch.distributed's all_reduce over Gloo.

peer.py THREADS RANK WORLD STORE

The protocol: bench/harness.py; the order "use" is answered as ours.cc answers it.
"""

import sys
import time

import torch
import torch.distributed


def step(buckets: list[torch.Tensor], wire: torch.dtype) -> None:
    """With another type on the wire, casts on both ways as DDP's compression hooks do."""
    sent = [bucket.to(wire) for bucket in buckets]  # itself, if of that type
    pending = [torch.distributed.all_reduce(bucket, async_op=True) for bucket in sent]
    for work, bucket, result in zip(pending, buckets, sent):
        work.wait()
        if result is not bucket:
            bucket.copy_(result)


def main() -> None:
    threads, rank, world, store = sys.argv[1:]
    torch.set_num_threads(int(threads))
    serve = store == "serve"
    host, port = ("127.0.0.1", 0) if serve else store.split(":")
    meeting = torch.distributed.TCPStore(host, int(port), is_master=serve, wait_for_workers=False)
    if serve:
        print(f"store 127.0.0.1:{meeting.port}", flush=True)
    torch.distributed.init_process_group("gloo", store=meeting, rank=int(rank),
                                         world_size=int(world))
    buckets: list[torch.Tensor] = []  # [size], float32
    wire = torch.float32
    print("ready", flush=True)
    for line in sys.stdin:
        order, _, rest = line.strip().partition(" ")
        if order == "use":
            name, sizes = rest.split()
            wire = {"fp32": torch.float32, "bf16": torch.bfloat16}[name]
            buckets = [torch.zeros(int(size)) for size in sizes.split(",")]
            step(buckets, wire)
            print("ok", flush=True)
        else:
            torch.distributed.barrier()
            start = time.perf_counter()
            for _ in range(int(order)):
                step(buckets, wire)
            print(time.perf_counter() - start, flush=True)


if __name__ == "__main__":
    main()
