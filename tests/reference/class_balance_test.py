"""Loss and gradient with class weights are PyTorch's, on the logits of `predict --logits`."""
import json
import tempfile
import unittest
from pathlib import Path

import numpy
import PIL.Image
import safetensors.torch
import sklearn.utils.class_weight
import torch
from reference import idx, lorikeet

RECIPE = """model: efficientnet_lite0
data: DATA
image_size: 32
modules_to_save: [classifier]
replace_output: true
batch_size: 60
max_steps: 1
shuffle: false
engine: plain
optimizer: sgd
momentum: 0
weight_decay: 0
learning_rate: 1
"""
COUNTS = {0: 31, 1: 17, 2: 8, 7: 4}  # images of each digit


class ClassWeights(unittest.TestCase):
    def setUp(self):
        temporary = tempfile.TemporaryDirectory(prefix="lorikeet-balance-")
        self.addCleanup(temporary.cleanup)
        self.folder = Path(temporary.name)
        digits, labels = idx("train-images-idx3-ubyte"), idx("train-labels-idx1-ubyte")
        self.images, self.labels = [], []
        for place, (label, count) in enumerate(COUNTS.items()):
            folder = self.folder / "data/train" / str(label)
            folder.mkdir(parents=True)
            for i, digit in enumerate(digits[labels == label][:count]):
                self.images.append(folder / f"{i:02}.png")
                PIL.Image.fromarray(digit.numpy()).save(self.images[-1])
                self.labels.append(place)
        (self.folder / "recipe.yaml").write_text(RECIPE.replace("DATA", str(self.folder / "data")))

    def train(self, name, *settings):
        """The loss of the step, and the bias after it."""
        run = self.folder / name
        lorikeet("train", self.folder / "recipe.yaml", f"run={run}", *settings)
        step = json.loads((run / "metrics.jsonl").read_text().splitlines()[0])
        tensors = safetensors.torch.load_file(run / "adapter/adapter_model.safetensors")
        (bias,) = [tensor for key, tensor in tensors.items() if key.endswith("classifier.bias")]
        return step["loss"], bias

    def test_loss_and_gradient(self):
        _, start = self.train("start", "learning_rate=0")
        logits = self.folder / "logits.safetensors"
        lorikeet("predict", self.folder / "start", *self.images, "--logits", logits)
        logits = safetensors.torch.load_file(logits)["logits"].requires_grad_()
        labels = torch.tensor(self.labels)
        balanced = sklearn.utils.class_weight.compute_class_weight(
            "balanced", classes=numpy.unique(self.labels), y=self.labels
        )
        for setting, weights, smoothing in (
            ("null", None, 0.0),
            ("balanced", balanced, 0.0),
            ("[0.5, 0, 3, 1.25]", [0.5, 0, 3, 1.25], 0.0),
            ("balanced", balanced, 0.1),
        ):
            with self.subTest(f"{setting} {smoothing}"):
                weights = weights if weights is None else torch.tensor(list(weights), dtype=torch.float32)
                expected = torch.nn.functional.cross_entropy(logits, labels, weights, label_smoothing=smoothing)
                (gradient,) = torch.autograd.grad(expected, logits)
                loss, bias = self.train(
                    f"run-{setting}-{smoothing}", f"class_weights={setting}", f"label_smoothing={smoothing}"
                )
                self.assertAlmostEqual(loss, expected.item(), delta=1e-5 * expected.item())
                torch.testing.assert_close(start - bias, gradient.sum(0), rtol=1e-4, atol=1e-6)


if __name__ == "__main__":
    unittest.main()
