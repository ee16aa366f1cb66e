"""Weights files as people have them, and runs that were made with one."""
import json
import os
import shutil
import subprocess

from command import BINARY, EFFICIENTNET, CommandTest, environment, main


class WeightsFile(CommandTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        (cls.image,) = cls.digits(1)
        cls.weights = cls.shared / "w.pth"
        shutil.copy(EFFICIENTNET, cls.weights)
        cls.run_folder = cls.train_run(
            f"weights={cls.weights}", "max_steps=1", "train_limit=32", "test_limit=10", "image_size=32"
        )

    def test_a_run_opens_without_naming_its_file(self):
        summary = json.loads((self.run_folder / "summary.json").read_text())
        found = self.json("eval", self.run_folder, "--limit", 10)
        self.assertEqual((found["correct"], found["loss"]), (summary["test"]["correct"], summary["test"]["loss"]))
        guesses = self.json("predict", self.run_folder, self.image)
        self.assertEqual(guesses, self.json("predict", self.run_folder, self.image, "--weights", self.weights))
        self.lorikeet("merge", self.run_folder, "--out", self.folder / "merged.safetensors")
        self.lorikeet("export", self.run_folder, "--out", self.folder / "model.onnx")
        for form in "adapter", "adapter.lorikeet":
            self.assertEqual(self.json("inspect", self.run_folder / form)["adapter"]["base_weights"], "w.pth")

    def test_the_path_stays_on_this_machine(self):
        for path in (self.run_folder / "adapter").iterdir():
            self.assertNotIn(str(self.shared).encode(), path.read_bytes(), path)
        # The size of a file does not depend on where the weights are.
        longer = self.folder / ("long" * 20)
        longer.mkdir()
        shutil.copy(self.weights, longer / "w.pth")
        again = self.folder / "again.lorikeet"
        self.lorikeet("convert", self.run_folder, again, "--weights", longer / "w.pth")
        self.assertEqual(again.read_bytes(), (self.run_folder / "adapter.lorikeet").read_bytes())
        self.lorikeet("export", self.run_folder, "--out", self.folder / "model.onnx")
        self.assertNotIn(str(self.shared).encode(), (self.folder / "model.onnx").read_bytes())

    def test_a_file_that_was_moved_must_be_named(self):
        moved = self.folder / "moved.pth"
        self.weights.rename(moved)
        try:
            self.assert_refused(
                1,
                [self.run_folder, "trained on the file 'w.pth'", "no longer at", "--weights"],
                "predict",
                self.run_folder,
                self.image,
            )
            self.lorikeet("predict", self.run_folder, self.image, "--weights", moved)
        finally:
            moved.rename(self.weights)

    def test_names_that_are_not_utf8(self):
        image = os.path.join(os.fsencode(self.folder), b"caf\xe9.png")
        shutil.copy(self.image, image)
        done = subprocess.run(
            [BINARY, "predict", self.run_folder, image, "--json"], capture_output=True, env=environment(), check=True
        )
        self.assertTrue(json.loads(done.stdout)[0]["image"].endswith("caf\N{REPLACEMENT CHARACTER}.png"))
        for split in b"train", b"test":
            os.makedirs(os.path.join(os.fsencode(self.folder), split, b"caf\xe9"))
            shutil.copy(image, os.path.join(os.fsencode(self.folder), split, b"caf\xe9", b"a.png"))
        out = self.folder / "out"
        self.assert_refused(1, ["caf\\xe9", "not UTF-8"], "train", self.recipe(), f"data={self.folder}", f"run={out}")
        self.assertFalse(out.exists())


if __name__ == "__main__":
    main()
