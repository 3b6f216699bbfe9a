"""Pictures come out of our decoder as they come out of Pillow.

Usage: test_images.py IMAGE_PROBE TEST
"""

import os
import pathlib
import struct
import subprocess
import sys
import tempfile
import zlib

import numpy
from PIL import Image, ImageOps

RNG = numpy.random.default_rng(3)


class Probe:
    def __init__(self, program):
        self.process = subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def decode(self, path):
        """[height, width, 3], or the reason why not."""
        self.process.stdin.write(f"{path}\n".encode())
        self.process.stdin.flush()
        line = self.process.stdout.readline().decode().strip()
        if line.startswith("error "):
            return line.removeprefix("error ")
        width, height = map(int, line.split())
        pixels = self.process.stdout.read(width * height * 3)
        return numpy.frombuffer(pixels, numpy.uint8).reshape(height, width, 3)


def smooth(height, width, channels):
    """Uint8 levels that JPEG compresses well."""
    y, x = numpy.mgrid[0:height, 0:width]
    waves = [127 + 80 * numpy.sin(0.05 * (c + 1) * x + 0.07 * y + c) for c in range(channels)]
    return numpy.stack(waves, -1).round().astype(numpy.uint8)


def on_black(image):
    """Pillow's RGB of an image, transparent pixels on black."""
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        rgba = image.convert("RGBA")
        black = Image.new("RGB", rgba.size)
        black.paste(rgba, mask=rgba.getchannel("A"))
        return numpy.asarray(black)
    return numpy.asarray(image.convert("RGB"))


def check(probe, path, expected, within):
    actual = probe.decode(path)
    assert not isinstance(actual, str), f"{path.name}: {actual}"
    assert actual.shape == expected.shape, f"{path.name}: {actual.shape}, not {expected.shape}"
    worst = int(numpy.abs(actual.astype(int) - expected.astype(int)).max())
    assert worst <= within, f"{path.name}: off by {worst}"
    print(f"{path.name}: off by {worst} at most")


def DecodesWhatPillowWrites(probe, folder):
    rgb = Image.fromarray(smooth(97, 131, 3))
    grey = rgb.convert("L")
    cmyk = Image.fromarray(smooth(97, 131, 4), "CMYK")
    rgba = Image.fromarray(smooth(97, 131, 4), "RGBA")
    palette = rgb.quantize(40)
    cases = [
        ("baseline.jpg", rgb, {"quality": 90}, 2),
        ("progressive.jpg", rgb, {"quality": 90, "progressive": True}, 2),
        ("444.jpg", rgb, {"quality": 95, "subsampling": 0}, 2),
        ("grey.jpg", grey, {}, 2),
        ("cmyk.jpg", cmyk, {"quality": 95}, 2),
        ("cmyk-progressive.jpg", cmyk, {"progressive": True}, 2),
        ("rgb.png", rgb, {}, 0),
        ("grey.png", grey, {}, 0),
        ("bits.png", grey.convert("1"), {}, 0),
        ("palette.png", palette, {}, 0),
        ("palette-transparent.png", palette, {"transparency": 3}, 0),
        ("alpha.png", rgba, {}, 0),
        ("grey-alpha.png", rgba.convert("LA"), {}, 0),
        ("lossless.webp", rgb, {"lossless": True}, 0),
        ("lossless-alpha.webp", rgba, {"lossless": True, "exact": True}, 0),
        ("lossy.webp", rgb, {"quality": 80}, 2),
        ("rgb.tif", rgb, {}, 0),
        ("grey.tif", grey, {}, 0),
        ("bits.tif", grey.convert("1"), {"compression": "group4"}, 0),
        ("palette.tif", palette, {}, 0),
        ("lzw.tif", rgb, {"compression": "tiff_lzw"}, 0),
        ("deflate.tiff", rgb, {"compression": "tiff_adobe_deflate"}, 0),
        ("packbits.tiff", rgb, {"compression": "packbits"}, 0),
        ("alpha.tif", rgba, {}, 1),
        ("jpeg.tif", rgb, {"compression": "jpeg", "quality": 90}, 2),
    ]
    for name, image, options, within in cases:
        path = folder / name
        image.save(path, **options)
        with Image.open(path) as read:
            check(probe, path, on_black(read), within)
    frames = folder / "frames.webp"
    rgb.save(frames, save_all=True, append_images=[rgb.rotate(90)])
    assert "animated" in probe.decode(frames), probe.decode(frames)
    pages = folder / "pages.tif"
    rgb.save(pages, save_all=True, append_images=[grey])
    check(probe, pages, numpy.asarray(rgb), 0)


PASSES = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2),
          (0, 1, 1, 2)]  # x, y, steps: Adam7


def write_png(path, samples, depth, colour, interlaced, extra=b""):
    """samples: [height, width, channels] below 2^depth. By the specification, without libpng."""
    def chunk(name, data):
        return (struct.pack(">I", len(data)) + name + data +
                struct.pack(">I", zlib.crc32(name + data)))

    def rows(part):
        out = b""
        for row in part:
            values = row.reshape(-1)
            if depth == 16:
                out += b"\0" + values.astype(">u2").tobytes()
            else:
                bits = (values[:, None] >> numpy.arange(depth - 1, -1, -1)) & 1
                out += b"\0" + numpy.packbits(bits.astype(numpy.uint8)).tobytes()
        return out

    height, width, _ = samples.shape
    parts = ([samples[y::step_y, x::step_x] for x, y, step_x, step_y in PASSES]
             if interlaced else [samples])
    data = b"".join(rows(part) for part in parts if part.size)
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, int(interlaced))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + extra +
                     chunk(b"IDAT", zlib.compress(data)) + chunk(b"IEND", b""))


def ReadsEveryKindOfPng(probe, folder):
    channels = {0: 1, 2: 3, 4: 2, 6: 4}
    gamma = struct.pack(">I", 4) + b"gAMA" + struct.pack(">I", 100000)
    gamma += struct.pack(">I", zlib.crc32(gamma[4:]))  # linear, which is not looked at
    for colour, depths in ((0, (1, 2, 4, 8, 16)), (2, (8, 16)), (4, (8, 16)), (6, (8, 16))):
        for depth in depths:
            for interlaced in (False, True):
                most = (1 << depth) - 1
                samples = RNG.integers(0, most + 1, (37, 29, channels[colour]))
                levels = numpy.floor(samples * 255 / most + 0.5).astype(int)
                rgb = levels[..., :3] if colour in (2, 6) else levels[..., :1].repeat(3, -1)
                if colour in (4, 6):
                    rgb = numpy.floor(rgb * levels[..., -1:] / 255 + 0.5).astype(int)
                path = folder / f"{colour}-{depth}{'-interlaced' if interlaced else ''}.png"
                write_png(path, samples, depth, colour, interlaced, gamma)
                check(probe, path, rgb, 0)
    # Of 16 bits Pillow keeps the upper half; with both halves alike, all agree.
    samples = RNG.integers(0, 256, (37, 29, 3)) * 257
    write_png(folder / "pillow-16.png", samples, 16, 2, False)
    with Image.open(folder / "pillow-16.png") as read:
        check(probe, folder / "pillow-16.png", numpy.asarray(read.convert("RGB")), 0)


def TurnsPicturesAsPillowDoes(probe, folder):
    picture = Image.fromarray(smooth(48, 80, 3))
    for orientation in range(1, 9):
        exif = Image.Exif()
        exif[0x0112] = orientation
        for extension, options, within in ((".jpg", {"quality": 95}, 2), (".png", {}, 0),
                                           (".webp", {"lossless": True}, 0)):
            path = folder / f"turned-{orientation}{extension}"
            picture.save(path, exif=exif.tobytes(), **options)
            with Image.open(path) as read:
                check(probe, path, numpy.asarray(ImageOps.exif_transpose(read)), within)
        path = folder / f"turned-{orientation}.tif"
        picture.save(path, tiffinfo={274: orientation})
        with Image.open(path) as read:
            check(probe, path, numpy.asarray(ImageOps.exif_transpose(read)), 0)


def DecodesRealPicturesAsPillowDoes(probe, _):
    shared = pathlib.Path(os.environ.get(
        "MEAD_SHARED", pathlib.Path(__file__).resolve().parents[3] / "shared"))
    files = sorted((shared / "data" / "kvasir-polyps").glob("*.jpg"))[:40]
    files += sorted((shared / "data" / "cp-child-b").rglob("*.jpg"))[::50]
    if not files:
        print("NOT RUN: no ../shared (set MEAD_SHARED)")
    for path in files:
        with Image.open(path) as read:
            check(probe, path, numpy.asarray(ImageOps.exif_transpose(read).convert("RGB")), 2)


def main():
    with tempfile.TemporaryDirectory(prefix="mead-images-") as folder:
        globals()[sys.argv[2]](Probe(sys.argv[1]), pathlib.Path(folder))


if __name__ == "__main__":
    main()
