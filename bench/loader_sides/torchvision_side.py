"""torchvision's side of bench/loader: as many epochs as each line on stdin says, timed.

The protocol: bench/harness.py.

Usage: torchvision_side.py PICTURES IMAGE_SIZE BATCH WORKERS
"""

import sys
import time

import torch
from torchvision import datasets, transforms


def main() -> None:
    pictures, size, batch, workers = sys.argv[1], *map(int, sys.argv[2:5])
    torch.set_num_threads(1)
    data = datasets.ImageFolder(pictures, transforms.Compose([
        transforms.RandomResizedCrop(size, scale=(0.7, 1.0), ratio=(1.0, 1.0)),
        transforms.RandomRotation(180, interpolation=transforms.InterpolationMode.BILINEAR),
        transforms.RandomHorizontalFlip(),
        transforms.RandomVerticalFlip(),
        transforms.ColorJitter(brightness=0.2, contrast=0.2),
        transforms.PILToTensor(),
    ]))
    loader = torch.utils.data.DataLoader(data, batch, shuffle=True, num_workers=workers,
                                         persistent_workers=True)
    for _ in loader:  # starts the workers
        pass
    print(f"images {len(data)}\nready", flush=True)
    for line in sys.stdin:
        start = time.perf_counter()
        for _ in range(int(line)):
            for _ in loader:
                pass
        print(time.perf_counter() - start, flush=True)


if __name__ == "__main__":
    main()
