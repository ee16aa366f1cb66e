"""Weights files that are damaged, lie, do not fit or try to execute: one line, exit code 1, nothing run."""
import argparse
import gzip
import io
import json
import math
import os
import pickle
import pickletools
import random
import struct
import subprocess
import sys
import types
import zipfile
from unittest import mock

from command import EFFICIENTNET, CommandTest, main, run, run_all, write_safetensors

LEGACY_HEAD = b"".join(
    pickle.dumps(o, 2)
    for o in (0x1950A86A20F9469CFC6C, 1001, {"protocol_version": 1001, "little_endian": True, "type_sizes": {}})
)


class Call:
    """Pickles as a call of `function`, which pickle.loads makes."""

    def __init__(self, function, *arguments):
        self.parts = function, arguments

    def __reduce__(self):
        return self.parts


def torch_zip(path, tensors, wrap=lambda tree: tree):
    """The zip that torch.save writes for `wrap` of {name: shape} of zeros."""
    torch, utils = types.ModuleType("torch"), types.ModuleType("torch._utils")
    torch.FloatStorage = type("FloatStorage", (), {"__module__": "torch"})
    utils._rebuild_tensor_v2 = lambda *_: None
    utils._rebuild_tensor_v2.__module__, utils._rebuild_tensor_v2.__qualname__ = "torch._utils", "_rebuild_tensor_v2"

    class Storage:
        def __init__(self, key, size):
            self.id = "storage", torch.FloatStorage, key, "cpu", size

    class Pickler(pickle.Pickler):
        def persistent_id(self, value):
            return value.id if isinstance(value, Storage) else None

    tree, stream = {}, io.BytesIO()
    for key, (name, shape) in enumerate(tensors.items()):
        strides = tuple(math.prod(shape[i + 1 :]) for i in range(len(shape)))
        tree[name] = Call(utils._rebuild_tensor_v2, Storage(str(key), math.prod(shape)), 0, shape, strides, False, {})
    with mock.patch.dict(sys.modules, {"torch": torch, "torch._utils": utils}):
        Pickler(stream, 2).dump(wrap(tree))
    members = {
        "data.pkl": stream.getvalue(),
        "byteorder": b"little",
        **{f"data/{i}": bytes(4 * math.prod(s)) for i, s in enumerate(tensors.values())},
    }
    write_zip(path, members)


def write_zip(path, members, method=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in members.items():
            archive.writestr("archive/" + name, content)


class BadWeights(CommandTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        (cls.image,) = cls.digits(1)
        cls.legacy = EFFICIENTNET.read_bytes()
        cls.tensors = {t["name"]: t["shape"] for t in cls.json("inspect", "efficientnet_lite0")["tensors"]}
        cls.header, end = {}, 0
        for name, shape in cls.tensors.items():
            begin, end = end, end + 4 * math.prod(shape)
            cls.header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [begin, end]}
        cls.zeros = bytes(end)

    def use(self, file):
        return "predict", file, "--model", "efficientnet_lite0", self.image

    def refuse(self, files):
        """`files`: (name, content or None where the file is there, words)."""
        for name, content, _ in files:
            if content is not None:
                (self.folder / name).write_bytes(content)
        self.assert_all_refused(
            1, [(self.use(self.folder / name), [self.folder / name, *words]) for name, _, words in files]
        )

    # ---- safetensors

    def write(self, name, header, data=None):
        write_safetensors(self.folder / name, header, self.zeros if data is None else data)

    def test_safetensors_that_fits_is_taken(self):
        self.write("good.safetensors", self.header)
        self.lorikeet(*self.use(self.folder / "good.safetensors"))
        self.assertEqual(self.json("inspect", self.folder / "good.safetensors")["model"], "efficientnet_lite0")

    def test_safetensors_damaged(self):
        self.write("good", self.header)
        good = (self.folder / "good").read_bytes()
        header_size = struct.unpack("<Q", good[:8])[0]
        self.refuse(
            [
                (f"cut at {cut}", good[:cut], words)
                for cut, words in [
                    (0, ["empty"]),
                    (7, []),
                    (9, []),
                    (8 + header_size // 2, []),
                    (8 + header_size, ["truncated"]),
                    (len(good) - 1, ["truncated"]),
                ]
            ]
            + [
                ("longer", good + b"x", ["data after the tensors"]),
                ("header of 2^62", struct.pack("<Q", 1 << 62) + good[8:], []),
                ("header of 90 MB", struct.pack("<Q", 90_000_000) + good[8:], ["header of 90,000,000 bytes"]),
                ("nested", struct.pack("<Q", 60_000) + b'{"a":' * 12_000, ["nested"]),
                ("no object", struct.pack("<Q", 2) + b"{]", ["JSON"]),
            ]
        )

    def test_safetensors_that_lies_or_does_not_fit(self):
        first, second = list(self.tensors)[:2]
        size = 4 * math.prod(self.tensors[first])
        end = len(self.zeros)

        def changed(name, **fields):
            return {**self.header, name: {**self.header[name], **fields}}

        one_twice = json.dumps(self.header)[:-1] + f", {json.dumps(first)}: {json.dumps(self.header[first])}}}"
        without_last = dict(list(self.header.items())[:-1])
        last = list(self.header)[-1]
        nan, infinity = (struct.pack("<f", float(v)) + self.zeros[4:] for v in ("nan", "inf"))
        cases = [
            ("offsets", changed(first, data_offsets=[0, size + 4]), None, [first, "data_offsets"]),
            (
                "offsets past the end",
                changed(last, data_offsets=[end, end + 4 * math.prod(self.tensors[last])]),
                None,
                [last],
            ),
            ("offsets backwards", changed(first, data_offsets=[size, 0]), None, [first]),
            ("offsets negative", changed(first, data_offsets=[-4, size - 4]), None, [first, "-4"]),
            ("overlap", changed(second, data_offsets=[0, 4 * math.prod(self.tensors[second])]), None, ["overlap"]),
            ("huge shape", changed(first, shape=[1 << 40, 1 << 40]), None, [first, "64 bits"]),
            ("twice", one_twice, None, [first, "twice"]),
            ("dtype", changed(first, dtype="F4"), None, [first, "F4"]),
            ("integers", changed(first, dtype="I32"), None, [first, "Int", "floating-point"]),
            ("shape", changed(first, shape=self.tensors[first][::-1]), None, [first, "(3, 3, 3, 32)", "(32, 3, 3, 3)"]),
            (
                "missing",
                without_last,
                self.zeros[: self.header[last]["data_offsets"][0]],
                [f"no tensor '{last}'", "efficientnet_lite0"],
            ),
            (
                "unknown",
                {**self.header, "conv_steam.weight": {"dtype": "F32", "shape": [0], "data_offsets": [end, end]}},
                None,
                ["unknown tensor 'conv_steam.weight'", "Did you mean 'conv_stem.weight'?"],
            ),
            ("nan", self.header, nan, [first, "NaN"]),
            ("infinity", self.header, infinity, [first, "NaN or infinity"]),
        ]
        for name, header, data, _ in cases:
            self.write(name, header, data)
        self.refuse([(name, None, words) for name, _, _, words in cases])

    def test_weights_of_another_model(self):
        self.assert_refused(
            1,
            [EFFICIENTNET, "no tensor 'conv1.weight'", "These look like those of efficientnet_lite0"],
            "predict",
            "resnet18",
            "--weights",
            EFFICIENTNET,
            self.image,
        )

    def test_files_of_other_kinds(self):
        self.refuse(
            [
                ("x.pth.gz", gzip.compress(b"x"), ["gzip"]),
                ("x.json", b'{"a": 1}', ["JSON"]),
                ("x.png", self.image.read_bytes(), ["PNG"]),
                ("x.html", b"<html>404", ["HTML"]),
                ("x.pth", b"version https://git-lfs.github.com/spec/v1\n", ["Git LFS"]),
                ("noise", random.Random(1).randbytes(5000), []),
                ("list.pkl", pickle.dumps([1, 2]), ["a list"]),
            ]
        )

    def test_checkpoints_with_more_than_weights(self):
        mark = self.folder / "executed"
        path = self.folder / "checkpoint.pth"
        args = argparse.Namespace(arch="efficientnet_lite0", lr=0.1)
        tensors = {name: tuple(shape) for name, shape in self.tensors.items()}
        torch_zip(path, tensors, lambda tree: {"epoch": 3, "net": tree, "args": args})
        done = run(*self.use(path))
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("skipped entries that are not tensors: 'args' (argparse.Namespace)", done.stderr)
        call = Call(os.system, f"touch {mark}")
        torch_zip(path, tensors, lambda tree: {"state_dict": tree, "state_dict_ema": tree, "run": call})
        done = run(*self.use(path))
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("system); nothing in the file was run", done.stderr)
        self.assertFalse(mark.exists())
        prefixed = {f"_orig_mod.module.{name}": shape for name, shape in tensors.items()}
        torch_zip(path, prefixed)
        self.assertEqual(run(*self.use(path)).stderr, "")

    # ---- .pth, as zip and as the older format, which EfficientNet-Lite0's own file has

    def pickle_extent(self):
        """Where the tree of names begins in the legacy file, and where it ends."""
        stream, ends = io.BytesIO(self.legacy), []
        for _ in range(4):
            for _ in pickletools.genops(stream):
                pass
            ends.append(stream.tell())
        return ends[2], ends[3]

    def test_legacy_file_truncated(self):
        begin, end = self.pickle_extent()
        cuts = [
            0,
            1,
            15,
            begin,
            begin + 1,
            (begin + end) // 2,
            end - 1,
            end,
            end + 20,
            len(self.legacy) // 2,
            len(self.legacy) - 1,
        ]
        self.refuse(
            [(f"cut at {cut}", self.legacy[:cut], []) for cut in cuts]
            + [("longer", self.legacy + b"x", ["1 byte after"])]
        )

    def test_legacy_file_with_flipped_bytes(self):
        begin, end = self.pickle_extent()
        chance = random.Random(0)
        cases = []
        for i in range(24):
            content = bytearray(self.legacy)
            content[chance.randrange(begin, end)] ^= 1 << chance.randrange(8)
            (self.folder / str(i)).write_bytes(content)
            cases.append((self.use(self.folder / str(i)),))
        refused = 0
        for arguments, done in run_all(
            cases
        ):  # some bits change nothing that matters, such as a memo's number that nobody reads
            with self.subTest(arguments):
                self.assertIn(done.returncode, (0, 1), done.stderr)
                if done.returncode == 1:
                    self.assert_one_line(done.stderr, [arguments[1]])
                    refused += 1
        self.assertGreater(refused, 12)

    def test_zip_truncated_and_damaged(self):
        path = self.folder / "good.pth"
        torch_zip(path, {"conv_stem.weight": (32, 3, 3, 3), "bn1.weight": (32,)})
        good = path.read_bytes()
        tree = good.index(b"\x80\x02")
        broken = bytearray(good)
        broken[tree + 2] = 0xFF
        other_order = good.replace(b"little", b"big   ")
        deflated = self.folder / "deflated.pth"
        write_zip(deflated, {"data.pkl": bytes(1000)}, zipfile.ZIP_DEFLATED)
        without_tree = self.folder / "without.pth"
        write_zip(without_tree, {"data/0": bytes(4)})
        self.refuse(
            [("good.pth", None, ["no tensor 'bn1.bias'"])]  # it was read
            + [
                (f"cut at {cut}", good[:cut], [])
                for cut in (4, 40, tree + 10, len(good) // 2, len(good) - 30, len(good) - 1)
            ]
            + [
                ("broken", bytes(broken), ["0xff"]),
                ("order", other_order, []),
                ("deflated.pth", None, []),
                ("without.pth", None, ["data.pkl"]),
            ]
        )

    def test_pickles_that_would_execute(self):
        mark = self.folder / "executed"
        touch = f"touch {mark}"
        calls = {
            "system": Call(os.system, touch),
            "eval": Call(eval, f"__import__('os').system({touch!r})"),
            "call": Call(subprocess.call, touch.split()),
        }
        files = []
        for name, call in calls.items():
            for protocol in (2, 4):
                evil = pickle.dumps({"conv_stem.weight": call}, protocol)
                pickle.loads(evil)
                self.assertTrue(mark.exists(), "the pickle is harmless, so this test would prove nothing")
                mark.unlink()
                write_zip(self.folder / f"{name}{protocol}.zip.pth", {"data.pkl": evil})
                files.append((f"{name}{protocol}.zip.pth", None, [f".{name}"]))
                files.append((f"{name}{protocol}.legacy.pth", LEGACY_HEAD + evil + pickle.dumps([], 2), [f".{name}"]))
        self.refuse(files)
        self.assertFalse(mark.exists())


if __name__ == "__main__":
    main()
