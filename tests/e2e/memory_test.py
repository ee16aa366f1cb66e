"""The memory that training announces is what it takes, and what does not fit is refused before it starts."""
import os
import re
import subprocess

from command import BINARY, CommandTest, environment, main

UNITS = {"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}


class Memory(CommandTest):
    def announced_and_taken(self, name, *overrides):
        """Bytes that the log names, and the peak of the process."""
        arguments = ["train", str(self.recipe()), f"run={self.folder / name}", "test_limit=100", *overrides]
        with open(self.folder / "log", "w") as log:
            process = subprocess.Popen([BINARY, *arguments], stdout=log, stderr=log, env=environment())
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
        text = (self.folder / "log").read_text()
        self.assertEqual(process.returncode, 0, text)
        number, unit = re.search(r"about ([\d.]+) (\w+) of memory", text).groups()
        return float(number) * UNITS[unit], usage.ru_maxrss * 1024

    def test_announced_is_taken(self):
        for name, *overrides in (
            ("small", "image_size=64", "epochs=1", "train_limit=64"),
            ("large", "image_size=224", "epochs=1", "train_limit=64"),
            ("cached", "image_size=224", "epochs=2", "train_limit=256", "batch_size=8"),
        ):
            announced, taken = self.announced_and_taken(name, *overrides)
            with self.subTest(name, announced=announced, taken=taken):
                self.assertLess(taken, 1.25 * announced)
                self.assertGreater(taken, 0.7 * announced)

    def test_what_does_not_fit_is_refused(self):
        run = self.folder / "run"
        self.assert_refused(
            2,
            ["batch_size: got 50000, which needs about", "of memory", "Set batch_size to"],
            "train",
            self.recipe(),
            f"run={run}",
            "batch_size=50000",
            "image_size=512",
            "train_limit=0",
        )
        self.assertFalse(run.exists())


if __name__ == "__main__":
    main()
