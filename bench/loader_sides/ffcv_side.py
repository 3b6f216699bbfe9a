"""FFCV's side of bench/loader: as many epochs as each line on stdin says, timed.

The protocol: bench/harness.py. FFCV's own file is written before the clock starts: with the
pictures as JPEG, or raw at a size that suits IMAGE_SIZE, as ours keeps them decoded. FFCV has no
rotation by any angle and no vertical flip: it does less than the other sides.

Usage: ffcv_side.py PICTURES IMAGE_SIZE BATCH THREADS jpg|raw SCRATCH
"""

import sys

import epochs
from ffcv.fields import IntField, RGBImageField
from ffcv.fields.rgb_image import RandomResizedCropRGBImageDecoder
from ffcv.loader import Loader, OrderOption
from ffcv.transforms import RandomBrightness, RandomContrast, RandomHorizontalFlip, ToTensor
from ffcv.writer import DatasetWriter
from torchvision import datasets


def main() -> None:
    pictures, size, batch, threads = sys.argv[1], *map(int, sys.argv[2:5])
    mode, scratch = sys.argv[5], sys.argv[6]
    data = datasets.ImageFolder(pictures)
    path = f"{scratch}/{mode}.beton"
    field = RGBImageField(write_mode=mode, max_resolution=2 * size if mode == "raw" else None)
    DatasetWriter(path, {"image": field, "label": IntField()},
                  num_workers=threads).from_indexed_dataset(data)
    loader = Loader(path, batch_size=batch, num_workers=threads, order=OrderOption.RANDOM,
                    os_cache=True, drop_last=False, pipelines={"image": [
                        RandomResizedCropRGBImageDecoder((size, size), scale=(0.7, 1.0),
                                                         ratio=(1.0, 1.0)),
                        RandomHorizontalFlip(), RandomBrightness(0.2), RandomContrast(0.2),
                        ToTensor()]})
    epochs.answer(len(data), epochs.through(loader))  # the first compiles the pipeline


if __name__ == "__main__":
    main()
