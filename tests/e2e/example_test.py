"""examples/adapt.cpp, built, on a folder of images."""
import os
import re
import subprocess

from command import ROOT, CommandTest, environment, main

EXAMPLE = os.environ.get("LORIKEET_EXAMPLE", str(ROOT / "build/bin/adapt"))


class Example(CommandTest):
    def test_adapt(self):
        photos = self.image_folder({"0": "zero", "1": "one"}, self.digits(100))
        adapter = self.folder / "adapter"
        done = subprocess.run([EXAMPLE, photos, adapter], env=environment(), capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stderr)
        accuracy = float(re.search(r"accuracy ([0-9.]+)", done.stdout)[1])
        self.assertGreater(accuracy, 0.8)
        found = self.json("eval", adapter, f"data={photos}")  # the command opens what the program saved
        self.assertAlmostEqual(found["accuracy"], accuracy, places=4)

    def test_bad_usage_and_bad_data(self):
        self.assertEqual(subprocess.run([EXAMPLE], capture_output=True).returncode, 2)
        done = subprocess.run([EXAMPLE, self.folder, self.folder / "out"], env=environment(), capture_output=True, text=True)
        self.assertEqual(done.returncode, 1)
        self.assertTrue(done.stderr.startswith("adapt: "), done.stderr)


if __name__ == "__main__":
    main()
