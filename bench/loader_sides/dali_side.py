"""NVIDIA DALI's side of bench/loader, on the CPU: as many epochs as each line on stdin says, timed.

The protocol: bench/harness.py. DALI fills its last batch, so that its epochs are a little longer;
it says how many images they have.

Usage: dali_side.py PICTURES IMAGE_SIZE BATCH THREADS
"""

import pathlib
import sys

import epochs
from nvidia.dali import fn, pipeline_def, types


@pipeline_def
def pictures_of(files: list[str], size: int):
    encoded, labels = fn.readers.file(files=files, labels=[0] * len(files), random_shuffle=True,
                                      name="reader")
    images = fn.decoders.image_random_crop(encoded, device="cpu", output_type=types.RGB,
                                           random_area=[0.7, 1.0], random_aspect_ratio=[1.0, 1.0])
    images = fn.resize(images, resize_x=size, resize_y=size)
    images = fn.rotate(images, angle=fn.random.uniform(range=[-180.0, 180.0]), keep_size=True,
                       fill_value=0)
    images = fn.flip(images, horizontal=fn.random.coin_flip(), vertical=fn.random.coin_flip())
    images = fn.brightness_contrast(images, brightness=fn.random.uniform(range=[0.8, 1.2]),
                                    contrast=fn.random.uniform(range=[0.8, 1.2]))
    return images, labels


def main() -> None:
    pictures, size, batch, threads = sys.argv[1], *map(int, sys.argv[2:5])
    files = sorted(map(str, pathlib.Path(pictures).rglob("*.jpg")))
    pipeline = pictures_of(files, size, batch_size=batch, num_threads=threads, device_id=None)
    pipeline.build()
    batches = -(-len(files) // batch)

    def epoch() -> None:
        for _ in range(batches):
            pipeline.run()

    epochs.answer(batches * batch, epoch)


if __name__ == "__main__":
    main()
