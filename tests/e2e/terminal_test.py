"""What a terminal shows of a training, by a pseudo-terminal of several widths, and what a pipe receives."""
import csv
import fcntl
import io
import os
import pty
import re
import signal
import struct
import subprocess
import termios
import threading
import zlib

from command import BINARY, TIMEOUT, CommandTest, environment, main, run

SMALL = "image_size=32", "train_limit=256", "test_limit=60", "epochs=3", "validation=64"
ESCAPES = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")


def on_terminal(columns, *arguments, stdout=None, interrupt_at=None, **changes):
    """Runs the command with standard error, and output unless it is given, on a terminal; gives the exit code and the
    text received. Sends SIGINT when that text contains `interrupt_at`."""
    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    env = environment(**{"TERM": "xterm", **changes})
    if "NO_COLOR" not in changes:
        env.pop("NO_COLOR", None)
    process = subprocess.Popen([BINARY, *map(str, arguments)], stdout=stdout or follower, stderr=follower, env=env)
    os.close(follower)
    received, interrupted = bytearray(), []

    def read():
        try:
            while chunk := os.read(leader, 65536):
                received.extend(chunk)
                if interrupt_at and interrupt_at.encode() in received and not interrupted:
                    interrupted.append(process.send_signal(signal.SIGINT))
        except OSError:
            pass  # the other side is closed

    reader = threading.Thread(target=read)
    reader.start()
    status = process.wait(TIMEOUT)
    reader.join(10)
    os.close(leader)
    return status, received.decode()


def black_png(side):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = chunk(b"IHDR", struct.pack(">2I5B", side, side, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(bytes(side * (side + 1)))) + chunk(b"IEND", b"")


class Screen:
    """A terminal without scrolling limit: carriage return, line feed, erasure of the line, automatic wrapping."""

    def __init__(self, columns):
        self.columns, self.lines, self.column, self.wraps = columns, [""], 0, 0

    def write(self, text):
        while text:
            if escape := ESCAPES.match(text):
                if escape[0] == "\x1b[K":
                    self.lines[-1] = self.lines[-1][: self.column]
                text = text[escape.end() :]
                continue
            character, text = text[0], text[1:]
            if character == "\r":
                self.column = 0
            elif character == "\n":
                self.lines.append("")
                self.column = 0
            else:
                if self.column == self.columns:
                    self.wraps += 1
                    self.lines.append("")
                    self.column = 0
                line = self.lines[-1].ljust(self.column)
                self.lines[-1] = line[: self.column] + character + line[self.column + 1 :]
                self.column += 1


class Terminal(CommandTest):
    WIDTHS = 60, 72, 80, 100, 140, 200

    def train(self, columns, *options, **changes):
        status, text = on_terminal(
            columns, "train", self.recipe(), f"run={self.folder / str(columns)}", "--force", *SMALL, *options, **changes
        )
        self.assertEqual(status, 0, text)
        return text

    def updates(self, text):
        """The states of the live line."""
        found = [part.split("\n")[0].split("\r")[0] for part in text.split("\r\x1b[K")]
        return [line for line in found if "loss" in line and "█" in line or "░" in line]

    def test_every_width(self):
        for columns in self.WIDTHS:
            with self.subTest(columns):
                text = self.train(columns)
                updates = self.updates(text)
                self.assertGreater(len(updates), 2)
                for line in updates:
                    self.assertLess(len(line), columns, line)
                last = [line for line in updates if re.match(r"(epoch )?3/3", line)][-1]
                self.assertRegex(last, r"\d+(/s| img/s)")
                self.assertRegex(last, r"loss \d\.\d{4}")
                self.assertRegex(last, r"acc(uracy)? \d\.\d{4}")
                screen = Screen(columns)
                screen.write(text)
                lines = [line.rstrip() for line in screen.lines]
                self.assertFalse([line for line in lines if "█" in line or "░" in line], "a live line stays")
                header = next(i for i, line in enumerate(lines) if line.split()[:2] == ["epoch", "loss"])
                self.assertIn("val acc", lines[header])
                rows = lines[header + 1 : header + 4]
                self.assertEqual([row.split()[0] for row in rows], ["1/3", "2/3", "3/3"])
                self.assertEqual(sum(row.endswith(" *") for row in rows) >= 1, True)
                for row in rows:
                    self.assertLess(len(row), columns)
                at = lines.index("Next:")
                self.assertEqual(lines[at + 1].split()[:2], ["lorikeet", "eval"])

    def test_narrow_tables_leave_out_columns(self):
        for columns in 24, 35, 45:
            with self.subTest(columns):
                screen = Screen(columns)
                screen.write(self.train(columns))
                lines = [line.rstrip() for line in screen.lines]
                header = next(i for i, line in enumerate(lines) if line.split()[:1] == ["epoch"])
                for row in lines[header + 1 : header + 4]:
                    self.assertRegex(row, r"^ *\d/3(  +\d\.\d{4})+( \*)?$")

    def test_an_evaluation_shows_no_numbers_of_the_training(self):
        text = self.train(140)
        evaluations = [line for line in re.split(r"[\r\n]", text) if re.search(r"(validate|test)  [█░]", line)]
        self.assertTrue(evaluations)
        self.assertFalse([line for line in evaluations if "loss" in line or "accuracy" in line])

    def test_wide_lines_say_everything(self):
        updates = self.updates(self.train(140))
        self.assertRegex(updates[-1], r"^(epoch 3/3  [█░]+  \d+/\d+  |(validate|test)  [█░]+  \d+/\d+$)")
        self.assertTrue(any(re.search(r"\d+ img/s", line) for line in updates))

    def test_no_colour(self):
        self.assertRegex(self.train(100), r"\x1b\[[12]m")
        plain = self.train(100, NO_COLOR="1")
        self.assertEqual(set(ESCAPES.findall(plain)), {"\x1b[K"})

    def test_a_dumb_terminal_gets_plain_lines(self):
        text = self.train(80, TERM="dumb")
        self.assertNotIn("\x1b", text)
        self.assertRegex(text, r"epoch 3/3: loss [0-9.]+, accuracy")

    def test_quiet(self):
        text = self.train(80, "--quiet")
        self.assertNotIn("\x1b", text)
        accuracy = r"((test|validation) accuracy [^\n]*\n)?"
        self.assertRegex(text, r"\A\S+/adapter\r\n[\d,]+ trainable parameters[^\n]*\n" + accuracy + r"\Z")

    def test_a_pipe_gets_plain_lines(self):
        done = run("train", self.recipe(), f"run={self.shared / 'piped'}", *SMALL)
        self.assertEqual(done.returncode, 0)
        self.assertNotRegex(done.stdout + done.stderr, "[\r\x1b█░]")
        self.assertEqual(len(re.findall(r"^epoch \d/3: loss [0-9.]+, accuracy", done.stderr, re.MULTILINE)), 3)
        self.assertNotIn("Next:", done.stdout)
        quiet = run("train", self.recipe(), f"run={self.shared / 'quiet'}", *SMALL, "--quiet", "--json")
        self.assertEqual((quiet.returncode, quiet.stderr), (0, ""))

    def test_the_csv_of_predict_has_no_escapes(self):
        images = self.folder / "images"
        images.mkdir()
        for digit in self.digits(70):
            (images / digit.name).write_bytes(digit.read_bytes())
        (images / "a\x1b[31mred.png").write_bytes(digit.read_bytes())
        status, text = on_terminal(80, "predict", "efficientnet_lite0", images, "--csv")
        self.assertEqual(status, 0, text)
        self.assertNotIn("\x1b", text)
        rows = list(csv.DictReader(io.StringIO(text.replace("\r\n", "\n"))))
        self.assertEqual(len(rows), 71)
        with open(self.folder / "out.csv", "wb") as out:
            status, text = on_terminal(80, "predict", "efficientnet_lite0", images, "--csv", stdout=out)
        self.assertEqual(status, 0, text)
        self.assertRegex(text, "predict [█░]+")
        content = (self.folder / "out.csv").read_text()
        self.assertEqual(content.count("\x1b"), 1)  # of the file's name
        written = list(csv.DictReader(io.StringIO(content)))
        self.assertEqual([row["class"] for row in written], [row["class"] for row in rows])

    def test_the_check_of_images_shows_progress_and_stops(self):
        self.assertRegex(self.train(80, "bad_images=skip"), r"check  [█░]+  \d+/\d+")
        photos = self.folder / "photos"
        image = photos / "a/0.png"
        image.parent.mkdir(parents=True)
        image.write_bytes(black_png(5000))
        for i in range(1, 120):  # seconds of decoding
            to = photos / "ab"[i % 2] / f"{i}.png"
            to.parent.mkdir(exist_ok=True)
            os.link(image, to)
        run_folder = self.folder / "run"
        for recipe in [self.recipe()], []:
            status, text = on_terminal(
                80, "train", *recipe, f"data={photos}", "bad_images=skip", f"run={run_folder}", interrupt_at="check  "
            )
            self.assertEqual(status, 130, text)
            self.assertIn("the check of its images was stopped. Nothing was written.", text)
            self.assertFalse(run_folder.exists())

    def test_help_fits_the_terminal(self):
        for columns in 60, 80, 120:
            for command in [], ["train"], ["data", "check"], ["inspect"]:
                status, text = on_terminal(columns, *command, "--help")
                self.assertEqual(status, 0)
                long = [line for line in text.splitlines() if len(line) > columns]
                self.assertEqual([line for line in long if " " in line.strip()[: columns - 30]], [])
        words = " ".join(text.split())
        self.assertEqual(words, " ".join(self.lorikeet("inspect", "--help").split()))

    def test_quiet_keeps_errors(self):
        self.assert_refused(2, ["data", "nothing"], "train", self.recipe(), "data=", "--quiet")
        self.assert_refused(1, ["nowhere.png"], "predict", self.train_run(), "nowhere.png", "-q")


if __name__ == "__main__":
    main()
