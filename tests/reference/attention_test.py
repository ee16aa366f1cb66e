"""torch.nn.MultiheadAttention in a small vision transformer of torchvision's: the adapter's folder in PEFT 0.21, which
adapts the packed in_proj and out_proj together. tests/reference/transformer_networks.cpp writes the folders."""
import os
import subprocess
import tempfile
import unittest
from pathlib import Path

import torch

from reference import ROOT, read_tensors

import peft  # after reference, which makes torchvision importable
from torchvision.models.vision_transformer import VisionTransformer

NETWORKS = os.environ.get("LORIKEET_TRANSFORMER_NETWORKS", str(ROOT / "build/bin/transformer_networks"))
BOUND = 1e-5  # of float32, relative to the largest number of a tensor
FOLDERS = ("attention", "attention and mlp, its biases", "all biases, rsLoRA", "PiSSA", "all-linear")


def base(tensors, prefix="weight."):
    model = VisionTransformer(8, 4, 2, 3, 12, 24, num_classes=5)
    own = {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}
    own.pop("logits", None)
    model.load_state_dict(own)
    return model


def relative(found, expected):
    return (found - expected).abs().max().item() / expected.abs().max().item()


class MultiheadAttention(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        temporary = tempfile.TemporaryDirectory()
        cls.addClassCleanup(temporary.cleanup)
        cls.folder = Path(temporary.name)
        subprocess.run([NETWORKS, temporary.name], check=True)

    def each(self):
        for name in FOLDERS:
            tensors = read_tensors(self.folder / name / "logits.safetensors")
            model = peft.PeftModel.from_pretrained(base(tensors), self.folder / name, is_trainable=True)
            yield name, tensors, model  # in training mode: without dropout it is the same, and has gradients

    def test_pefts_logits(self):
        for _, tensors, model in self.each():
            self.assertLess(relative(tensors["logits"], model(tensors["images"]).detach()), BOUND)
            plain = base(tensors)(tensors["images"]).detach()
            self.assertLess(relative(tensors["start.logits"], plain), BOUND)
            self.assertGreater(relative(tensors["logits"], plain), 0.01)

    def test_keys_are_pefts(self):
        for name, _, model in self.each():
            with tempfile.TemporaryDirectory() as again:
                model.save_pretrained(again)
                theirs = read_tensors(again + "/adapter_model.safetensors")
            ours = read_tensors(self.folder / name / "adapter_model.safetensors")
            self.assertEqual(sorted(ours), sorted(theirs))
            for key, value in ours.items():
                self.assertTrue(torch.equal(value, theirs[key]), key)

    def test_pefts_gradients(self):
        """PEFT adds out_proj's change twice and takes the gradient of one of them."""
        for name, tensors, model in self.each():
            if name == "PiSSA":  # whose file has other tensors than are trained
                continue
            (model(tensors["images"]) * tensors["direction"]).sum().backward()
            compared = 0
            for key, parameter in model.named_parameters():
                if not parameter.requires_grad:
                    continue
                key = key.replace(".default", "").removeprefix("base_model.model.")
                twice = 2 if ".base_layer.out_proj.lora_" in key else 1
                self.assertLess(relative(tensors["gradient." + key], twice * parameter.grad), BOUND, key)
                compared += 1
            self.assertEqual(compared, sum(key.startswith("gradient.") for key in tensors))

    def test_merged_weights_are_pefts(self):
        for name, tensors, model in self.each():
            self.assertLess(relative(tensors["merged.logits"], tensors["logits"]), BOUND)
            merged = base(tensors, "merged.").state_dict()
            theirs = model.merge_and_unload().state_dict()
            self.assertEqual(sorted(merged), sorted(theirs))  # PEFT registers in_proj_weight anew, after the bias
            for key, value in theirs.items():
                self.assertLess(relative(merged[key], value), BOUND, key)


if __name__ == "__main__":
    unittest.main(verbosity=2)
