"""Adapters of PEFT's over models of the three libraries: the folder that PEFT saves gives the same logits here, and
all-linear means the same modules. Over transformers' models also as transformers 4 named the modules, which
transformers itself no longer opens: the names come from its own table for weights files.
"""
import json
import os
import re
import subprocess
import tempfile
import unittest
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file

from reference import ROOT, Logits, read_tensors, timm, torchvision, trained

import peft  # after reference, which makes torchvision importable
import transformers
from transformers.core_model_loading import revert_weight_conversion

BINARY = os.environ.get("LORIKEET_MODEL_NETWORKS", str(ROOT / "build/bin/model_networks"))
BOUND = 1e-4  # of float32, relative to the largest logit

SMALL = dict(hidden_size=48, num_hidden_layers=2, num_attention_heads=3, num_labels=7)
PATCHES = dict(image_size=224, patch_size=14)
# (class, configuration, targets under transformers 5's names and under transformers 4's).
TRANSFORMERS = {
    "ViT": (dict(SMALL, intermediate_size=96), ["q_proj", "v_proj"], ["query", "value"]),
    "ViT, everything": (
        dict(SMALL, intermediate_size=96),
        ["q_proj", "k_proj", "v_proj", "o_proj", "fc1", "fc2", "projection"],
        r".*(query|key|value|dense|projection)",
    ),
    "DeiT": (
        dict(SMALL, intermediate_size=96),
        r".*\.layers\.1\..*(q_proj|fc2)",
        r"deit\.encoder\.layer\.1\.(.*query|output\.dense)",
    ),
    "Dinov2": (dict(SMALL, **PATCHES), ["q_proj", "o_proj", "fc1"], ["attention.query", "output.dense", "fc1"]),
    "Dinov2WithRegisters": (dict(SMALL, **PATCHES), ["attention.k_proj"], ["attention.attention.key"]),
    "MobileViT": (dict(num_labels=7), *2 * [["query", "value", "conv_projection.convolution"]]),  # not renamed
}


def transformers_model(name):
    torch.manual_seed(0)
    family = name.split(",")[0]
    config = getattr(transformers, family + "Config")(**TRANSFORMERS[name][0])
    model = getattr(transformers, family + "ForImageClassification")(config).eval()
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.ones_(module.weight)  # next to zero in MobileViT's start
    return model


def transformers_4_folder(model, folder, targets, again):
    """The same adapter as transformers 4 and PEFT saved it."""
    names = {}
    for key, value in model.state_dict().items():
        (old,) = revert_weight_conversion(model, {key: value})
        module, suffix = key.rsplit(".", 1)
        names[module] = old.removesuffix("." + suffix)
    tensors = {}
    for key, value in read_tensors(folder / "adapter_model.safetensors").items():
        module = max((m for m in names if key.startswith(f"base_model.model.{m}.")), key=len)
        tensors[key.replace(module, names[module], 1)] = value
    again.mkdir()
    save_file(tensors, again / "adapter_model.safetensors", {"format": "pt"})
    config = json.loads((folder / "adapter_config.json").read_text())
    (again / "adapter_config.json").write_text(json.dumps({**config, "target_modules": targets}))
    return tensors


def torchvision_vit():
    model = torchvision.models.vit_b_32()
    torch.nn.init.normal_(model.heads.head.weight, std=0.02)  # zero in torchvision's start
    return model.eval()


class AdaptedModels(unittest.TestCase):
    def run_ours(self, folder, request, adapter, images):
        """Our logits, and what the names of sets mean."""
        (folder / "request.json").write_text(json.dumps({**request, "adapter": str(adapter)}))
        save_file({"images": images}, folder / "inputs.safetensors")
        done = subprocess.run([BINARY, str(folder)], capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stderr)
        with safe_open(folder / "output.safetensors", "pt") as opened:
            return opened.get_tensor("logits"), {k: json.loads(v) for k, v in opened.metadata().items()}

    def assert_close(self, what, found, expected):
        worst = ((found - expected).abs().max() / expected.abs().max()).item()
        print(f"{self.id()}, {what}: largest difference {worst:.1e}", flush=True)
        self.assertLess(worst, BOUND)

    def check(self, what, folder, request, module, config):
        """PEFT's images and logits, which are ours too, and what the names of sets mean."""
        weights = {k: v.clone().contiguous() for k, v in module.state_dict().items() if v.is_floating_point()}
        save_file(weights, folder / "weights.safetensors")
        images = torch.randn(2, 3, 224, 224, generator=torch.Generator().manual_seed(3))
        forward = Logits if "config" in request else lambda model: model
        with torch.inference_mode():
            plain = forward(module)(images)
        model = trained(peft.get_peft_model(module, config)).eval()
        model.save_pretrained(folder / "adapter")
        with torch.inference_mode():
            logits = forward(model)(images)
        found, sets = self.run_ours(folder, request, folder / "adapter", images)
        self.assert_close(what, found, logits)
        self.assertGreater((logits - plain).abs().max() / logits.abs().max(), 0.01)
        return images, logits, sets

    def each(self, cases):
        for case in cases:
            with tempfile.TemporaryDirectory() as folder:
                yield case, Path(folder)

    def test_transformers_5_and_4(self):
        for name, folder in self.each(TRANSFORMERS):
            _, targets, old_targets = TRANSFORMERS[name]
            module = transformers_model(name)
            request = {"config": json.loads(module.config.to_json_string())}
            config = peft.LoraConfig(r=4, target_modules=targets, modules_to_save=["classifier"])
            images, logits, _ = self.check(name, folder, request, module, config)
            old = transformers_4_folder(transformers_model(name), folder / "adapter", old_targets, folder / "4")
            self.assertTrue(any(".attention.attention." in key or ".dense." in key for key in old))
            found, _ = self.run_ours(folder, request, folder / "4", images)
            self.assert_close(f"{name}, by transformers 4", found, logits)

    def test_timm_and_torchvision(self):
        cases = {
            "vit_tiny_patch16_224": (
                lambda: timm.create_model("vit_tiny_patch16_224").eval(),
                ["qkv", "mlp.fc2", "head"],
            ),
            "vit_b_32": (torchvision_vit, ["self_attention", "mlp.0"]),
        }
        for name, folder in self.each(cases):
            torch.manual_seed(0)
            make, targets = cases[name]
            self.check(name, folder, {"model": name}, make(), peft.LoraConfig(r=4, target_modules=targets))

    def test_tinylora(self):
        """Vectors that layers share, in PEFT's order of layers; projections saved and found again from the seed."""
        cases = {
            "one vector a layer": dict(r=2, u=5),
            "a vector for three layers": dict(r=3, u=7, weight_tying=0.65, projection_seed=7),
            "one vector, its projections not saved": dict(r=2, u=20, weight_tying=1.0, save_projection=False),
            "r of more than a layer has": dict(r=1000, u=1, weight_tying=0.5, target_modules=["head"]),
            "biases": dict(r=2, u=5, bias="tinylora_only"),
        }
        for name, folder in self.each(cases):
            torch.manual_seed(0)
            config = peft.TinyLoraConfig(**{"target_modules": ["qkv", "mlp.fc2", "head"], **cases[name]})
            module = timm.create_model("vit_tiny_patch16_224").eval()
            self.check(name, folder, {"model": "vit_tiny_patch16_224"}, module, config)

    def test_all_linear(self):
        """Of PyTorch's MultiheadAttention PEFT adapts the output projection, to no effect: not here."""
        cases = {
            "vit_tiny_patch16_224": lambda: timm.create_model("vit_tiny_patch16_224").eval(),
            "vit_b_32": torchvision_vit,
            "ViT": lambda: transformers_model("ViT"),
            "Dinov2": lambda: transformers_model("Dinov2"),
        }
        for name, folder in self.each(cases):
            module = cases[name]()
            is_transformers = name in TRANSFORMERS
            request = {"config": json.loads(module.config.to_json_string())} if is_transformers else {"model": name}
            _, _, sets = self.check(name, folder, request, module, peft.LoraConfig(r=2, target_modules="all-linear"))
            keys = read_tensors(folder / "adapter/adapter_model.safetensors")
            theirs = {re.match(r"base_model\.model\.(.*)\.lora_", key)[1] for key in keys}
            theirs = {module for module in theirs if not module.endswith(".out_proj")}
            self.assertEqual(sorted(sets["all-linear"]), sorted(theirs), name)
            self.assertTrue(all(re.search(r"qkv$|self_attention$|[qv]_proj$", name) for name in sets["auto"]))


if __name__ == "__main__":
    unittest.main(verbosity=2)
