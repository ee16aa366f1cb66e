"""VeRA, FourierFT and UniLoRA over networks of many layers of different sizes, against PEFT 0.21 in both directions.

Their fixed matrices, frequencies and indices depend on all adapted layers and their order, and are regenerated from a
seed where the file does not hold them.
"""
import json
import os
import subprocess
import tempfile
import unittest
from pathlib import Path

import torch
from safetensors.torch import save_file

from reference import ROOT, read_tensors, timm, trained

import peft  # after reference, which makes torchvision importable

BINARY = os.environ.get("LORIKEET_MODEL_NETWORKS", str(ROOT / "build/bin/model_networks"))
BOUND = 1e-4  # of float32, relative to the largest logit
NETWORKS = {
    "vit_tiny_patch16_224": ["attn.qkv", "mlp.fc2", "mlp.fc1", "head"],
    "swin_tiny_patch4_window7_224": ["attn.qkv", "downsample.reduction", "attn.proj", "head.fc"],
}
CONFIGS = {
    "VeRA": lambda targets: peft.VeraConfig(r=20, target_modules=targets, projection_prng_key=7),
    "VeRA without its projections": lambda targets: peft.VeraConfig(
        r=16, target_modules=targets, projection_prng_key=2**31, save_projection=False, bias="vera_only"
    ),
    "FourierFT": lambda targets: peft.FourierFTConfig(
        n_frequency=300, n_frequency_pattern={"fc1": 40, "head": 700}, target_modules=targets, random_loc_seed=5
    ),
    "FourierFT, few frequencies": lambda targets: peft.FourierFTConfig(
        n_frequency=20, target_modules=targets, init_weights=True, bias="fourier_only"
    ),
    "UniLoRA": lambda targets: peft.UniLoraConfig(target_modules=targets, theta_d_length=100, init_theta_d_bound=0.5),
    "UniLoRA with its indices": lambda targets: peft.UniLoraConfig(
        r=3, target_modules=targets, theta_d_length=999, proj_seed=11, save_indices=True, bias="unilora_only"
    ),
    "UniLoRA, a vector longer than its uses": lambda targets: peft.UniLoraConfig(
        r=1, target_modules=targets[:1], theta_d_length=30_000, proj_seed=0
    ),
}


def network(name):
    torch.manual_seed(0)
    return timm.create_model(name).eval()


def shapes(tensors):
    return {name: (tuple(tensor.shape), tensor.dtype) for name, tensor in tensors.items()}


class SeededMethods(unittest.TestCase):
    def setUp(self):
        self.folder = Path(self.enterContext(tempfile.TemporaryDirectory()))

    def each(self):
        for name, targets in NETWORKS.items():
            for method, config in CONFIGS.items():
                with self.subTest(f"{method} on {name}"):
                    self.what = f"{self.id()}, {method} on {name}"
                    yield name, config(list(targets))

    def run_ours(self, name, request):
        """Our logits, and our merged weights."""
        (self.folder / "request.json").write_text(json.dumps({"model": name, **request}))
        save_file(dict(network(name).state_dict()), self.folder / "weights.safetensors")
        images = torch.randn(2, 3, 224, 224, generator=torch.Generator().manual_seed(3))
        save_file({"images": images}, self.folder / "inputs.safetensors")
        done = subprocess.run([BINARY, str(self.folder)], capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stderr)
        logits = read_tensors(self.folder / "output.safetensors")["logits"]
        return images, logits, read_tensors(self.folder / "merged.safetensors")

    def compare(self, name, model, images, logits, merged):
        with torch.inference_mode():
            plain, theirs = network(name)(images), model.eval()(images)
        worst = ((logits - theirs).abs().max() / theirs.abs().max()).item()
        changed = ((plain - theirs).abs().max() / theirs.abs().max()).item()
        state = model.merge_and_unload().state_dict()
        worst_weight = max((merged[key] - state[key]).abs().max().item() for key in merged)
        print(f"{self.what}: largest differences: logits {worst:.1e}, merged weights {worst_weight:.1e}", flush=True)
        self.assertLess(worst, BOUND)
        self.assertGreater(changed, 0.01)
        self.assertLess(worst_weight, 1e-5)

    def test_pefts_opens_here(self):
        for name, config in self.each():
            model = trained(peft.get_peft_model(network(name), config))
            model.save_pretrained(self.folder / "adapter")
            self.compare(name, model, *self.run_ours(name, {"adapter": str(self.folder / "adapter")}))

    def test_ours_opens_in_peft(self):
        for name, config in self.each():
            settings = {k: sorted(v) if isinstance(v, set) else v for k, v in config.to_dict().items()}
            adapter = self.folder / "adapter"
            ours = self.run_ours(name, {"adapter": str(adapter), "adapter_config": settings})
            model = peft.PeftModel.from_pretrained(network(name), adapter)
            model.save_pretrained(self.folder / "again")
            found, again = (read_tensors(f / "adapter_model.safetensors") for f in (adapter, self.folder / "again"))
            self.assertEqual(shapes(found), shapes(again))
            for key, value in found.items():
                self.assertTrue(torch.equal(value, again[key]), key)
            self.compare(name, model, *ours)


if __name__ == "__main__":
    unittest.main(verbosity=2)
