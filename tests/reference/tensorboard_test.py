"""TensorBoard's own reader reads a run's event file, with the values of metrics.jsonl."""
import json
import tempfile
import unittest
from pathlib import Path

from metrics_test import RECIPE
from reference import lorikeet
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.backend.event_processing.event_multiplexer import EventMultiplexer


class Events(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory(prefix="lorikeet-events-")
        cls.addClassCleanup(folder.cleanup)
        cls.root = Path(folder.name)
        (cls.root / "recipe.yaml").write_text(RECIPE + "validation: 64\n")
        lorikeet("train", cls.root / "recipe.yaml", f"run={cls.root / 'runs/a'}")
        lines = (cls.root / "runs/a/metrics.jsonl").read_text().splitlines()
        cls.steps = [line for line in map(json.loads, lines) if "step" in line]
        cls.epochs = [line for line in map(json.loads, lines) if "step" not in line]
        cls.events = EventAccumulator(str(cls.root / "runs/a"))
        cls.events.Reload()

    def check(self, tag, steps, values):
        found = self.events.Scalars(tag)
        self.assertEqual([event.step for event in found], steps)
        for event, value in zip(found, values):
            self.assertAlmostEqual(event.value, value, delta=1e-6 * max(1, abs(value)))

    def test_steps(self):
        numbers = [line["step"] for line in self.steps]
        self.check("train/loss", numbers, [line["loss"] for line in self.steps])
        self.check("train/learning_rate", numbers, [line["learning_rate"] for line in self.steps])

    def test_epochs(self):
        last = [max(s["step"] for s in self.steps if s["epoch"] == e["epoch"]) for e in self.epochs]
        self.assertEqual(len(last), 2)
        for tag, key in {
            "train/epoch_loss": "train_loss",
            "train/accuracy": "train_accuracy",
            "validation/loss": "validation_loss",
            "validation/accuracy": "validation_accuracy",
            "validation/macro_f1": "validation_macro_f1",
        }.items():
            self.check(tag, last, [line[key] for line in self.epochs])

    def test_final(self):
        test = json.loads((self.root / "runs/a/summary.json").read_text())["test"]
        self.check("test/final_accuracy", [self.steps[-1]["step"]], [test["accuracy"]])

    def test_times_rise(self):
        times = [event.wall_time for event in self.events.Scalars("train/loss")]
        self.assertEqual(times, sorted(times))
        self.assertGreater(times[0], 1.6e9)

    def test_a_folder_of_runs(self):
        runs = EventMultiplexer().AddRunsFromDirectory(str(self.root / "runs"))
        runs.Reload()
        self.assertEqual(list(runs.Runs()), ["a"])


if __name__ == "__main__":
    unittest.main(verbosity=2)
