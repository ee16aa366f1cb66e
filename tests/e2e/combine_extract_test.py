"""combine and extract: adapters added up by weights, and an adapter from the difference of two models."""
import array

from command import EFFICIENTNET, CommandTest, main, read_safetensors

SHORT = ("max_steps=4", "train_limit=128", "test_limit=10", "image_size=32", "learning_rate=1e-2")


class CombineExtract(CommandTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.one = cls.train_run(*SHORT, name="one")
        cls.other = cls.train_run(*SHORT, "seed=1", name="other")  # another output
        cls.images = cls.digits(8)

    def logits(self, model, *options):
        file = self.folder / "logits.safetensors"
        self.lorikeet("predict", model, *self.images, "--logits", file, *options)
        return array.array("f", read_safetensors(file)[1])

    def assert_same(self, a, b, delta=1e-3):
        self.assertEqual(len(a), len(b))
        for left, right in zip(a, b):
            self.assertAlmostEqual(left, right, delta=delta)

    def test_weights_that_sum_to_one_give_the_adapter_back(self):
        expected = self.logits(self.one)
        for how, parts in (
            ("linear", (self.one,)),
            ("cat", (f"{self.one}=0.25", f"{self.one}=0.75")),
            ("svd", (f"{self.one}=2", f"{self.one}=-1")),
        ):
            with self.subTest(how):
                text = self.lorikeet("combine", *parts, "--how", how, "--rank", 4, "--out", self.folder / how)
                self.assertIn("| conv_head ", text)
                self.assert_same(self.logits(self.folder / how), expected)
                self.assertIn("combined", self.lorikeet("inspect", self.folder / how, "--json"))

    def test_folders_may_end_with_a_slash(self):
        """As a shell completes them; a second time they replace what the first wrote."""
        out = self.folder / "slash"
        for _ in range(2):
            self.lorikeet("combine", f"{self.one}/", "--out", f"{out}/")
            self.assert_same(self.logits(f"{out}/"), self.logits(self.one))
        self.lorikeet("data", "sample", "mnist", "--count", 1, "--out", f"{self.folder}/pictures/")
        self.assertEqual(len(list((self.folder / "pictures").iterdir())), 1)
        self.assertEqual([path.name for path in self.folder.iterdir() if path.name.startswith(".")], [])

    def test_other_folders_are_kept(self):
        work = self.folder / "work"
        work.mkdir()
        (work / "thesis.txt").write_text("x")
        tuned = EFFICIENTNET
        for arguments in (
            ["combine", self.one, "--out", work],
            ["extract", "--model", "efficientnet_lite0", "--from", tuned, "--out", work],
        ):
            self.assert_all_refused(1, [(arguments, ["work: got a folder that holds other things than an adapter"])])
        self.assertEqual((work / "thesis.txt").read_text(), "x")

    def test_half_the_weight_is_another_adapter(self):
        self.lorikeet("combine", f"{self.one}=0.5", "--out", self.folder / "half")
        half, whole = self.logits(self.folder / "half"), self.logits(self.one)
        self.assertGreater(max(abs(a - b) for a, b in zip(half, whole)), 1e-2)

    def test_what_full_training_changed_comes_back_as_an_adapter(self):
        self.lorikeet("merge", self.one, "--out", self.folder / "tuned.safetensors")
        text = self.lorikeet(
            "extract",
            "--model",
            "efficientnet_lite0",
            "--from",
            self.folder / "tuned.safetensors",
            "--rank",
            4,
            "--out",
            self.folder / "found",
        )
        self.assertIn("saved in full: classifier\n", text)
        self.assertIn("2 layers, largest error 0.00 %", text)
        options = ("--preprocess", "normalise")  # the run's own image size is not in the weights
        self.assert_same(self.logits(self.folder / "found", *options), self.logits(self.one, *options))
        arguments = ["extract", "--model", "efficientnet_lite0", "--from", self.folder / "tuned.safetensors"]
        sized = self.folder / "sized"
        self.lorikeet(*arguments, "--rank", 4, "--image-size", 32, "--out", sized)
        self.assert_same(self.logits(sized), self.logits(self.one))
        cut = self.lorikeet(
            "unmerge",
            "--model",
            "efficientnet_lite0",
            "--from",
            self.folder / "tuned.safetensors",
            "--rank",
            1,
            "--out",
            self.folder / "cut",
        )
        self.assertRegex(cut, r"2 layers, largest error [1-9]\d*\.\d\d %")

    def test_what_cannot_be_is_refused(self):
        out = self.folder / "out"
        self.assert_all_refused(
            1,
            [
                (["combine", self.one, self.other, "--out", out], ["other: got another 'classifier.weight'"]),
                (["combine", self.folder / "nothing", "--out", out], ["nothing: got no adapter, expected"]),
                (
                    ["extract", "--model", "efficientnet_lite0", "--from", EFFICIENTNET, "--out", out],
                    ["got the base model itself"],
                ),
                (
                    ["extract", "--model", "resnet18", "--weights", EFFICIENTNET, "--from", EFFICIENTNET, "--out", out],
                    ["efficientnet"],
                ),
            ],
        )
        self.assert_all_refused(
            2,
            [
                (["combine", f"{self.one}=much", "--out", out], ["no number after '='"]),
                (["combine", "--out", out], ["adapters"]),
                (["combine", self.one, "--how", "ties", "--out", out], ["--how"]),
                (["extract", "--from", EFFICIENTNET, "--out", out], ["--model"]),
            ],
        )
        self.assertFalse(out.exists())


if __name__ == "__main__":
    main()
