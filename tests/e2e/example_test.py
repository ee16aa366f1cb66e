"""The examples, built: examples/adapt.cpp on a folder of images, examples/adapter_set.cpp on adapters of two tasks."""
import os
import re
import subprocess

from command import ROOT, CommandTest, environment, main

SET = os.environ.get("LORIKEET_EXAMPLE_SET", str(ROOT / "build/bin/adapter_set"))
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

    def test_adapt_by_another_method(self):
        photos = self.image_folder({"0": "zero", "1": "one"}, self.digits(100))
        done = subprocess.run(
            [EXAMPLE, photos, self.folder / "adapter", "IA3"], env=environment(), capture_output=True, text=True
        )
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(self.json("inspect", self.folder / "adapter")["adapter"]["method"], "IA3")
        bad = subprocess.run(
            [EXAMPLE, photos, self.folder / "bad", "VBLORA"], env=environment(), capture_output=True, text=True
        )
        self.assertEqual(bad.returncode, 1)
        self.assertIn('adapt: peft_type: got "VBLORA", expected one of LORA, LOHA', bad.stderr)

    def test_a_batch_of_two_tasks(self):
        """Heads of two and ten classes, LoRA and DoRA, other preprocessing: each image gets its adapter's answer."""
        images = self.digits(60)
        short = ("max_steps=3", "train_limit=96", "test_limit=10", "learning_rate=1e-2")
        ten = self.train_run(*short, "image_size=48", name="ten")
        two = self.train_run(
            *short,
            f"data={self.image_folder({'0': 'zero', '1': 'one'}, images)}",
            "image_size=48",
            "use_dora=true",
            "r=2",
            "replace_output=false",
            "modules_to_save=[]",
            "head=[8]",
            name="two",
        )
        asked = [(two if i % 3 == 0 else ten, image) for i, image in enumerate(images[:9])]
        done = subprocess.run(
            [SET, "efficientnet_lite0", *(str(part) for pair in asked for part in pair)],
            env=environment(),
            capture_output=True,
            text=True,
        )
        self.assertEqual(done.returncode, 0, done.stderr)
        for (adapter, image), line in zip(asked, done.stdout.splitlines(), strict=True):
            guess = self.json("predict", adapter, image)[0]["predictions"][0]
            self.assertRegex(line, rf"\A{re.escape(str(image))}: {guess['class']} \([01]\.\d+\)\Z")
            self.assertAlmostEqual(float(line.rsplit("(", 1)[1][:-1]), guess["probability"], delta=2e-4)

    def test_a_set_refuses(self):
        done = subprocess.run(
            [SET, "efficientnet_lite0", self.folder, "x.png"], env=environment(), capture_output=True, text=True
        )
        self.assertEqual(done.returncode, 1)
        self.assertIn("got no adapter, expected", done.stderr)

    def test_bad_usage_and_bad_data(self):
        self.assertEqual(subprocess.run([EXAMPLE], capture_output=True).returncode, 2)
        done = subprocess.run(
            [EXAMPLE, self.folder, self.folder / "out"], env=environment(), capture_output=True, text=True
        )
        self.assertEqual(done.returncode, 1)
        self.assertTrue(done.stderr.startswith("adapt: "), done.stderr)


if __name__ == "__main__":
    main()
