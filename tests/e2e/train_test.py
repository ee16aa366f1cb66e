"""The main job on real input: EfficientNet-Lite0 learns MNIST; its run is repeated, evaluated, used, continued."""
import json
import math
import shutil
import struct
import time

from command import MNIST, RECIPE, RUN_FILES, CommandTest, digit_of, main, read_safetensors, run


class Train(CommandTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.run_folder = cls.shared / "run"
        cls.printed = cls.json("train", cls.recipe(), f"run={cls.run_folder}")
        cls.summary = json.loads((cls.run_folder / "summary.json").read_text())
        cls.images = cls.digits(20)

    def metrics(self, folder):
        return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]

    def test_data_alone_is_enough(self):
        """Without a recipe: the choices are said, what is given stays, and the budget of time is kept."""
        images = self.image_folder({"0": "zero", "1": "one"}, self.digits(80))
        run_folder = self.folder / "alone"
        start = time.monotonic()
        done = run("train", f"data={images}", "model=efficientnet_lite0", "time=8s", f"run={run_folder}")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertLess(time.monotonic() - start, 20)  # on a busy machine, too
        for subject in ("base: as given", "tune: tune adapter", "rate: batch_size", "length: as given"):
            self.assertIn(f"\n{subject}", done.stderr)
        summary = json.loads((run_folder / "summary.json").read_text())
        self.assertGreater(summary["test"]["accuracy"], 0.9)
        self.assertGreater(summary["epochs"], 1)
        report = (run_folder / "report.html").read_text()
        self.assertIn("tune: tune adapter", report)
        self.assert_refused(2, ["data=FOLDER"], "train", "epochs=2")
        self.assert_refused(2, ["time", "10 minutes"], "train", f"data={images}", "time=10 minutes")

    def test_tunings(self):
        """Each trains more than the one before, from a recipe that names no module."""
        counts = []
        for tune in ("probe", "norm", "partial", "full"):
            keys = "target_modules=auto", "modules_to_save=null", "replace_output=false", f"tune={tune}", "max_steps=1"
            self.lorikeet("train", self.recipe(), *keys, "test_limit=8", f"run={self.folder / tune}")
            counts.append(json.loads((self.folder / tune / "summary.json").read_text())["trainable_parameters"])
        self.assertEqual(counts, sorted(set(counts)))

    def test_run_folder(self):
        names = sorted(str(p.relative_to(self.run_folder)) for p in self.run_folder.rglob("*"))
        self.assertEqual(
            names,
            sorted(
                [
                    "adapter",
                    "adapter/README.md",
                    "adapter/adapter_config.json",
                    "adapter/adapter_model.safetensors",
                    "adapter/lorikeet.json",
                    "checkpoints",
                    "checkpoints/step-64.safetensors",
                    "checkpoints/step-80.safetensors",
                    *RUN_FILES,
                ]
            ),
        )
        self.assertIn("test accuracy", (self.run_folder / "log.txt").read_text())
        self.assertEqual(self.printed, self.summary)

    def test_learns(self):
        self.assertEqual(self.summary["status"], "finished")
        self.assertGreater(self.summary["test"]["accuracy"], 0.7)
        steps = [line for line in self.metrics(self.run_folder) if "step" in line]
        self.assertEqual([line["step"] for line in steps], list(range(1, 5 * 16 + 1)))
        self.assertLess(steps[-1]["loss"], steps[0]["loss"] / 3)

    def test_counts_and_sizes(self):
        header, data = read_safetensors(self.run_folder / "adapter/adapter_model.safetensors")
        tensors = {name: record["shape"] for name, record in header.items() if name != "__metadata__"}
        prefix = "base_model.model."
        self.assertEqual(
            tensors,
            {
                prefix + "blocks.6.0.conv_pwl.lora_A.weight": [4, 1152, 1, 1],
                prefix + "blocks.6.0.conv_pwl.lora_B.weight": [320, 4, 1, 1],
                prefix + "conv_head.lora_A.weight": [4, 320, 1, 1],
                prefix + "conv_head.lora_B.weight": [1280, 4, 1, 1],
                prefix + "classifier.weight": [10, 1280],
                prefix + "classifier.bias": [10],
            },
        )
        numbers = sum(math.prod(shape) for shape in tensors.values())
        self.assertEqual(self.summary["trainable_parameters"], numbers)
        self.assertEqual(len(data), 4 * numbers)
        files = {p.name: p.stat().st_size for p in (self.run_folder / "adapter").iterdir()}
        self.assertEqual(self.summary["adapter_bytes"], files["adapter_model.safetensors"])
        self.assertEqual(self.summary["adapter_folder_bytes"], sum(files.values()))

    def test_resolved_recipe_repeats_the_run(self):
        again = self.folder / "again"
        self.lorikeet("train", self.run_folder / "recipe.yaml", f"run={again}")
        for name in "adapter/adapter_model.safetensors", "recipe.yaml":
            self.assertEqual((again / name).read_bytes(), (self.run_folder / name).read_bytes(), name)
        without_time = [
            [{k: v for k, v in line.items() if k != "seconds"} for line in self.metrics(folder)]
            for folder in (again, self.run_folder)
        ]
        self.assertEqual(*without_time)

    def test_the_sizes_of_adapter_and_head_are_printed(self):
        short = ["max_steps=1", "train_limit=32", "test_limit=1"]
        without_head = self.lorikeet("train", self.recipe(), *short, f"run={self.folder}/a")
        self.assertRegex(without_head, r"(?m)^[\d,]+ trainable parameters, adapter file [\d.]+ KiB, trained in 0:\d\d ")
        head = self.lorikeet("train", self.recipe(), *short, "head=[]", "replace_output=false", f"run={self.folder}/b")
        size = (self.folder / "b/adapter/head.safetensors").stat().st_size
        self.assertIn(f" and head file {size / 1024:.1f} KiB, trained in ", head)

    def test_run_is_not_overwritten(self):
        before = (self.run_folder / "summary.json").read_bytes()
        self.assert_refused(
            2, [self.run_folder, "holds a run already", "--force"], "train", self.recipe(), f"run={self.run_folder}"
        )
        self.assertEqual((self.run_folder / "summary.json").read_bytes(), before)

    def test_run_folder_by_default_and_force(self):
        short = ["max_steps=1", "train_limit=32", "test_limit=1"]
        for _ in range(2):
            self.lorikeet("train", self.recipe(), *short, cwd=self.folder)
        self.assertEqual(sorted(p.name for p in (self.folder / "runs").iterdir()), ["recipe", "recipe-2"])
        self.lorikeet("train", self.recipe(), *short, "run=runs/recipe", "seed=7", "--force", cwd=self.folder)
        self.assertIn("seed: 7\n", (self.folder / "runs/recipe/recipe.yaml").read_text())

    def test_the_recipe_in_a_runs_folder_names_its_own_run(self):
        data = self.folder / "mnist"
        data.symlink_to(MNIST)
        short = ["max_steps=1", "train_limit=32", "test_limit=1", "lora_dropout=0.5"]
        self.lorikeet("train", self.recipe(), *short, "data=mnist/", "run=trials/mine/", cwd=self.folder)
        mine = self.folder / "trials/mine"
        self.assertIn(f"data: {data}\n", (mine / "recipe.yaml").read_text())
        for number in 2, 3:
            self.lorikeet("train", mine / "recipe.yaml")
            again = self.folder / f"trials/mine-{number}"
            for name in "adapter/adapter_model.safetensors", "recipe.yaml":
                self.assertEqual((again / name).read_bytes(), (mine / name).read_bytes(), name)
        self.assertEqual(sorted(p.name for p in mine.parent.iterdir()), ["mine", "mine-2", "mine-3"])
        self.assertEqual(self.json("eval", mine, "--limit", 5)["total"], 5)

    def test_a_method_without_targets_is_refused(self):
        head_only = ["target_modules=", f"run={self.folder}/head", "max_steps=1", "train_limit=32", "test_limit=1"]
        self.assert_refused(
            2, ["peft_type", "IA3", "target_modules"], "train", self.recipe(), *head_only, "peft_type=IA3"
        )
        text = run("train", self.recipe(), *head_only).stderr
        self.assertIn("no target_modules: no layer gets LORA, only classifier is trained", text)

    def test_evaluation_equals_the_end_of_training(self):
        for name in self.run_folder, self.run_folder / "adapter":
            found = self.json("eval", name, "--limit", 200)
            self.assertEqual(
                {k: v for k, v in found.items() if k not in ("seconds", "model", "data")},
                {k: v for k, v in self.summary["test"].items() if k != "seconds"},
            )
            self.assertEqual(sum(c["correct"] for c in found["classes"]), found["correct"])
        text = self.lorikeet("eval", self.run_folder, "data=mnist", "--limit", 200)
        top5 = [f"{found[key]:.4f}" for key in ["top5_accuracy"]] + [f"{bound:.4f}" for bound in found["top5_interval"]]
        self.assertIn("top-5 {}, 95% interval {} to {}, macro precision".format(*top5), text)
        self.assertIn(f"accuracy {found['accuracy']:.4f} ({found['correct']} of 200 in mnist)", text)

    def test_int8_is_near_float32_and_evaluates_as_it_ended(self):
        run = self.folder / "int8"
        self.lorikeet("train", self.recipe(), f"run={run}", "precision=int8")
        summary = json.loads((run / "summary.json").read_text())
        found = self.json("eval", run, "--limit", 200)
        self.assertEqual((found["correct"], found["loss"]), (summary["test"]["correct"], summary["test"]["loss"]))
        self.assertLess(abs(found["correct"] - self.summary["test"]["correct"]), 10)
        self.assertEqual(json.loads((run / "adapter/lorikeet.json").read_text())["precision"], "int8")
        self.assert_refused(
            2,
            ["precision", "int8", "plain"],
            "train",
            self.recipe(),
            f"run={self.folder}/plain",
            "precision=int8",
            "engine=plain",
        )

    def test_adapter_is_all_that_is_needed(self):
        moved = self.folder / "mine"
        shutil.copytree(self.run_folder / "adapter", moved)
        self.assertEqual(
            self.json("predict", moved, self.images[0])[0]["predictions"],
            self.json("predict", self.run_folder, self.images[0])[0]["predictions"],
        )

    def test_predict_names_digits_on_png_files(self):
        lines = self.lorikeet("predict", self.run_folder, *self.images).splitlines()
        self.assertEqual([line.split("  ")[0] for line in lines], [str(p) for p in self.images])
        right = sum(line.split("  ")[1].split()[0] == digit_of(image) for line, image in zip(lines, self.images))
        self.assertEqual(right, self.json("eval", self.run_folder, "--limit", len(self.images))["correct"])
        self.assertGreater(right, 12)

    def test_predict_top_json_and_logits(self):
        logits = self.folder / "logits.safetensors"
        answers = self.json("predict", self.run_folder, *self.images, "--top", 3, "--logits", logits)
        header, data = read_safetensors(logits)
        self.assertEqual(header, {"logits": {"dtype": "F32", "shape": [20, 10], "data_offsets": [0, 800]}})
        for i, answer in enumerate(answers):
            row = struct.unpack_from("<10f", data, 40 * i)
            exponents = [math.exp(v - max(row)) for v in row]
            best = sorted(range(10), key=lambda k: -row[k])[:3]
            self.assertEqual(answer["image"], str(self.images[i]))
            self.assertEqual([g["index"] for g in answer["predictions"]], best)
            self.assertEqual([g["class"] for g in answer["predictions"]], [str(k) for k in best])
            for guess in answer["predictions"]:
                self.assertAlmostEqual(guess["probability"], exponents[guess["index"]] / sum(exponents), places=5)

    def test_more_classes_asked_for_than_there_are(self):
        self.assertEqual(len(self.json("predict", self.run_folder, self.images[0], "--top", 99)[0]["predictions"]), 10)

    def test_inspect_adapter(self):
        found = self.json("inspect", self.run_folder)
        self.assertEqual(found["trainable_parameters"], self.summary["trainable_parameters"])
        self.assertEqual(found["parameters"], self.summary["total_parameters"])
        self.assertEqual(found["adapter"]["classes"], [str(i) for i in range(10)])
        self.assertEqual(found["adapter"]["training"]["test"]["accuracy"], self.summary["test"]["accuracy"])
        learned = {node["name"]: node["trainable"] for node in found["nodes"] if node["trainable"]}
        self.assertEqual(sorted(learned), ["blocks.6.0.conv_pwl", "classifier", "conv_head"])
        self.assertIn("r=4", self.lorikeet("inspect", self.run_folder / "adapter"))

    def test_start_from_goes_on(self):
        on = self.folder / "on"
        self.lorikeet("train", self.recipe(), f"start_from={self.run_folder}", "epochs=1", f"run={on}")
        (first,) = (line for line in self.metrics(on) if line.get("step") == 1)
        fresh, *_ = self.metrics(self.run_folder)
        self.assertLess(first["loss"], fresh["loss"] / 2)

    def test_compare_runs_once(self):
        recipes = []
        for name, seed in ("first", 0), ("second", 1):
            recipes.append(self.folder / f"{name}.yaml")
            recipes[-1].write_text(
                RECIPE
                + f"max_steps: 1\nseed: {seed}\nreference: {{title: The {name}, trainable: 31K, accuracy: 0.5}}\n"
            )
        arguments = ["compare", *recipes, "test_limit=10", "--runs", self.folder / "runs"]
        table = run(*arguments)
        self.assertEqual(table.returncode, 0, table.stderr)
        self.assertEqual(
            [line for line in table.stderr.splitlines() if line.startswith("==")],
            [f"== {self.folder / 'runs' / name}" for name in ("first", "second")],
        )
        for words in "| The first ", "| The second ", "0.500", "31K", "adapter_model.safetensors":
            self.assertIn(words, table.stdout)
        again = run(*arguments)
        self.assertEqual((again.returncode, again.stdout, again.stderr), (0, table.stdout, ""))
        self.assertEqual([row["summary"]["steps"] for row in self.json(*arguments)], [1, 1])
        other = run(*arguments, "seed=5")
        self.assertIn("first-2", other.stderr)
        # Runs by their folders.
        found = self.json("compare", self.folder / "runs/second", self.folder / "runs/first")
        self.assertEqual([row["reference"]["title"] for row in found], ["The second", "The first"])


if __name__ == "__main__":
    main()
