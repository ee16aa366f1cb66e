"""Every command in the README works as it stands there. Blocks marked `long` run with LORIKEET_LONG=1 only."""
import os
import re
import subprocess
import unittest

from command import BINARY, HOME, RESNET50, ROOT, CommandTest, digit_of, environment, main

BLOCK = re.compile(r"^```sh( long)?\n(.*?)^```$", re.MULTILINE | re.DOTALL)


class Readme(CommandTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.blocks = BLOCK.findall((ROOT / "README.md").read_text())
        photos = cls.image_folder({"0": "cat", "1": "dog"}, cls.digits(100))
        for image in sorted(photos.rglob("*.png")):  # the README says *.jpg; the content decides
            image.rename(image.with_suffix(".jpg"))
        photos.rename(cls.shared / "photos")
        for name in ("recipes", "scripts"):
            (cls.shared / name).symlink_to(ROOT / name)

    def sh(self, command, **variables):
        path = f"{BINARY.parent if hasattr(BINARY, 'parent') else os.path.dirname(BINARY)}:{os.environ['PATH']}"
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=self.shared,
            env=environment(PATH=path, **variables),
            capture_output=True,
            text=True,
        )
        self.assertEqual(done.returncode, 0, f"{command}\n{done.stdout}\n{done.stderr}")
        return done.stdout

    def commands(self, long):
        for is_long, block in self.blocks:
            if bool(is_long) == long:
                yield from (line.split("#")[0].strip() for line in block.splitlines())

    def test_commands(self):
        commands = [c for c in self.commands(long=False) if not c.startswith("./scripts/")]
        self.assertGreater(len(commands), 8)
        for command in commands:
            with self.subTest(command):
                printed = self.sh(command)
                if command.startswith("lorikeet eval"):
                    accuracy = float(re.match(r"accuracy ([0-9.]+)", printed)[1])
                    self.assertGreater(accuracy, 0.9)

    def test_scripts(self):
        """The demo is run by demo_test.py, the tests run this."""
        scripts = [c for c in self.commands(long=False) if c.startswith("./scripts/")]
        self.assertEqual(scripts, ["./scripts/demo", "./scripts/test"])

    @unittest.skipUnless(os.environ.get("LORIKEET_LONG"), "needs LORIKEET_LONG=1")
    @unittest.skipUnless(RESNET50.exists(), "needs ../shared")
    def test_long_commands(self):
        home = self.shared / "home"  # the weights of ../shared under the official ones' name
        (home / "weights").mkdir(parents=True)
        (home / "data").symlink_to(HOME / "data")
        (home / "weights/resnet50-11ad3fa6.pth").symlink_to(RESNET50)
        commands = list(self.commands(long=True))
        self.assertGreater(len(commands), 0)
        for command in commands:
            with self.subTest(command):
                self.assertIn("Case 4", self.sh(command, LORIKEET_HOME=home))


if __name__ == "__main__":
    main()
