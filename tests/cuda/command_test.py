"""`device: cuda` through the command: training learns, runs can be opened, and the CPU agrees with the result.

tests/cuda/run sets LORIKEET_BIN and LORIKEET_HOME, which holds MNIST and EfficientNet-Lite0. Exit code 77: no GPU.
"""
import json
import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

DEVICE = os.environ.get("LORIKEET_TEST_DEVICE", "cuda")
BINARY = os.environ["LORIKEET_BIN"]
REPOSITORY = Path(__file__).resolve().parents[2]


def lorikeet(*arguments, expect=0):
    done = subprocess.run([BINARY, *map(str, arguments)], capture_output=True, text=True, cwd=REPOSITORY)
    if done.returncode != expect:
        raise AssertionError(f"lorikeet {' '.join(map(str, arguments))}: exit code {done.returncode}\n{done.stderr}")
    return done.stdout + done.stderr


def summary(run):
    return json.loads((Path(run) / "summary.json").read_text())


def losses(run):
    lines = [json.loads(line) for line in (Path(run) / "metrics.jsonl").read_text().splitlines()]
    return [line["loss"] for line in lines if "step" in line]


class Cuda(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.folder = Path(folder.name)

    def train(self, name, *overrides, device=DEVICE):
        run = self.folder / name
        recipe = "recipes/demo/efficientnet_lite0.yaml"
        lorikeet("train", recipe, f"run={run}", f"device={device}", "test_limit=1000", *overrides)
        return run

    def test_first_steps_are_the_cpus(self):
        few = ["train_limit=256", "shuffle=false", "image_size=64", "precision=float32", "test_limit=64"]
        for engine in ("plain", "fused"):
            here = losses(self.train(f"here-{engine}", f"engine={engine}", *few))
            there = losses(self.train(f"there-{engine}", f"engine={engine}", *few, device="cpu"))
            print(f"{engine}: losses {here} on {DEVICE}, {there} on the CPU")
            self.assertAlmostEqual(here[0], there[0], delta=2e-2 * there[0])
            self.assertAlmostEqual(here[-1], there[-1], delta=5e-2 * there[-1])

    def test_training_learns_and_the_cpu_agrees(self):
        limit = "20000" if DEVICE == "cuda" else "3200"
        least = 0.93 if DEVICE == "cuda" else 0.80
        for precision in ("float32", "bfloat16"):
            run = self.train(f"learn-{precision}", f"precision={precision}", f"train_limit={limit}")
            there = summary(run)["test"]["accuracy"]
            lorikeet("eval", run, "--json", "--limit", "1000")
            here = json.loads(lorikeet("eval", run, "--json", "--limit", "1000"))["accuracy"]
            print(f"{precision}: accuracy {there} on {DEVICE}, {here} on the CPU")
            self.assertGreater(there, least)
            self.assertAlmostEqual(here, there, delta=0.01)

    def test_caches_in_memory_and_on_disk_train_alike(self):
        few = ["train_limit=1024", "epochs=2", "precision=float32", "test_limit=64"]
        memory = losses(self.train("memory", *few))
        disk = losses(self.train("disk", "cache_gib=0", "cache_disk_gib=4", *few))
        none = losses(self.train("none", "cache_gib=0", "cache_disk_gib=0", *few))
        for other in (disk, none):
            self.assertEqual(len(other), len(memory))
            self.assertAlmostEqual(other[-1], memory[-1], delta=5e-2 * memory[-1])

    def test_every_method_trains_and_merges(self):
        few = ["train_limit=128", "image_size=64", "test_limit=64"]
        for name, overrides in {
            "dora": ["use_dora=true", "lora_dropout=0.1"],
            "pissa": ["init_lora_weights=pissa"],
            "loha": ["peft_type=LOHA"],
            "lokr": ["peft_type=LOKR"],
            "ia3": ["peft_type=IA3"],
            "norms": ["peft_type=LN_TUNING", r"target_modules='blocks\.[3-6]\..*bn\d'"],
            "sgd": ["optimizer=sgd", "clip_grad_norm=1"],
        }.items():
            run = self.train(name, *overrides, *few)
            self.assertEqual(summary(run)["status"], "finished")
            lorikeet("merge", run, "--out", self.folder / f"{name}.safetensors")


if __name__ == "__main__":
    doctor = lorikeet("doctor")
    if DEVICE == "cuda" and "device=cuda can be used" not in doctor:
        print("... skipped: no CUDA device; LORIKEET_TEST_DEVICE=cpu runs these tests on the CPU")
        sys.exit(77)
    unittest.main(verbosity=2)
