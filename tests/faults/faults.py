"""A run of seconds, and the bytes that it must end with however often it is interrupted.

A random ViT and a few random pictures. Dropout, augmentation, momentum, a schedule, clipping and validation make all of
the training state matter. There is a checkpoint after every step.
"""
import os
import random
import signal
import struct
import subprocess
import sys
import time
import zlib
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "e2e"))
from command import BINARY, environment  # noqa: E402
from random_vit import write_random_vit  # noqa: E402

SHIM = os.environ.get("LORIKEET_FAULT_SHIM", str(Path(BINARY).parent / "libfault_shim.so"))
SIZE = 20
RECIPE = r"""model: vit_tiny_patch16_224
image_size: 32
target_modules: 'blocks\.11\.attn\.qkv'
r: 2
lora_dropout: 0.2
modules_to_save: [head]
replace_output: true
random_horizontal_flip: 0.5
random_crop_padding: 2
cache_views: 1
epochs: 2
batch_size: 5
optimizer: adamw
schedule: cosine
clip_grad_norm: 1
early_stop: 5
checkpoint_seconds: 0
threads: 1
"""


def write_png(path, generator, brightness):
    """A random picture, grey noise around a brightness."""
    row = lambda: b"\0" + bytes(min(255, brightness + generator.randrange(100)) for _ in range(3 * SIZE))
    chunk = lambda kind, data: struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    header = struct.pack(">2I5B", SIZE, SIZE, 8, 2, 0, 0, 0)
    pixels = zlib.compress(b"".join(row() for _ in range(SIZE)))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b""))


class Trial:
    """The inputs in `folder`, and the result of a run that is never interrupted."""

    def __init__(self, folder):
        self.folder = Path(folder)
        write_random_vit(self.folder / "vit.safetensors")
        generator = random.Random(5)
        for split, count in ("train", 5), ("val", 2), ("test", 2):
            for label, name in enumerate(("dark", "bright")):
                for i in range(count):
                    write_png(self.folder / "data" / split / name / f"{i}.png", generator, 100 * label)
        self.recipe = self.folder / "recipe.yaml"
        self.recipe.write_text(RECIPE + f"weights: {self.folder / 'vit.safetensors'}\ndata: {self.folder / 'data'}\n")
        start = time.monotonic()
        self.start(self.folder / "whole").check_returncode()
        self.seconds = time.monotonic() - start
        self.expected = self.result(self.folder / "whole")

    @staticmethod
    def result(run):
        """The files of the adapter."""
        return {path.name: path.read_bytes() for path in (run / "adapter").iterdir()}

    def command(self, run, *overrides):
        """Trains, or continues what is left."""
        if (run / "recipe.yaml").exists() or (run / ".run.complete").exists():
            return [BINARY, "train", "--resume", run, *overrides]
        return [BINARY, "train", self.recipe, f"run={run}", *overrides]

    def start(self, run, *overrides, **faults):
        """Runs to the end, or to the fault."""
        return subprocess.run(
            self.command(run, *overrides),
            capture_output=True,
            text=True,
            timeout=120,
            env=self.environment(run, **faults),
        )

    def begin(self, run, *overrides, **faults):
        """The same without waiting."""
        return subprocess.Popen(
            self.command(run, *overrides),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            env=self.environment(run, **faults),
        )

    def environment(self, run, **faults):
        out = environment(**{f"FAULT_{name.upper()}": value for name, value in faults.items()})
        return out | {"LD_PRELOAD": SHIM, "FAULT_FOLDER": str(run)} if faults else out

    def calls(self, run):
        """The calls that change files during a run that starts in this folder: (operation, path)."""
        trace = run.with_suffix(".trace")
        self.start(run, trace=trace).check_returncode()
        return [tuple(line.split(" ", 2)[1:]) for line in trace.read_text().splitlines()]

    def wrong_end(self, run, attempts=3):
        """Continues the run to its end; says what is wrong then, or returns None."""
        for _ in range(attempts):
            done = self.start(run)
            if done.returncode == 0:
                break
        else:
            return f"does not resume: {done.returncode}: {done.stderr}"
        found = self.result(run)
        for name in sorted(set(found) | set(self.expected)):
            if found.get(name) != self.expected.get(name):
                return f"{name} differs from that of an uninterrupted run"
        left = sorted(str(path) for path in run.rglob(".*"))
        if left:
            return f"left behind: {left}"
        return None


def killed(done):
    return done.returncode == -signal.SIGKILL
