"""A folder of the user's images, from training to prediction.

Classes from the folders' names, a val split, early stopping, random augmentation; then predict, eval, inspect.
"""
import json
import random

from command import CommandTest, digit_of, main, run

NAMES = {"0": "a big zero", "1": "jedynka ąę", "7": "7|seven"}


class OwnImages(CommandTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.root = cls.image_folder(NAMES, cls.digits(600))
        (cls.root / "train" / NAMES["0"] / "notes.txt").write_text("not an image")
        cls.run_folder = cls.train_run(
            f"data={cls.root}",
            "validation=20",
            "early_stop=3",
            "epochs=30",
            "train_limit=0",
            "test_limit=0",
            "batch_size=16",
        )
        cls.summary = json.loads((cls.run_folder / "summary.json").read_text())
        cls.test_images = sorted(cls.root.glob("test/*/*.png"))

    def test_learns_and_stops_early(self):
        self.assertGreater(self.summary["test"]["accuracy"], 0.85)
        self.assertEqual(self.summary["test"]["total"], len(self.test_images))
        self.assertEqual(self.summary["validation"]["total"], 20)
        self.assertLess(self.summary["epochs"], 30)
        self.assertIn("stopped early", (self.run_folder / "log.txt").read_text())
        metrics = [json.loads(line) for line in (self.run_folder / "metrics.jsonl").read_text().splitlines()]
        best = max(line["validation_accuracy"] for line in metrics if "validation_accuracy" in line)
        self.assertEqual(self.summary["validation"]["accuracy"], best)

    def test_evaluation_equals_the_end_of_training(self):
        found = self.json("eval", self.run_folder)
        self.assertEqual(found["data"], str(self.root))
        self.assertEqual(
            (found["accuracy"], found["loss"]), (self.summary["test"]["accuracy"], self.summary["test"]["loss"])
        )
        self.assertEqual([c["class"] for c in found["classes"]], sorted(NAMES.values()))

    def test_predict_names_the_folders(self):
        answers = self.json("predict", self.run_folder, *self.test_images)
        right = sum(
            answer["predictions"][0]["class"] == image.parent.name for answer, image in zip(answers, self.test_images)
        )
        self.assertEqual(right, self.summary["test"]["correct"])

    def test_images_of_several_sizes_at_once(self):
        images = self.test_images[:3]
        by_one = [self.json("predict", self.run_folder, image)[0]["predictions"][0] for image in images]
        together = [answer["predictions"][0] for answer in self.json("predict", self.run_folder, *images)]
        for one, several in zip(by_one, together):
            self.assertEqual(one["class"], several["class"])
            self.assertAlmostEqual(one["probability"], several["probability"], places=4)

    def test_fewer_classes_in_the_test_folder(self):
        part = self.folder / "part"
        for image in self.test_images:
            if digit_of(image) == "1":
                to = part / "test" / image.parent.name
                to.mkdir(parents=True, exist_ok=True)
                (to / image.name).write_bytes(image.read_bytes())
        found = self.json("eval", self.run_folder, f"data={part}")
        self.assertEqual([c["class"] for c in found["classes"] if c["total"] > 0], [NAMES["1"]])
        self.assertEqual(found["total"], sum(digit_of(image) == "1" for image in self.test_images))

    def test_folders_as_people_have_them(self):
        """Sub-folders, a system's folders, valid/, an unlabelled test/: the same training, and notes in the log."""
        odd = self.folder / "odd"
        for image in self.root.glob("train/*/*.png"):
            to = odd / "train" / image.parent.name / ("deep/er" if digit_of(image) == "7" else "")
            to.mkdir(parents=True, exist_ok=True)
            (to / image.name).write_bytes(image.read_bytes())
        for image in self.test_images:
            for to in (odd / "valid" / image.parent.name / image.name, odd / "test" / image.name):
                to.parent.mkdir(parents=True, exist_ok=True)
                to.write_bytes(image.read_bytes())
        for name in "@eaDir", "__MACOSX", ".cache":
            (odd / "train" / name).mkdir()
        settings = ["train_limit=0", "test_limit=0", "epochs=1", "batch_size=16"]
        found = self.json("train", self.recipe(), f"data={odd}", f"run={self.folder / 'odd run'}", *settings)
        plain = self.json("train", self.recipe(), f"data={self.root}", f"run={self.folder / 'plain run'}", *settings)
        self.assertEqual(found["train_loss"], plain["train_loss"])
        self.assertEqual(found["validation"]["accuracy"], plain["test"]["accuracy"])
        log = (self.folder / "odd run/log.txt").read_text()
        for words in ("3 folders", "@eaDir", "__MACOSX"), (
            "test: ignored",
            f"{len(self.test_images)} images have no labels",
        ):
            self.assertTrue([line for line in log.splitlines() if all(word in line for word in words)], log)
        self.assertNotIn("eaDir", (self.folder / "odd run/adapter/lorikeet.json").read_text())
        done = run("eval", self.folder / "odd run")
        self.assertEqual(done.returncode, 0)
        self.assertIn("test: ignored", done.stderr)
        self.assertIn(f"{len(self.test_images):,}", done.stdout)

    def test_random_views(self):
        """Random views: new ones in each epoch, or two cached views of each image; the run's recipe repeats both."""
        random_images = ["random_resized_crop=[0.6,1]", "random_crop_padding=2", "random_horizontal_flip=0.5"]
        losses = {}
        for views in (0, 2):
            run = self.train_run(
                f"data={self.root}",
                *random_images,
                f"cache_views={views}",
                "epochs=6",
                "train_limit=0",
                "test_limit=0",
                "batch_size=16",
                name=f"views{views}",
            )
            again = self.json("train", run / "recipe.yaml", f"run={self.folder / f'again{views}'}")
            summary = json.loads((run / "summary.json").read_text())
            self.assertEqual(summary["cached_prefix"], views == 2)
            self.assertGreater(summary["test"]["accuracy"], 0.75)
            self.assertEqual(again["test"]["accuracy"], summary["test"]["accuracy"])
            losses[views] = [
                line["train_loss"]
                for line in map(json.loads, (run / "metrics.jsonl").read_text().splitlines())
                if "train_loss" in line
            ]
        self.assertEqual(losses[0][0], losses[2][0])
        self.assertNotEqual(losses[0][2], losses[2][2])

    def test_chance_level_of_the_untrained(self):
        """The accuracy above was learned: labels at random are not."""
        shuffled = self.folder / "shuffled"
        chance = random.Random(0)
        for image in self.root.glob("*/*/*.png"):
            to = shuffled / image.parts[-3] / chance.choice(["x", "y", "z"])
            to.mkdir(parents=True, exist_ok=True)
            (to / image.name).write_bytes(image.read_bytes())
        found = self.json(
            "train",
            self.recipe(),
            f"data={shuffled}",
            f"run={self.folder / 'run'}",
            "train_limit=0",
            "epochs=2",
            "batch_size=16",
            "image_size=32",
        )
        self.assertLess(found["test"]["accuracy"], 0.65)


if __name__ == "__main__":
    main()
