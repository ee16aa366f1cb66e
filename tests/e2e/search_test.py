"""lorikeet search: processes that share a folder, kills, Ctrl-C, resuming, and a winner that its recipe reproduces."""
import json
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
        self.assertRegex(done.stderr, rf"stage 1 of 2: [123] of {CANDIDATES} trials left, up to step 20, measured on 128 images")
        resumed = json.loads(done.stdout)
        self.assertEqual(resumed["winner"]["trial"], self.found["winner"]["trial"])
        self.assertEqual(resumed["test"], self.found["test"])
        self.assertEqual(self.decided(folder), self.decided(self.alone))

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
            (["search", recipe, "target=0.6", "--out", self.alone], [self.alone, "got the folder of another search"]),
            (["search", recipe, *goal, "--out", self.alone / "trials"], ["got a folder with other files"]),
        ]
        self.assert_all_refused(2, cases)
        self.assertFalse(folder.exists())
        self.assert_training_fails(["nothing.pth"], *search, *goal, "weights=nothing.pth")
        self.assertFalse(folder.exists())


if __name__ == "__main__":
    main()
