"""torchvision's side of bench/loader: as many epochs as each line on stdin says, timed.

The protocol: bench/harness.py.

Usage: torchvision_side.py PICTURES IMAGE_SIZE BATCH WORKERS
"""

import sys

import epochs
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
    epochs.answer(len(data), epochs.through(loader))  # the first starts the workers


if __name__ == "__main__":
    main()
