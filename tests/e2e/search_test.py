"""lorikeet search: processes that share a folder, kills, Ctrl-C, resuming, and a winner that its recipe reproduces."""
import json
import os
import shutil
import signal
import time

from command import CommandTest, file_size_limit, main, run, start

RECIPE = """model: efficientnet_lite0
data: mnist
image_size: 32
train_limit: 384
validation: 128
test_limit: 100
epochs: 5
batch_size: 32
search:
  peft_type: [HEAD, LORA_XS, TINYLORA]
  target_modules: [last]
  head: [{projected: 16, basis: output}]
  r: [4]
  u: [50, 100]
  learning_rate: [2e-2]
  file_precision: [bfloat16, int4]
"""
GOAL = "target=0.5", "minimise=bytes", "budget=100s"
CANDIDATES = 4


class Search(CommandTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.alone = cls.shared / "alone"
        cls.found = cls.json("search", cls.recipe(RECIPE), *GOAL, "--out", cls.alone)

    @staticmethod
    def decided(folder):
        """What follows from the seed: all but times."""
        results = {}
        for path in sorted(folder.glob("trials/*/result.json")):
            result = json.loads(path.read_text())
            for stage in result["stages"]:
                del stage["seconds"]
            results[path.parent.name] = result
        return results, json.loads((folder / "promoted-2.json").read_text())

    def tensors(self, adapter, name):
        """The learned tensors of a file, in float32."""
        self.lorikeet("convert", adapter, self.folder / name)
        return [(self.folder / name / file).read_bytes() for file in ("adapter_config.json", "head.safetensors")] + [
            (self.folder / name / "adapter_model.safetensors").read_bytes()
        ]

    def wait_for(self, process, condition):
        deadline = time.monotonic() + 60
        while not condition():
            self.assertIsNone(process.poll(), "the search ended by itself")
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.02)

    def start_search(self, folder):
        process = start("search", self.recipe(RECIPE), *GOAL, "--out", folder, "--json")
        self.addCleanup(lambda: process.poll() is None and process.kill())
        return process

    def test_finds_an_adapter_that_its_recipe_reproduces(self):
        found, folder = self.found, self.alone
        self.assertTrue(found["reached"])
        self.assertEqual((found["candidates"], found["stages"]), (CANDIDATES, [20, 60]))
        winner = found["winner"]
        self.assertGreaterEqual(winner["validation_accuracy"], 0.5)
        self.assertEqual((folder / "winner.lorikeet").stat().st_size, winner["bytes"])
        costs = [point["bytes"] for point in found["front"]]
        self.assertEqual(costs, sorted(costs))
        self.assertEqual(winner["bytes"], min(p["bytes"] for p in found["front"] if p["validation_accuracy"] >= 0.5))
        evaluated = self.json("eval", folder / "winner.lorikeet", "--limit", 100)
        self.assertEqual(evaluated["correct"], found["test"]["correct"])
        self.assertEqual(self.json("eval", folder, "--limit", 100)["correct"], found["test"]["correct"])

        report = (folder / "report.html").read_text()
        for word in "Pareto front", "LORA_XS", "<svg", "test accuracy":
            self.assertIn(word, report)
        self.assertNotIn("article", report)  # which has no figures for this model

        again = self.folder / "again"
        self.lorikeet("train", folder / "winner.yaml", f"run={again}")
        self.assertEqual(self.tensors(again / "adapter.lorikeet", "a"), self.tensors(folder / "winner.lorikeet", "b"))

    def test_processes_share_a_search_and_one_is_killed(self):
        folder = self.folder / "shared"
        victim = self.start_search(folder)
        self.wait_for(victim, lambda: list(folder.glob("trials/*/run/metrics.jsonl")))
        others = [self.start_search(folder) for _ in range(2)]
        victim.kill()
        victim.communicate()
        for process in others:
            stdout, stderr = process.communicate(timeout=120)
            self.assertEqual(process.returncode, 0, stderr)
            self.assertEqual(json.loads(stdout)["winner"]["trial"], self.found["winner"]["trial"])
        self.assertEqual(self.decided(folder), self.decided(self.alone))

    def test_ctrl_c_and_resume(self):
        folder = self.folder / "stopped"
        process = self.start_search(folder)
        self.wait_for(process, lambda: list(folder.glob("trials/*/result.json")))
        process.send_signal(signal.SIGINT)
        stdout, stderr = process.communicate(timeout=60)
        self.assertEqual((process.returncode, stdout), (130, ""), stderr)
        self.assertIn(f"lorikeet search --resume {folder}", stderr.splitlines()[-1])
        done = run("search", "--resume", folder, "budget=100s", "--json")
        self.assertRegex(
            done.stderr, rf"stage 1 of 2: [123] of {CANDIDATES} trials left, up to step 20, measured on 128 images"
        )
        resumed = json.loads(done.stdout)
        self.assertEqual(resumed["winner"]["trial"], self.found["winner"]["trial"])
        self.assertEqual(resumed["test"], self.found["test"])
        self.assertEqual(self.decided(folder), self.decided(self.alone))

    def copy_of_alone(self, name):
        shutil.copytree(self.alone, self.folder / name)
        return self.folder / name

    def reset_to_first_stage(self, folder):
        """Forgets the last stage of a trial that has it; returns the trial's folder."""
        for path in sorted(folder.glob("trials/*/result.json")):
            result = json.loads(path.read_text())
            if len(result["stages"]) == 2:
                path.write_text(json.dumps({**result, "stages": result["stages"][:1]}))
                return path.parent
        self.fail("no trial has two stages")

    def test_a_damaged_run_is_trained_again_from_its_start(self):
        folder = self.copy_of_alone("damaged-run")
        trial = self.reset_to_first_stage(folder)
        os.truncate(trial / "run/recipe.yaml", 50)
        resumed = self.json("search", "--resume", folder, "budget=100s")
        self.assertEqual(resumed["winner"]["trial"], self.found["winner"]["trial"])
        self.assertEqual(self.decided(folder), self.decided(self.alone))

    def test_a_missing_adapter_leaves_no_half_written_winner(self):
        folder = self.copy_of_alone("missing-adapter")
        for name in "winner.yaml", "winner.lorikeet", "result.json", "report.html":
            (folder / name).unlink()
        missing = folder / f"trials/{self.found['winner']['trial']:04}/stage-2.lorikeet"
        missing.unlink()
        done = run("search", "--resume", folder)
        self.assertEqual(done.returncode, 1)
        self.assertIn(f"{missing}: not found, expected the folder or file of an adapter.", done.stderr)
        left = {path.name for path in folder.iterdir()} & {
            "winner.yaml",
            "winner.lorikeet",
            "result.json",
            "report.html",
        }
        self.assertEqual(left, set())

    def test_impossible_results_are_refused(self):
        folder = self.copy_of_alone("impossible")
        path = folder / "trials/0001/result.json"
        text = path.read_text()
        for key, value in (("images", 100), ("steps", 21)):
            result = json.loads(text)
            result["stages"][0][key] = value
            path.write_text(json.dumps(result))
            done = run("search", "--resume", folder)
            self.assertEqual(done.returncode, 1)
            self.assertIn(f"{path}: got a damaged file", done.stderr)

    def test_a_folder_that_is_moved_away(self):
        folder = self.folder / "moved"
        process = self.start_search(folder)
        self.wait_for(process, lambda: list(folder.glob("trials/*/run/metrics.jsonl")))
        folder.rename(self.folder / "elsewhere")
        stderr = process.communicate(timeout=60)[1]
        self.assertEqual(process.returncode, 1, stderr)
        self.assertNotIn("--resume", stderr)

    def test_a_full_disk(self):
        folder = self.folder / "full"
        done = run("search", self.recipe(RECIPE), *GOAL, "--out", folder, preexec_fn=file_size_limit(60_000))
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertIn("File too large", done.stderr)
        self.assertIn(f"lorikeet search --resume {folder}", done.stderr.splitlines()[-1])
        resumed = self.json("search", "--resume", folder, "budget=100s")
        self.assertEqual(resumed["test"], self.found["test"])
        self.assertEqual(self.decided(folder), self.decided(self.alone))

    def test_a_target_out_of_reach(self):
        folder = self.folder / "high"
        overrides = "epochs=1", "search={peft_type: [HEAD]}", "budget=60s"
        done = run("search", self.recipe(RECIPE), "target=1", *overrides, "--out", folder)
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertIn("got no adapter with a validation accuracy of 1.0000", done.stderr.splitlines()[-1])
        self.assertIn("the nearest point has 0.", done.stderr.splitlines()[-1])
        self.assertIn("HEAD", done.stdout)
        self.assertTrue(done.stdout.startswith("Pareto front: of all trials and precisions at step 12, "), done.stdout)
        self.assertTrue((folder / "winner.lorikeet").exists())

    def test_holds_out_a_tenth_of_the_images_that_are_used(self):
        overrides = "validation=0", "epochs=1", "search={peft_type: [HEAD]}", "budget=60s"
        done = run("search", self.recipe(RECIPE), "target=0.1", *overrides, "--out", self.folder / "held", "--json")
        self.assertEqual(json.loads(done.stdout)["validation_images"], 38, done.stderr)
        self.assertIn("validation: 38 training images are held out", done.stderr)

    def test_refusals(self):
        recipe, folder = self.recipe(RECIPE), self.folder / "new"
        search = ["search", recipe, "--out", folder]
        goal = ["target=0.9"]
        cases = [
            (search, ["target: got none"]),
            ([*search, "target=1.5"], ["target: got '1.5'"]),
            ([*search, *goal, "minimise=size"], ["minimise: got 'size'", "bytes, parameters, seconds"]),
            ([*search, *goal, "budget=soon"], ["budget: got 'soon'"]),
            ([*search, *goal, "tune=adapter"], ["tune: got it in the recipe of a search"]),
            ([*search, *goal, "search={epochs: [1]}"], ["search: got the key 'epochs'"]),
            ([*search, *goal, "search={r: [a]}"], ["r: got 'a'"]),
            ([*search, *goal, "--resume", self.alone], ["--resume: got more than the folder"]),
            (["search", "--resume", folder], [folder, "got no folder"]),
            (
                ["search", recipe, "target=0.6", "batch_size=16", "--out", self.alone],
                [self.alone, "another search (target is 0.5 there and 0.6 here, batch_size is 32 there and 16 here)"],
            ),
            ([*search, "target=96"], ["target: got '96'", "e.g. target=0.96."]),
            ([*search, *goal, "minimize=bytes"], ["minimize: got an unknown key. Did you mean 'minimise'?"]),
            ([*search, *goal, "search={r: 3}"], ["r: got '3', expected a list", "e.g. r: [3]."]),
            (["compare", self.alone], [self.alone, "got the folder of a search", self.alone / "winner.yaml"]),
            (["search", recipe, *goal, "--out", self.alone / "trials"], ["got a folder with other files"]),
        ]
        self.assert_all_refused(2, cases)
        self.assertFalse(folder.exists())
        self.assert_training_fails(["nothing.pth"], *search, *goal, "weights=nothing.pth")
        self.assertFalse(folder.exists())


if __name__ == "__main__":
    main()
