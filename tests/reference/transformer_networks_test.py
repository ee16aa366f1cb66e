"""Small transformers made of our operations, against the same made of the modules of timm, transformers and PyTorch:
logits, every gradient, and the exported ONNX in onnxruntime."""
import json
import os
import subprocess
import tempfile
import unittest
from pathlib import Path

import onnx
import onnxruntime
import torch
from safetensors import safe_open

from reference import ROOT, read_tensors

import peft  # after reference, which makes torchvision importable
import transformers
from timm.models.vision_transformer import VisionTransformer

NETWORKS = os.environ.get("LORIKEET_TRANSFORMER_NETWORKS", str(ROOT / "build/bin/transformer_networks"))
BOUND = 1e-5  # of float32, relative to the largest number of a tensor


class Encoder(torch.nn.Module):
    """Two of PyTorch's encoder layers on the patches of an image."""

    def __init__(self):
        super().__init__()
        self.patch = torch.nn.Conv2d(3, 12, 4, 4)
        # dropout=0 in training mode rather than evaluation mode, which takes another path that has no gradients.
        self.layers = torch.nn.Sequential(
            torch.nn.TransformerEncoderLayer(12, 3, 24, dropout=0, batch_first=True),
            torch.nn.TransformerEncoderLayer(
                12, 3, 24, dropout=0, batch_first=True, norm_first=True, activation="gelu"
            ),
        )
        self.fc = torch.nn.Linear(12, 5)

    def forward(self, images):
        return self.fc(self.layers(self.patch(images).flatten(2).transpose(1, 2))[:, -1])


class Transformers(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.model = transformers.ViTForImageClassification(
            transformers.ViTConfig(
                hidden_size=12,
                num_hidden_layers=1,
                num_attention_heads=3,
                intermediate_size=24,
                image_size=8,
                patch_size=4,
                hidden_act="gelu_pytorch_tanh",
                num_labels=5,
            )
        )

    def forward(self, images):
        return self.model(images).logits


MODULES = {
    "timm": lambda: VisionTransformer(img_size=8, patch_size=4, embed_dim=12, depth=2, num_heads=3, num_classes=5),
    "transformers": Transformers,
    "torch": Encoder,
}


def own_name(name):
    """Of a parameter of the modules above: the graph's."""
    return name.removeprefix("model.").replace("in_proj_", "in_proj.")


class Networks(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        temporary = tempfile.TemporaryDirectory()
        cls.addClassCleanup(temporary.cleanup)
        cls.folder = Path(temporary.name)
        subprocess.run([NETWORKS, temporary.name], check=True)

    def each(self):
        for name, make in MODULES.items():
            tensors = read_tensors(self.folder / f"{name}.safetensors")
            module = make()
            module.load_state_dict({key: tensors["weight." + own_name(key)] for key in module.state_dict()})
            yield name, tensors, module

    def assert_close(self, what, found, expected):
        self.assertEqual(found.shape, expected.shape, what)
        difference = (found - expected).abs().max().item() / expected.abs().max().item()
        self.assertLess(difference, BOUND, what)

    def test_every_weight_is_a_parameter_of_the_modules(self):
        for name, tensors, module in self.each():
            ours = [key.removeprefix("weight.") for key in tensors if key.startswith("weight.")]
            self.assertEqual(sorted(ours), sorted(map(own_name, module.state_dict())), name)

    def test_names_come_in_timms_order(self):
        with safe_open(self.folder / "timm.safetensors", "pt") as opened:
            names = json.loads(opened.metadata()["names"])
        self.assertEqual(names, list(MODULES["timm"]().state_dict()))

    def test_logits_and_every_gradient(self):
        for name, tensors, module in self.each():
            images = tensors["images"].clone().requires_grad_()
            logits = module(images)
            (logits * tensors["direction"]).sum().backward()
            self.assert_close(f"{name}: logits", tensors["logits"], logits.detach())
            self.assert_close(f"{name}: the fused executor's logits", tensors["fused.logits"], logits.detach())
            self.assert_close(f"{name}: gradient of the images", tensors["gradient.images"], images.grad)
            scale = max(parameter.grad.abs().max().item() for parameter in module.parameters())
            for key, parameter in module.named_parameters():
                difference = (tensors["gradient." + own_name(key)] - parameter.grad).abs().max().item()
                self.assertLess(difference, BOUND * scale, f"{name}: gradient of {key}")

    def test_peft_opens_an_adapter_of_200_layers(self):
        tensors = read_tensors(self.folder / "deep.safetensors")
        base = VisionTransformer(img_size=8, patch_size=4, embed_dim=12, depth=50, num_heads=3, num_classes=5).eval()
        base.load_state_dict({key: tensors["weight." + key] for key in base.state_dict()})
        model = peft.PeftModel.from_pretrained(base, self.folder / "deep")
        adapted = [name for name, module in model.named_modules() if isinstance(module, peft.tuners.lora.LoraLayer)]
        self.assertEqual(len(adapted), 200)
        with torch.inference_mode():
            self.assert_close("logits", tensors["logits"], model(tensors["images"]))
            with model.disable_adapter():
                without = model(tensors["images"])
        self.assert_close("logits without the adapter", tensors["base.logits"], without)
        self.assertGreater((tensors["logits"] - without).abs().max() / without.abs().max(), 1e-2)

    def test_onnxruntime_gives_the_same_logits_for_any_batch(self):
        for name, tensors, module in self.each():
            model = onnx.load(self.folder / f"{name}.onnx")
            onnx.checker.check_model(model, full_check=True)
            self.assertEqual(model.opset_import[0].version, 17)
            own = {initialiser.name for initialiser in model.graph.initializer}
            self.assertLessEqual(set(map(own_name, module.state_dict())), own, name)
            session = onnxruntime.InferenceSession(self.folder / f"{name}.onnx", providers=["CPUExecutionProvider"])
            for images in tensors["images"], torch.randn(5, 3, 8, 8, generator=torch.Generator().manual_seed(3)):
                with torch.inference_mode():
                    expected = module.eval()(images)
                found = session.run(None, {"images": images.numpy()})[0]
                self.assert_close(f"{name}: batch of {len(images)}", torch.from_numpy(found), expected)


if __name__ == "__main__":
    unittest.main(verbosity=2)
