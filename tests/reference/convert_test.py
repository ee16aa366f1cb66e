"""Adapters and weights under another library's names: the other library loads the weights strictly, PEFT opens the
adapter there, and the logits are those of the model that they come from."""
import json
import tempfile
import unittest
from pathlib import Path

import PIL.Image
import torch
from safetensors.torch import save_file

from adapted_models_test import transformers_4_folder
from networks_test import randomise
from reference import Logits, expand_weights, lorikeet, needs_shared, read_tensors, timm, torchvision, trained

import peft  # after reference, which makes torchvision importable
import transformers

BOUND = 1e-4  # of float32, relative to the largest logit

TINY = dict(hidden_size=192, num_hidden_layers=12, num_attention_heads=3, intermediate_size=768, layer_norm_eps=1e-6)
VIT = transformers.ViTConfig(**TINY, num_labels=1000)
VIT_BASE = transformers.ViTConfig(patch_size=32, layer_norm_eps=1e-6, num_labels=1000)
RESNET = transformers.ResNetConfig(
    depths=[2, 2, 2, 2], layer_type="basic", hidden_sizes=[64, 128, 256, 512], num_labels=1000
)
CONVNEXT = transformers.ConvNextConfig(num_labels=1000)
CONVNEXT_2 = transformers.ConvNextV2Config(num_labels=1000)
SWIN = transformers.SwinConfig(num_labels=1000)

# The same networks: {name: {library: module}}.
NETWORKS = {
    "ViT": {
        "timm": lambda: timm.create_model("vit_tiny_patch16_224"),
        "transformers": lambda: transformers.ViTForImageClassification(VIT),
        "torchvision": lambda: torchvision.models.VisionTransformer(224, 16, 12, 3, 192, 768),
    },
    "ViT-B/32": {
        "torchvision": torchvision.models.vit_b_32,
        "timm": lambda: timm.create_model("vit_base_patch32_224"),
        "transformers": lambda: transformers.ViTForImageClassification(VIT_BASE),
    },
    "ResNet": {
        "torchvision": torchvision.models.resnet18,
        "timm": lambda: timm.create_model("resnet18"),
        "transformers": lambda: transformers.ResNetForImageClassification(RESNET),
    },
    "ConvNeXt": {
        "torchvision": torchvision.models.convnext_tiny,
        "timm": lambda: timm.create_model("convnext_tiny"),
        "transformers": lambda: transformers.ConvNextForImageClassification(CONVNEXT),
    },
    "ConvNeXt V2": {
        "timm": lambda: timm.create_model("convnextv2_tiny"),
        "transformers": lambda: transformers.ConvNextV2ForImageClassification(CONVNEXT_2),
    },
    "Swin": {
        "torchvision": torchvision.models.swin_t,
        "timm": lambda: timm.create_model("swin_tiny_patch4_window7_224"),
        "transformers": lambda: transformers.SwinForImageClassification(SWIN),
    },
}
# The name with which Lorikeet opens the network, where it is in the table.
NAMES = {
    ("ViT", "timm"): "vit_tiny_patch16_224",
    ("ViT-B/32", "torchvision"): "vit_b_32",
    ("ResNet", "torchvision"): "resnet18",
    ("ResNet", "timm"): "resnet18",
    ("ConvNeXt", "torchvision"): "convnext_tiny",
    ("ConvNeXt", "timm"): "timm/convnext_tiny",
    ("ConvNeXt V2", "timm"): "convnextv2_tiny",
    ("Swin", "torchvision"): "swin_t",
    ("Swin", "timm"): "swin_tiny_patch4_window7_224",
}
LORA, HEAD = peft.LoraConfig, {"modules_to_save": ["head"]}
# (network, from, to the others, PEFT's configuration).
CASES = [
    ("ViT", "timm", ["transformers", "torchvision"], LORA(r=4, target_modules=["qkv", "attn.proj", "fc1"], **HEAD)),
    ("ViT", "timm", ["transformers"], LORA(r=4, target_modules=["qkv", "fc2"], use_dora=True, **HEAD)),
    ("ViT", "timm", ["transformers"], LORA(r=4, target_modules=["qkv"], init_lora_weights="pissa", use_rslora=True)),
    ("ViT", "transformers", ["timm", "torchvision"], LORA(r=4, target_modules=["q_proj", "v_proj"])),
    ("ViT", "transformers", ["timm"], peft.IA3Config(target_modules=["k_proj", "fc1"], feedforward_modules=["fc1"])),
    ("ViT-B/32", "torchvision", ["timm", "transformers"], LORA(r=4, target_modules=["self_attention", "mlp.0"])),
    ("ResNet", "torchvision", ["transformers"], LORA(r=4, target_modules=r"layer4\..*conv\d", modules_to_save=["fc"])),
    ("ResNet", "transformers", ["timm"], peft.LoHaConfig(r=2, target_modules=["layer.0.convolution", "classifier.1"])),
    ("ConvNeXt", "timm", ["torchvision", "transformers"], peft.LoKrConfig(r=2, target_modules=["fc1", "conv_dw"])),
    ("ConvNeXt V2", "timm", ["transformers"], LORA(r=4, target_modules=["fc2"], modules_to_save=["grn"])),
    ("ConvNeXt V2", "transformers", ["timm"], LORA(r=4, target_modules=["pwconv1"], modules_to_save=["grn"])),
    ("Swin", "torchvision", ["timm", "transformers"], LORA(r=4, target_modules=["mlp.0", "reduction"])),
    ("Swin", "timm", ["torchvision"], LORA(r=4, target_modules=["fc2"])),  # PEFT would have to merge one of qkv
    ("Swin", "timm", ["transformers"], LORA(r=4, target_modules=["qkv", "fc1"])),
    ("Swin", "transformers", ["timm"], LORA(r=4, target_modules=["q_proj", "v_proj"])),
]


def forward(module, images):
    with torch.inference_mode():
        out = module(images)
    return out if isinstance(out, torch.Tensor) else out.logits


def save_base(module, path):
    """What Lorikeet opens as the module: a folder of transformers, or a file."""
    if hasattr(module, "config") and isinstance(module.config, transformers.PretrainedConfig):
        module.save_pretrained(path)
        return path
    path = path.with_suffix(".safetensors")
    save_file(module.state_dict(), path)
    return path


class Convert(unittest.TestCase):
    def setUp(self):
        temporary = tempfile.TemporaryDirectory(prefix="lorikeet-convert-")
        self.addCleanup(temporary.cleanup)
        self.folder = Path(temporary.name)
        self.images = torch.randn(2, 3, 224, 224, generator=torch.Generator().manual_seed(3))

    def assert_close(self, what, found, expected):
        worst = ((found - expected).abs().max() / expected.abs().max()).item()
        print(f"{what}: largest difference {worst:.1e}", flush=True)
        self.assertLess(worst, BOUND, what)

    def options(self, network, library, base):
        """Of --model and --weights."""
        return ["--model", base] if base.is_dir() else ["--model", NAMES[network, library], "--weights", base]

    def check(self, name, network, library, others, base, config, folder):
        """`base` is the module of `library`; PEFT's adapter on it under the names of `others`."""
        plain = forward(base, self.images)
        file = save_base(base, folder / "base")
        model = peft.get_peft_model(base, config)
        model = trained(model).eval()
        model.save_pretrained(folder / "adapter")
        expected = forward(model, self.images)
        self.assertGreater((expected - plain).abs().max() / expected.abs().max(), 0.01)
        options = self.options(network, library, file)
        if "--weights" in options and getattr(config, "init_lora_weights", True) is True:
            options = options[:2]  # an adapter of PEFT's needs no weights
        for other in others:
            what = f"{name} {network}, {library} to {other}"
            weights = folder / f"{other}.safetensors"
            merge = ["merge", file, "--names", other, "--out", weights]
            lorikeet(*merge, *([] if file.is_dir() else ["--model", NAMES[network, library]]))
            converted = NETWORKS[network][other]().eval()
            converted.load_state_dict(read_tensors(weights))  # strictly
            self.assert_close(f"{what}, weights", forward(converted, self.images), plain)
            out = folder / f"to-{other}"
            lorikeet("convert", folder / "adapter", "--names", other, "--out", out, *options)
            opened = peft.PeftModel.from_pretrained(converted, out).eval()
            self.assert_close(f"{what}, adapter", forward(opened, self.images), expected)

    def test_adapters_of_peft(self):
        for i, (network, library, others, config) in enumerate(CASES):
            with self.subTest(f"{network} {library} {config.peft_type}"):
                torch.manual_seed(i)
                folder = self.folder / str(i)
                folder.mkdir()
                base = randomise(NETWORKS[network][library]())
                self.check(config.peft_type.value, network, library, others, base, config, folder)

    def test_names_of_transformers_4(self):
        torch.manual_seed(1)
        base = randomise(NETWORKS["ViT"]["transformers"]())
        base.save_pretrained(self.folder / "base")
        config = peft.LoraConfig(r=4, target_modules=["q_proj", "v_proj"], modules_to_save=["classifier"])
        model = trained(peft.get_peft_model(base, config)).eval()
        model.save_pretrained(self.folder / "5")
        expected = forward(model, self.images)
        plain = NETWORKS["ViT"]["transformers"]()
        transformers_4_folder(plain, self.folder / "5", ["query", "value"], self.folder / "4")
        for names, targets in ("transformers", {"q_proj", "v_proj"}), ("timm", {"qkv"}):
            out, weights = self.folder / names, self.folder / f"{names}.safetensors"
            lorikeet("convert", self.folder / "4", "--names", names, "--model", self.folder / "base", "--out", out)
            found = json.loads((out / "adapter_config.json").read_text())["target_modules"]
            self.assertEqual({module.rsplit(".", 1)[1] for module in found}, targets)
            lorikeet("merge", self.folder / "base", "--names", names, "--out", weights)
            module = NETWORKS["ViT"][names]().eval()
            module.load_state_dict(read_tensors(weights))
            opened = peft.PeftModel.from_pretrained(module, out).eval()
            self.assert_close(f"transformers 4 to {names}", forward(opened, self.images), expected)

    @needs_shared
    def test_real_weights(self):
        """An adapter that Lorikeet trained over timm's DeiT-Tiny, over transformers' folder of the same weights."""
        weights, base = self.folder / "deit.safetensors", self.folder / "deit"
        for kind, out in (("timm", weights), ("hf", base)):
            expand_weights("make_deit_tiny.py", kind, "deit_tiny-int8.safetensors", out)
        recipe = self.folder / "recipe.yaml"
        recipe.write_text(
            f"model: deit_tiny_patch16_224\nweights: {weights}\ndata: mnist\ntarget_modules: [qkv, fc1]\nr: 4\n"
            "modules_to_save: [head]\nreplace_output: true\nlearning_rate: 1e-2\ntrain_limit: 32\nbatch_size: 8\n"
            "test_limit: 8\n"
        )
        run, out = self.folder / "run", self.folder / "converted"
        lorikeet("train", recipe, f"run={run}")
        lorikeet("convert", run, "--names", "transformers", "--to-model", base, "--out", out)
        images = lorikeet("data", "sample", "mnist", "--count", 8, "--out", self.folder / "images").splitlines()
        logits = {}
        for model in run, out:
            lorikeet("predict", model, *images, "--logits", self.folder / "logits.safetensors")
            logits[model] = read_tensors(self.folder / "logits.safetensors")["logits"]
        self.assert_close("DeiT-Tiny, here", logits[out], logits[run])
        module = transformers.AutoModelForImageClassification.from_pretrained(base)
        module.classifier = torch.nn.Linear(192, 10)
        opened = peft.PeftModel.from_pretrained(module, out).eval()
        transform = timm.data.create_transform(
            **timm.data.resolve_data_config(
                pretrained_cfg=timm.models.get_pretrained_cfg("deit_tiny_patch16_224").to_dict()
            )
        )
        batch = torch.stack([transform(PIL.Image.open(image).convert("RGB")) for image in images])
        self.assert_close("DeiT-Tiny, PEFT", forward(opened, batch), logits[run])


if __name__ == "__main__":
    unittest.main(verbosity=2)
