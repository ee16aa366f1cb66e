"""The metrics of `eval --json` are scikit-learn's and numpy's on the logits of `predict --logits`."""
import json
import math
import tempfile
import unittest
from pathlib import Path

import numpy
import safetensors.numpy
import sklearn.metrics
from reference import lorikeet

RECIPE = r"""model: efficientnet_lite0
data: mnist
image_size: 64
peft_type: LORA
target_modules: 'conv_head'
r: 4
modules_to_save: [classifier]
replace_output: true
train_limit: 256
test_limit: 50
epochs: 2
batch_size: 32
learning_rate: 1e-3
"""
SKIPPED = 7  # a digit without test images


def calibration_error(probabilities, labels, bins=15):
    confidence = probabilities.max(1)
    hits = probabilities.argmax(1) == labels
    places = numpy.clip(numpy.ceil(confidence * bins) - 1, 0, bins - 1)
    return sum(abs(hits[places == b].sum() - confidence[places == b].sum()) for b in range(bins)) / len(labels)


class Metrics(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory(prefix="lorikeet-metrics-")
        cls.addClassCleanup(folder.cleanup)
        root = Path(folder.name)
        (root / "recipe.yaml").write_text(RECIPE)
        lorikeet("train", root / "recipe.yaml", f"run={root / 'run'}")
        files = lorikeet("data", "sample", "mnist", "--count", 300, "--out", root / "digits").split()
        images, cls.labels = [], []
        for file in sorted(map(Path, files), key=lambda f: (f.stem.split("_")[1], f.name)):
            label = int(file.stem.split("_")[1])
            if label == SKIPPED:
                continue
            to = root / "data/test" / str(label)
            to.mkdir(parents=True, exist_ok=True)
            images.append(to / file.name)
            images[-1].write_bytes(file.read_bytes())
            cls.labels.append(label)
        lorikeet("predict", root / "run", *images, "--logits", root / "logits.safetensors")
        logits = safetensors.numpy.load_file(root / "logits.safetensors")["logits"].astype(numpy.float64)
        cls.probabilities = numpy.exp(logits - logits.max(1, keepdims=True))
        cls.probabilities /= cls.probabilities.sum(1, keepdims=True)
        cls.found = json.loads(lorikeet("eval", root / "run", f"data={root / 'data'}", "--json"))
        cls.labels = numpy.array(cls.labels)
        cls.predicted = logits.argmax(1)

    def test_some_are_wrong(self):
        self.assertLess(self.found["accuracy"], 1)
        self.assertGreater(self.found["accuracy"], 0.2)

    def test_accuracies(self):
        self.assertEqual(self.found["correct"], (self.predicted == self.labels).sum())
        top5 = sklearn.metrics.top_k_accuracy_score(self.labels, self.probabilities, k=5, labels=range(10))
        self.assertAlmostEqual(self.found["top5_accuracy"], top5, places=12)
        loss = sklearn.metrics.log_loss(self.labels, self.probabilities, labels=range(10))
        self.assertAlmostEqual(self.found["loss"], loss, 4)

    def test_classes_and_macro_averages(self):
        with_all = dict(labels=range(10), zero_division=0)
        precision, recall, f1, total = sklearn.metrics.precision_recall_fscore_support(
            self.labels, self.predicted, **with_all
        )
        rows = {row["class"]: row for row in self.found["classes"]}
        for digit in range(10):
            if str(digit) not in rows:
                self.assertEqual((total[digit], (self.predicted == digit).sum()), (0, 0))
                continue
            row = rows[str(digit)]
            self.assertAlmostEqual(row["precision"], precision[digit], places=12)
            self.assertAlmostEqual(row["recall"], recall[digit], places=12)
            self.assertAlmostEqual(row["f1"], f1[digit], places=12)
            self.assertEqual(row["total"], total[digit])
        macro = sklearn.metrics.precision_recall_fscore_support(
            self.labels, self.predicted, average="macro", zero_division=0
        )
        for name, expected in zip(("macro_precision", "macro_recall", "macro_f1"), macro):
            self.assertAlmostEqual(self.found[name], expected, places=12)

    def test_confusion_matrix(self):
        expected = sklearn.metrics.confusion_matrix(self.labels, self.predicted, labels=range(10))
        self.assertEqual(self.found["confusion"]["images"], expected.tolist())
        self.assertEqual(self.found["confusion"]["labels"], [str(digit) for digit in range(10)])

    def test_calibration_error(self):
        self.assertAlmostEqual(self.found["calibration_error"], calibration_error(self.probabilities, self.labels), 5)

    def test_interval(self):
        n, p, z = self.found["total"], self.found["accuracy"], 1.959963984540054
        # The definition: the proportions from which p is z standard errors away.
        for bound in self.found["accuracy_interval"]:
            self.assertAlmostEqual(abs(p - bound), z * math.sqrt(bound * (1 - bound) / n), places=9)


if __name__ == "__main__":
    unittest.main(verbosity=2)
