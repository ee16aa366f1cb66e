"""Checkpoints as training scripts leave them, written by the real torch: what is taken and said, and the logits."""
import argparse
import copy
import json
import os
import subprocess
import tempfile
import unittest
from pathlib import Path

import numpy
import PIL.Image
import torch

import reference


def resnet18(classes=1000, seed=0):
    torch.manual_seed(seed)
    model = reference.torchvision.models.resnet18(num_classes=classes)
    with torch.no_grad():  # statistics and scales other than the initial ones
        for module in model.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.running_mean.normal_(0, 0.1)
                module.running_var.uniform_(0.5, 1.5)
                module.weight.uniform_(0.5, 1.5)
    return model.eval()


def prefixed(prefix, state):
    return {prefix + name: tensor for name, tensor in state.items()}


class Checkpoints(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        temporary = tempfile.TemporaryDirectory(prefix="lorikeet-checkpoints-")
        cls.addClassCleanup(temporary.cleanup)
        cls.folder = Path(temporary.name)
        pixels = numpy.random.default_rng(0).integers(0, 256, (64, 64, 3), numpy.uint8)
        cls.image = cls.folder / "image.png"
        PIL.Image.fromarray(pixels).save(cls.image)
        normalised = (pixels / 255 - reference.MEAN) / reference.STD
        cls.pixels = torch.tensor(normalised.transpose(2, 0, 1)[None], dtype=torch.float32)

    def predict(self, content, *options):
        """The logits, what is written to standard error, and the guesses."""
        torch.save(content, self.folder / "checkpoint.pth")
        out = self.folder / "logits.safetensors"
        arguments = [self.folder / "checkpoint.pth", self.image, "--preprocess", "normalise", "--logits", out, "--json"]
        done = subprocess.run(
            [reference.BINARY, "predict", *map(str, arguments), *options],
            capture_output=True,
            text=True,
            env={**os.environ, "LORIKEET_HOME": reference.HOME},
        )
        self.assertEqual(done.returncode, 0, done.stderr)
        return reference.read_tensors(out)["logits"], done.stderr, json.loads(done.stdout)[0]["predictions"]

    def assert_logits(self, found, model, tolerance=1e-4):
        with torch.no_grad():
            expected = model(self.pixels)
        self.assertLess((found - expected).abs().max().item(), tolerance * expected.abs().max().item())

    def test_nested_with_objects(self):
        model, average = resnet18(seed=1), resnet18(seed=2)
        optimizer = torch.optim.AdamW(model.parameters())
        model(self.pixels).sum().backward()
        optimizer.step()
        own = model.state_dict()
        beside = {
            "epoch": 3,
            "best_acc1": numpy.float64(0.5),
            "args": argparse.Namespace(lr=0.1, model="resnet18"),
            "optimizer": optimizer.state_dict(),
        }
        cases = [
            ({"state_dict": own, **beside}, model, "args"),
            ({"model": own, **beside}, model, "args"),
            ({"model_state_dict": own, **beside}, model, "args"),
            ({"state_dict": prefixed("module.", own), **beside}, model, "args"),
            ({"model": prefixed("_orig_mod.module.", own), **beside}, model, "args"),
            ({"state_dict": own, "state_dict_ema": average.state_dict(), **beside}, average, "state_dict_ema"),
            ({"model": own, "model_ema": average.state_dict(), **beside}, average, "model_ema"),
        ]
        for content, expected, said in cases:
            with self.subTest(list(content)):
                logits, stderr, _ = self.predict(content)
                self.assert_logits(logits, expected)
                self.assertIn(said, stderr)

    def test_half_and_bfloat16(self):
        for dtype in torch.float16, torch.bfloat16:
            model = resnet18(seed=3).to(dtype)
            logits, _, _ = self.predict({"state_dict": model.state_dict()})
            self.assert_logits(logits, copy.deepcopy(model).float())

    def test_counters_of_a_profiler(self):
        model = resnet18(seed=4)
        plain = copy.deepcopy(model)
        for module in model.modules():  # as thop.profile does
            module.register_buffer("total_ops", torch.zeros(1, dtype=torch.float64))
            module.register_buffer("total_params", torch.zeros(1, dtype=torch.float64))
        logits, stderr, _ = self.predict({"state_dict": model.state_dict()}, "--model", "resnet18")
        self.assert_logits(logits, plain)
        self.assertIn("counters of a profiler", stderr)

    def test_classifier_of_another_size(self):
        model = resnet18(classes=37, seed=5)
        logits, stderr, guesses = self.predict({"state_dict": model.state_dict()}, "--model", "resnet18")
        self.assertEqual(logits.shape, (1, 37))
        self.assert_logits(logits, model)
        self.assertIn("'fc' has 37 outputs, not 1,000", stderr)
        self.assertEqual(guesses[0]["class"], str(logits.argmax().item()))

    def test_backbone_without_classifier(self):
        model = resnet18(seed=6)
        state = {name: tensor for name, tensor in model.state_dict().items() if not name.startswith("fc.")}
        logits, stderr, _ = self.predict(prefixed("backbone.", state), "--model", "resnet18")
        self.assertIn("has no output layer 'fc', which is zero until it is trained", stderr)
        self.assertEqual(logits.abs().max().item(), 0)


if __name__ == "__main__":
    unittest.main(verbosity=2)
