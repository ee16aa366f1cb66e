"""Decoded pixels against Pillow: EXIF orientations of JPEG and PNG in both byte orders, and 16-bit grey."""
import io
import struct
import tempfile
import unittest
from pathlib import Path

import numpy
import PIL.Image
import PIL.ImageOps

import reference

HEIGHT, WIDTH = 37, 61
ORIENTATION = 0x0112


def picture():
    random = numpy.random.default_rng(3)
    noise = random.integers(0, 256, (5, 7, 3), numpy.uint8)
    return PIL.Image.fromarray(noise).resize((WIDTH, HEIGHT), PIL.Image.BICUBIC)


def exif(orientation, big_endian):
    out = PIL.Image.Exif()
    out.endian = ">" if big_endian else "<"
    out[0x010F] = "A camera"
    out[ORIENTATION] = orientation
    return out.tobytes()


class Images(unittest.TestCase):
    def setUp(self):
        temporary = tempfile.TemporaryDirectory(prefix="lorikeet-reference-")
        self.addCleanup(temporary.cleanup)
        self.folder = Path(temporary.name)
        (self.folder / "test/a").mkdir(parents=True)

    def add(self, name, content):
        (self.folder / "test/a" / name).write_bytes(content)

    def decoded(self):
        """Name → pixels (H, W, 3), as `lorikeet data sample` writes them."""
        written = reference.lorikeet(
            "data", "sample", self.folder, "--count", 1000, "--out", self.folder / "out"
        ).splitlines()
        names = sorted(path.name for path in (self.folder / "test/a").iterdir())
        self.assertEqual(len(written), len(names))
        return {name: numpy.asarray(PIL.Image.open(path)) for name, path in zip(names, written)}

    def test_orientations(self):
        for orientation in range(10):  # 0 and 9 do not exist
            for big_endian in False, True:
                for kind, options in (
                    ("jpeg", {"quality": 90}),
                    ("jpeg", {"quality": 90, "progressive": True}),
                    ("png", {}),
                ):
                    out = io.BytesIO()
                    picture().save(out, kind, exif=exif(orientation, big_endian), **options)
                    self.add(f"{orientation}-{big_endian}-{len(options)}.{kind}", out.getvalue())
        for name, pixels in self.decoded().items():
            with self.subTest(name):
                image = PIL.Image.open(self.folder / "test/a" / name)
                theirs = numpy.asarray(PIL.ImageOps.exif_transpose(image).convert("RGB"))
                self.assertEqual(pixels.shape, theirs.shape)
                self.assertTrue((pixels == theirs).all())
                if name[0] in "5678":
                    self.assertEqual(pixels.shape, (WIDTH, HEIGHT, 3))

    def test_16_bit_grey_keeps_the_high_byte(self):
        values = numpy.random.default_rng(4).integers(0, 65536, (HEIGHT, WIDTH)).astype(numpy.uint16)
        out = io.BytesIO()
        PIL.Image.fromarray(values).save(out, "png")
        self.add("grey.png", out.getvalue())
        self.assertEqual(struct.unpack(">B", out.getvalue()[24:25]), (16,))  # the bit depth
        self.assertTrue((self.decoded()["grey.png"] == (values >> 8)[:, :, None]).all())


if __name__ == "__main__":
    unittest.main()
