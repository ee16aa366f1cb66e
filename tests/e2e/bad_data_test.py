"""Datasets and images that are damaged, absurd or missing: one line naming the file, exit code 1, nothing written."""
import base64
import gzip
import json
import struct
import zlib

from command import CommandTest, main, run, write_idx

IMAGES, LABELS = "-images-idx3-ubyte", "-labels-idx1-ubyte"
PIXELS = bytes(range(256)) * 25  # more than eight images of 28 × 28
JPEG = base64.b64decode(
    "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDABsSFBcUERsXFhceHBsgKEIrKCUlKFE6PTBCYFVlZF9VXVtqeJmBanGQc1tdhbWGkJ6jq62rZ4C8ybq"
    "mx5moq6T/wAALCAAIAAgBAREA/8QAFAABAAAAAAAAAAAAAAAAAAAAAf/EABcQAAMBAAAAAAAAAAAAAAAAAAADBTL/2gAIAQEAAD8AICsn/9k="
)  # 8 × 8, grey


def png(width, height, pixels=b"", damage=0):
    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content) ^ damage)

    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
        + chunk(b"IDAT", zlib.compress(pixels))
        + chunk(b"IEND", b"")
    )


class BadIdx(CommandTest):
    def mnist(self, name):
        """A folder of MNIST's four files with eight images each."""
        folder = self.folder / name
        folder.mkdir()
        for part in "train", "t10k":
            write_idx(folder / (part + IMAGES), (8, 28, 28), PIXELS[: 8 * 784])
            write_idx(folder / (part + LABELS), (8,), range(8))
        return folder

    def sample(self, folder):
        return ["data", "sample", folder, "--out", self.folder / "out"]

    def test_good_files_plain_and_gzipped(self):
        folder = self.mnist("plain")
        self.assertEqual(len(self.lorikeet(*self.sample(folder)).splitlines()), 8)
        for path in list(folder.iterdir()):
            (folder / (path.name + ".gz")).write_bytes(gzip.compress(path.read_bytes()))
            path.unlink()
        self.assertEqual(len(self.lorikeet(*self.sample(folder)).splitlines()), 8)

    def test_bad_files(self):
        images, labels = "t10k" + IMAGES, "t10k" + LABELS
        cases = []

        def case(name, file, words, content=None, shape=(8, 28, 28), elements=PIXELS[: 8 * 784], magic=None, gz=None):
            path = self.mnist(name) / file
            path.unlink()
            if gz:
                path = path.with_name(path.name + ".gz")
                path.write_bytes(gz)
            elif content is not None:
                path.write_bytes(content)
            else:
                write_idx(path, shape, elements, magic)
            cases.append((self.sample(self.folder / name), [path, *words]))

        whole = (self.mnist("whole") / images).read_bytes()
        packed = gzip.compress(whole)
        case("cut", images, ["truncated"], whole[:-1])
        case("cut in the header", images, ["header"], whole[:9])
        case("cut in the magic", images, [], whole[:3])
        case("empty", images, ["IDX"], b"")
        case("longer", images, ["more bytes", "6,272"], whole + b"x")
        case("gz cut", images, [], gz=packed[:-20])
        case("gz cut early", images, [], gz=packed[:15])
        case("gz checksum", images, [], gz=packed[:-8] + bytes([packed[-8] ^ 1]) + packed[-7:])
        case("gz data", images, [], gz=packed[:40] + bytes([packed[40] ^ 255]) + packed[41:])
        case("text", images, ["IDX"], b"<html>not found</html>")
        case("floats", images, ["type 13", "unsigned bytes"], magic=bytes([0, 0, 13, 3]))
        case("labels for images", images, ["1 dimension,", "expected 3"], shape=(8,), elements=range(8))
        case("images for labels", labels, ["3 dimensions", "expected 1"])
        case("counts", labels, ["7 labels", "expected 8"], shape=(7,), elements=range(7))
        case("label", labels, ["label 8", "0 to 7"], shape=(8,), elements=[8] * 8)
        case("huge", images, ["GiB"], shape=(2**32 - 1,) * 3, elements=b"")
        case("announced", images, ["truncated"], shape=(1000, 28, 28), elements=b"1234")
        case(
            "gz announced",
            images,
            ["truncated"],
            gz=gzip.compress(struct.pack(">4I", 0x803, 1000, 1000, 1000) + bytes(1000)),
        )
        folder = self.mnist("missing")
        (folder / labels).unlink()
        cases.append((self.sample(folder), [folder, f"no {labels}"]))
        folder = self.mnist("directory")
        (folder / images).unlink()
        (folder / images).mkdir()
        cases.append((self.sample(folder), [folder / images, "got a folder, expected a file"]))
        self.assert_all_refused(1, cases)
        self.assertFalse((self.folder / "out").exists())


class BadImages(CommandTest):
    def test_predict(self):
        grey = png(8, 8, bytes(72))
        good = {"grey.png": grey, "grey.jpg": JPEG, "jpeg.png": JPEG}  # the content decides, not the name
        bad = {
            "cut.png": grey[:-20],
            "cut early.png": grey[:30],
            "cut.jpg": JPEG[:-8],
            "cut early.jpg": JPEG[:60],
            "checksum.png": png(8, 8, bytes(72), damage=1),
            "few pixels.png": png(8, 8, bytes(40)),
            "no pixels.png": png(8, 8),
            "nothing.png": png(0, 8),
            "text.png": b"A cat.\n",
            "empty.png": b"",
            "page.png": b"<html>404",
            "lies.jpg": b"GIF89a",
            "zip.png": b"PK\x03\x04",
            "bomb.png": png(60_000, 60_000, bytes(60_000)),
            "control.png": b"\x1b[2J\n\xff\xfe",
        }
        words = {
            "bomb.png": ["60000"],
            "text.png": ["'A cat.", "expected a JPEG, PNG, WebP"],
            "empty.png": ["an empty file"],
            "page.png": ["HTML"],
            "lies.jpg": ["a GIF"],
            "control.png": ["\\x1b"],
        }
        for name, content in {**good, **bad}.items():
            (self.folder / name).write_bytes(content)
        self.lorikeet("predict", "efficientnet_lite0", *(self.folder / name for name in good))
        self.assert_all_refused(
            1,
            [
                (["predict", "efficientnet_lite0", self.folder / name], [self.folder / name, *words.get(name, [])])
                for name in bad
            ],
        )

    def test_predict_answers_the_good_ones(self):
        images = {
            "1.png": png(8, 8, bytes(72)),
            "cut.png": png(8, 8, bytes(72))[:-20],
            "2.jpg": JPEG,
            "page.jpg": b"<html>403",
            "3.png": png(9, 9, bytes(90)),
        }
        for name, content in images.items():
            (self.folder / name).write_bytes(content)
        images["absent.png"] = None
        bad = ["cut.png", "page.jpg", "absent.png"]
        out = self.folder / "logits.safetensors"
        for options in [], ["--preprocess", "normalise"]:
            arguments = ["predict", "efficientnet_lite0", *options, *images]
            done = run(*arguments, cwd=self.folder)
            self.assertEqual(done.returncode, 1)
            self.assertEqual([line.split(" ")[0] for line in done.stdout.splitlines()], ["1.png", "2.jpg", "3.png"])
            self.assertEqual(
                [line.split(":")[:2] for line in done.stderr.splitlines()], [["lorikeet", " " + b] for b in bad]
            )
            answers = json.loads(run(*arguments, "--json", cwd=self.folder).stdout)
            self.assertEqual([a["image"] for a in answers], list(images))
            self.assertEqual([a["image"] for a in answers if "error" in a], bad)
            alone = self.json("predict", "efficientnet_lite0", *options, "3.png", cwd=self.folder)
            self.assertEqual(answers[4], alone[0])
        done = run("predict", "efficientnet_lite0", *images, "--logits", out, cwd=self.folder)
        self.assertEqual((done.returncode, len(done.stdout.splitlines())), (1, 3))
        self.assertIn("logits.safetensors: not written", done.stderr.splitlines()[-1])
        self.assertFalse(out.exists())

    def test_training_names_all_unreadable_images_first(self):
        data = self.folder / "data"
        for split, count in (("train", 40), ("val", 4), ("test", 4)):
            for i in range(count):
                path = data / split / ("jay", "magpie")[i % 2] / f"{i}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(png(8, 8, bytes(72)))
        bad = ["train/jay/4.png", "train/magpie/33.png", "val/magpie/1.png", "test/jay/2.png"]
        for name, content in zip(bad, (b"<!doctype html>", b"", b"GIF89a", png(8, 8, bytes(72))[:-20])):
            (data / name).write_bytes(content)
        arguments = ["train", self.recipe(), f"data={data}", "image_size=32", f"run={self.folder / 'run'}"]
        self.assert_refused(1, ["4 images", *(data / name for name in bad)], *arguments)
        self.assertFalse((self.folder / "run").exists())
        done = run("eval", "efficientnet_lite0", f"data={data}")
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        note, error = done.stderr.splitlines(keepends=True)
        self.assertIn("test: no images of 998 classes of 1000: tench, goldfish", note)
        self.assert_one_line(error, [data / "test/jay/2.png", "truncated"])

    def test_folders(self):
        layouts = {
            "empty": ([], ["train/", "<split>/<class>"]),
            "no classes": (["train/x.png"], ["train", "no folders", "train/<class>"]),
            "no images": (["train/a/x.txt", "train/b/.hidden.png"], ["train", "no images"]),
            "no train": (["test/a/x.png"], ["no train split"]),
            "a new class": (
                ["train/cat/x.png", "train/dog/y.png", "test/cta/x.png"],
                ["test/cta", "unknown to training", "Did you mean 'cat'?"],
            ),
            "an empty class": (["train/a/x.png", "train/bird/x.mp4"], ["train", "no images of bird", "bird/x.mp4"]),
            "two names": (["train/a/x.png", "val/a/x.png", "valid/a/x.png"], ["both val/ and valid/"]),
            "no images at the top": (["cat/x.txt", "dog/x.txt"], ["<split>/<class>", "It holds cat, dog."]),
            "bad image": (["train/a/x.png", "train/b/bad.png"], ["train/b/bad.png", "expected a JPEG, PNG, WebP"]),
        }
        cases = []
        for name, (files, words) in layouts.items():
            root = self.folder / "data" / name
            root.mkdir(parents=True)
            for file in files:
                (root / file).parent.mkdir(parents=True, exist_ok=True)
                (root / file).write_bytes(b"no image" if "bad" in file else png(8, 8, bytes(72)))
            cases.append(
                (
                    ["train", self.recipe(), f"data={root}", "image_size=32"],
                    [root if name != "a new class" else "test", *words],
                )
            )
        for arguments, words in cases:
            with self.subTest(arguments):
                self.assert_training_fails(words, *arguments, cwd=self.folder)
        self.assertEqual([str(p) for p in self.folder.glob("runs/*")], [])


if __name__ == "__main__":
    main()
