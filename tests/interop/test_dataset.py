"""Tars that the Python package webdataset wrote are taken in, and ours are read by it; CSV files
that Python's csv module wrote are understood.

Usage: test_dataset.py DATASET_PROBE written|read|csv
"""

import csv
import io
import json
import pathlib
import subprocess
import sys
import tempfile

import numpy
import webdataset
from PIL import Image

CLASSES = 3


def jpeg(seed: int) -> bytes:
    """Coarse noise: no two show the same."""
    coarse = numpy.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=numpy.uint8)
    file = io.BytesIO()
    Image.fromarray(coarse).resize((64, 48), Image.Resampling.BICUBIC).save(file, "JPEG")
    return file.getvalue()


def build(path: pathlib.Path, out: pathlib.Path) -> dict:
    subprocess.run([sys.argv[1], str(path), str(out)], check=True)
    return json.loads((out / "manifest.json").read_text())


def contents(manifest: dict, out: pathlib.Path) -> dict[str, tuple[bytes, str]]:
    """Key -> the picture's bytes, by our offsets, and its class's name."""
    shards = [(out / f"{shard['split']}-{i:05}.tar").read_bytes()
              for i, shard in enumerate(manifest["shards"])]
    return {s["key"]: (shards[s["shard"]][s["offset"]:s["offset"] + s["size"]],
                       manifest["classes"][s["class"]]) for s in manifest["samples"]}


def written(folder: pathlib.Path) -> None:
    (folder / "tars").mkdir()
    expected = {}
    for split, first in (("train", 0), ("val", 100)):
        pattern = f"{folder}/tars/{split}-%06d.tar"
        with webdataset.ShardWriter(pattern, maxcount=10, verbose=0) as sink:
            for i in range(first, first + 24):
                picture = jpeg(i)
                sink.write({"__key__": f"{i:05}", "jpg": picture, "cls": i % CLASSES,
                            "json": {"patient": i}})
                expected[f"{split}-{(i - first) // 10:06}/{i:05}.jpg"] = (picture, str(i % CLASSES))
    manifest = build(folder / "tars", folder / "out")
    assert manifest["split_method"] == "given", manifest["split_method"]
    assert contents(manifest, folder / "out") == expected
    print(f"{len(expected)} samples taken in")


def read(folder: pathlib.Path) -> None:
    expected = {}
    for i in range(30):
        # A dot in a name must not cut WebDataset's key.
        name = f"class {i % CLASSES}/frame.{i} é.jpg"
        path = folder / "pictures" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(jpeg(i))
        expected[f"class {i % CLASSES}/frame_{i} é"] = (i % CLASSES, jpeg(i))
    build(folder / "pictures", folder / "out")
    tars = sorted(str(path) for path in (folder / "out").glob("*.tar"))
    found = {}
    for sample in webdataset.WebDataset(tars, shardshuffle=False):
        found[sample["__key__"]] = (int(sample["cls"]), sample["jpg"])
    assert found == expected, found.keys() ^ expected.keys()
    for picture, label in webdataset.WebDataset(tars, shardshuffle=False).decode("rgb8").to_tuple(
            "jpg", "cls"):
        assert picture.shape == (48, 64, 3) and 0 <= label < CLASSES
    print(f"{len(found)} samples read by webdataset {webdataset.__version__}")


def from_csv(folder: pathlib.Path) -> None:
    names = ["plain.jpg", "a, b.jpg", 'say "hi".jpg', "two\nlines.jpg", " spaced .jpg", "ü;x.jpg"]
    for dialect in ("excel", "excel-tab", "unix"):
        root = folder / dialect
        (root / "images").mkdir(parents=True)
        rows = []
        for i, name in enumerate(names * 2):
            file = f"images/{i} {name}"
            (root / file).write_bytes(jpeg(i))
            rows.append([i, file, ("normal, healthy", 'the "polyp"')[i % 2]])
        with open(root / "labels.csv", "w", newline="", encoding="utf-8") as out:
            writer = csv.writer(out, dialect=dialect)
            writer.writerow(["id", "path", "label"])
            writer.writerows(rows)
        manifest = build(root / "labels.csv", root / "out")
        found = {key: name for key, (_, name) in contents(manifest, root / "out").items()}
        assert found == {file: label for _, file, label in rows}, (dialect, found)
    print("3 dialects understood")


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        {"written": written, "read": read, "csv": from_csv}[sys.argv[2]](pathlib.Path(folder))


if __name__ == "__main__":
    main()
