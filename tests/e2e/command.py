"""What the end-to-end tests share: running the built command as a user would, and small real inputs for it.

LORIKEET_BIN is the command (build/bin/lorikeet), LORIKEET_TEST_HOME a folder that holds MNIST and EfficientNet-Lite0,
LORIKEET_TEST_WEIGHTS one with ResNet weights (or LORIKEET_TEST_RESNET50 a file), without which their tests are skipped.
"""
import gzip
import json
import os
import resource
import struct
import subprocess
import tempfile
import unittest
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BINARY = os.environ.get("LORIKEET_BIN", str(ROOT / "build/bin/lorikeet"))
HOME = Path(os.environ.get("LORIKEET_TEST_HOME", os.environ.get("LORIKEET_HOME", str(Path.home() / ".cache/lorikeet"))))
MNIST = HOME / "data/mnist"
EFFICIENTNET = HOME / "weights/efficientnet-lite0-57934424.pth"
RESNET50 = Path(
    os.environ.get(
        "LORIKEET_TEST_RESNET50", os.path.join(os.environ.get("LORIKEET_TEST_WEIGHTS", "/nonexistent"), "resnet50.pth")
    )
)
TIMEOUT = 180

# The files of a completed run, beside its adapter.
RUN_FILES = [
    "adapter.lorikeet",
    "epochs.csv",
    "events.out.tfevents.lorikeet",
    "log.txt",
    "metrics.jsonl",
    "recipe.yaml",
    "report.html",
    "steps.csv",
    "summary.json",
]

# LoRA and a new output on the last layers of the real network: a few seconds, most of them for the frozen prefix.
RECIPE = r"""model: efficientnet_lite0
data: mnist
image_size: 64
target_modules: 'blocks\.6\.0\.conv_pwl|conv_head'
r: 4
modules_to_save: [classifier]
replace_output: true
train_limit: 512
test_limit: 200
epochs: 5
batch_size: 32
learning_rate: 3e-3
"""


def environment(**changes):
    """Threads that wait by sleeping: spinning ones stand still where the machine has other work."""
    return {
        **os.environ,
        "LORIKEET_HOME": str(HOME),
        "OMP_WAIT_POLICY": "passive",
        **{k: str(v) for k, v in changes.items()},
    }


def run(*arguments, cwd=None, env=None, **options):
    """Runs the command to its end, whatever its exit code."""
    return subprocess.run(
        [BINARY, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        cwd=cwd,
        env=env or environment(),
        **options,
    )


def file_size_limit(count):
    """Limits the size of files for one process: a write then fails as on a full disk."""
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (count, count))


def run_all(cases, **options):
    """Runs each (arguments, anything), as many at a time as there are processors."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        results = list(pool.map(lambda case: run(*case[0], **options), cases))
    return [(*case, done) for case, done in zip(cases, results)]


def start(*arguments, env=None):
    return subprocess.Popen(
        [BINARY, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=env or environment(),
    )


def write_idx(path, shape, elements, magic=None):
    """An IDX file of unsigned bytes; gzipped where its name says so."""
    content = (magic or bytes([0, 0, 8, len(shape)])) + struct.pack(f">{len(shape)}I", *shape) + bytes(elements)
    Path(path).write_bytes(gzip.compress(content) if str(path).endswith(".gz") else content)


def read_safetensors(path):
    """Header and data of a safetensors file."""
    content = Path(path).read_bytes()
    size = struct.unpack("<Q", content[:8])[0]
    return json.loads(content[8 : 8 + size]), content[8 + size :]


def write_safetensors(path, header, data):
    """`header` is the object, or its text."""
    text = (header if isinstance(header, str) else json.dumps(header)).encode()
    Path(path).write_bytes(struct.pack("<Q", len(text)) + text + data)


class CommandTest(unittest.TestCase):
    """Makes a folder for each test, `self.folder`, and one for each class, `shared`."""

    @classmethod
    def setUpClass(cls):
        temporary = tempfile.TemporaryDirectory(prefix="lorikeet-e2e-")
        cls.addClassCleanup(temporary.cleanup)
        cls.shared = Path(temporary.name)

    def setUp(self):
        temporary = tempfile.TemporaryDirectory(prefix="lorikeet-e2e-")
        self.addCleanup(temporary.cleanup)
        self.folder = Path(temporary.name)

    @classmethod
    def lorikeet(cls, *arguments, **options):
        """Standard output of a command that must work."""
        done = run(*arguments, **options)
        if done.returncode != 0:
            raise AssertionError(f"lorikeet {' '.join(map(str, arguments))}: {done.returncode}: {done.stderr}")
        return done.stdout

    @classmethod
    def json(cls, *arguments, **options):
        """The one JSON document that a command with --json prints."""
        return json.loads(cls.lorikeet(*arguments, "--json", **options))

    @classmethod
    def recipe(cls, text=RECIPE):
        path = cls.shared / "recipe.yaml"
        path.write_text(text)
        return path

    @classmethod
    def train_run(cls, *overrides, name="run"):
        """A finished run of the recipe above; gives its folder."""
        cls.lorikeet("train", cls.recipe(), f"run={cls.shared / name}", *overrides)
        return cls.shared / name

    @classmethod
    def digits(cls, count):
        """The first `count` test images of MNIST as PNG files INDEX_DIGIT.png, in order."""
        return [
            Path(line)
            for line in cls.lorikeet(
                "data", "sample", "mnist", "--count", count, "--out", cls.shared / "digits"
            ).splitlines()
        ]

    @classmethod
    def image_folder(cls, names, images):
        """train/ and test/ of the digits that `names` maps to class names, every second image in each."""
        root = cls.shared / "images"
        for i, image in enumerate(i for i in images if digit_of(i) in names):
            to = root / ("test" if i % 2 else "train") / names[digit_of(image)]
            to.mkdir(parents=True, exist_ok=True)
            (to / image.name).write_bytes(image.read_bytes())
        return root

    def assert_refused(self, status, words, *arguments, **options):
        """The command fails with this exit code and one line that holds all the words, and prints nothing else."""
        self.assert_all_refused(status, [(arguments, words)], **options)

    def assert_all_refused(self, status, cases, **options):
        """Likewise for each (arguments, words); side by side, because starting takes longer than refusing."""
        for arguments, words, done in run_all(cases, **options):
            with self.subTest(arguments):
                self.assertEqual(done.returncode, status, done.stderr)
                self.assertEqual(done.stdout, "")
                self.assert_one_line(done.stderr, words)

    def assert_training_fails(self, words, *arguments, **options):
        """Like assert_refused, but what a training logged before it failed may precede the error."""
        done = run(*arguments, **options)
        self.assertEqual((done.returncode, done.stdout), (1, ""), done.stderr)
        *log, last = done.stderr.splitlines(keepends=True)
        self.assertFalse([line for line in log if line.startswith("lorikeet: ")])
        self.assert_one_line(last, words)

    def assert_one_line(self, text, words):
        self.assertRegex(text, r"\Alorikeet: [^\n]*\n\Z")
        self.assertNotIn("internal error", text)
        for word in words:
            self.assertIn(str(word), text)

    def assert_empty(self, folder):
        self.assertEqual(sorted(str(p) for p in folder.rglob("*")), [])


def digit_of(image):
    """ "0_7.png" is a seven."""
    return image.stem.split("_")[1]


def main():
    unittest.main(verbosity=2)  # names the skipped tests
