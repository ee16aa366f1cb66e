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

    def equal_to_pillow(self, pixels, name):
        with PIL.Image.open(self.folder / "test/a" / name) as image:
            theirs = numpy.asarray(PIL.ImageOps.exif_transpose(image).convert("RGB"))
        self.assertEqual(pixels.shape, theirs.shape)
        self.assertTrue((pixels == theirs).all(), f"{(pixels != theirs).sum()} of {theirs.size} differ")

    def save(self, name, image, **options):
        out = io.BytesIO()
        image.save(out, name.rsplit(".")[-1], **options)
        self.add(name, out.getvalue())

    def test_webp_bmp_gif_tiff(self):
        rgb = picture()
        alpha = rgb.copy()
        alpha.putalpha(PIL.Image.linear_gradient("L").resize((WIDTH, HEIGHT)))
        palette = rgb.quantize(40)
        grey, two = rgb.convert("L"), rgb.convert("1")
        for lossless in False, True:
            self.save(f"rgb-{lossless}.webp", rgb, lossless=lossless)
            self.save(f"alpha-{lossless}.webp", alpha, lossless=lossless, exact=True)
        self.save("turned.webp", rgb, exif=exif(6, False))
        self.save("moving.webp", rgb, save_all=True, append_images=[PIL.ImageOps.invert(rgb)])
        for kind, image in ("rgb", rgb), ("alpha", alpha), ("palette", palette), ("grey", grey), ("two", two):
            self.save(f"{kind}.bmp", image)
        self.save("palette.gif", palette)
        self.save("interlaced.gif", palette, interlace=1)
        self.save("grey.gif", grey)
        self.save("clear.gif", palette, transparency=3)
        self.save("moving.gif", palette, save_all=True, append_images=[palette.transpose(0)])
        for compression in None, "tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg":
            for kind, image in ("rgb", rgb), ("grey", grey), ("palette", palette), ("two", two), ("alpha", alpha):
                if compression == "jpeg" and kind in ("palette", "two", "alpha"):
                    continue
                self.save(f"{kind}-{compression}.tiff", image, compression=compression)
        for kind in "PNG", "GIF":
            out = io.BytesIO()
            rgb.save(out, kind)
            self.add(f"without-end.{kind}", out.getvalue()[: -12 if kind == "PNG" else -1])
        self.save("cmyk.tiff", rgb.convert("CMYK"), compression="tiff_lzw")
        self.save("fax.tiff", two, compression="group4")
        for orientation in 3, 6:
            self.save(f"turned-{orientation}.tiff", rgb, tiffinfo={ORIENTATION: orientation})
        self.save("pages.tiff", rgb, save_all=True, append_images=[grey])
        decoded = self.decoded()
        self.assertGreater(len(decoded), 35)
        for name, pixels in decoded.items():
            with self.subTest(name):
                self.equal_to_pillow(pixels, name)

    def test_bmp_of_other_programs(self):
        """Variants that Pillow reads but does not write."""
        random = numpy.random.default_rng(5)

        def bmp(bits, rows, compression=0, palette=b"", masks=b"", height=4, header=40):
            offset = 14 + header + len(masks) + len(palette)
            info = struct.pack(
                "<IiiHHIIiiII", 40, 5, height, 1, bits, compression, len(rows), 0, 0, len(palette) // 4, 0
            )
            return b"BM" + struct.pack("<IHHI", offset + len(rows), 0, 0, offset) + info + masks + palette + rows

        colours = random.integers(0, 256, 64, numpy.uint8).tobytes()
        self.add("16-555.bmp", bmp(16, random.integers(0, 256, 48, numpy.uint8).tobytes()))
        masks = struct.pack("<3I", 0xF800, 0x7E0, 0x1F)
        self.add("16-565.bmp", bmp(16, random.integers(0, 256, 48, numpy.uint8).tobytes(), 3, masks=masks))
        self.add("4.bmp", bmp(4, random.integers(0, 256, 16, numpy.uint8).tobytes(), palette=colours))
        self.add("down.bmp", bmp(24, random.integers(0, 256, 64, numpy.uint8).tobytes(), height=-4))
        runs = bytes([5, 1, 0, 0, 0, 3, 1, 2, 3, 0, 2, 4, 0, 0, 5, 7, 0, 0, 1, 6, 4, 2, 0, 1])
        self.add("rle8.bmp", bmp(8, runs, 1, palette=colours))
        self.add("rle8-without-end.bmp", bmp(8, runs[:-2], 1, palette=colours))
        runs = bytes([5, 0x12, 0, 0, 0, 5, 0x12, 0x34, 0x50, 0, 0, 0, 4, 0x45, 1, 0x70, 0, 0, 5, 0x67, 0, 1])
        self.add("rle4.bmp", bmp(4, runs, 2, palette=colours))
        self.add("rle4-without-end.bmp", bmp(4, runs[:-2], 2, palette=colours))
        for name, pixels in self.decoded().items():
            with self.subTest(name):
                self.equal_to_pillow(pixels, name)

    def test_16_bit_tiff(self):
        random = numpy.random.default_rng(6)
        grey = random.integers(0, 65536, (HEIGHT, WIDTH)).astype(numpy.uint16)
        self.save("grey.tiff", PIL.Image.fromarray(grey), compression="tiff_lzw")
        decoded = self.decoded()
        self.assertTrue((decoded["grey.tiff"] == (grey >> 8)[:, :, None]).all())

    def test_16_bit_grey_keeps_the_high_byte(self):
        values = numpy.random.default_rng(4).integers(0, 65536, (HEIGHT, WIDTH)).astype(numpy.uint16)
        out = io.BytesIO()
        PIL.Image.fromarray(values).save(out, "png")
        self.add("grey.png", out.getvalue())
        self.assertEqual(struct.unpack(">B", out.getvalue()[24:25]), (16,))  # the bit depth
        self.assertTrue((self.decoded()["grey.png"] == (values >> 8)[:, :, None]).all())


if __name__ == "__main__":
    unittest.main()
