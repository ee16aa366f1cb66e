"""The article's recipes on ResNet-50: counts and sizes, exactly. Accuracy is the long test's."""
import json
import unittest

from command import RESNET50, ROOT, CommandTest, environment, main

COUNTS = {"case1": 646_410, "case2": 2_714_610, "case3": 2_135_810, "case4": 20_490}


@unittest.skipUnless(RESNET50.exists(), "needs ResNet-50's weights: LORIKEET_TEST_RESNET50 or LORIKEET_TEST_WEIGHTS")
class Article(CommandTest):
    def train(self, recipe, *overrides):
        return self.json(
            "train",
            ROOT / f"recipes/article/{recipe}.yaml",
            f"weights={RESNET50}",
            f"run={self.folder / recipe}",
            "epochs=1",
            *overrides,
        )

    def test_counts(self):
        short = "max_steps=1", "train_limit=64", "test_limit=1"
        for recipe, count in COUNTS.items():
            if recipe != "case2":
                self.assertEqual(self.train(recipe, *short)["trainable_parameters"], count, recipe)
        summary = self.train("case2", "r=8", *short)
        self.assertEqual(
            (summary["trainable_parameters"], f"{summary['adapter_bytes'] / 2**20:.2f}"), (2_733_810, "7.96")
        )
        self.assertEqual(self.train("tip", *short)["trainable_parameters"], 76_800 + 20_490)

    def test_case_2(self):
        summary = self.train("case2", "train_limit=256", "test_limit=100")
        self.assertEqual(summary["trainable_parameters"], COUNTS["case2"])
        adapter = self.folder / "case2/adapter"
        size = (adapter / "adapter_model.safetensors").stat().st_size
        self.assertEqual(f"{size / 2**20:.2f}", "7.89")
        self.assertEqual(summary["adapter_bytes"], size)
        self.assertGreater(summary["whole_model_bytes"], 12 * size)
        found = self.json("eval", adapter, "--weights", RESNET50, "--limit", 100)
        self.assertEqual((found["accuracy"], found["loss"]), (summary["test"]["accuracy"], summary["test"]["loss"]))
        inspected = self.json("inspect", adapter)
        self.assertEqual(inspected["trainable_parameters"], COUNTS["case2"])
        self.assertEqual(inspected["adapter"]["base_weights"], RESNET50.name)
        self.assertEqual(json.loads((adapter / "adapter_config.json").read_text())["target_modules"], r".*\.2\.conv3")
        # The run opens without --weights while the file is where it was.
        self.assertEqual(self.json("eval", adapter, "--limit", 100)["accuracy"], found["accuracy"])
        elsewhere = environment(LORIKEET_HOME=self.folder / "home")
        self.assert_refused(
            1, [adapter, "got no base weights", RESNET50.name, "--weights"], "eval", adapter, env=elsewhere
        )

    def test_pattern_of_the_article_matches_nothing(self):
        self.assert_refused(
            2,
            ["'.*.2.conv'", "matches no module", "layer1.2.conv1"],
            "train",
            ROOT / "recipes/article/case3.yaml",
            f"weights={RESNET50}",
            "target_modules=.*.2.conv",
            cwd=self.folder,
        )
        self.assert_empty(self.folder)


if __name__ == "__main__":
    main()
