"""Adapter folders of every method over real networks, against PEFT 0.21.

PEFT's open here, ours open in PEFT, and training follows PEFT's.
"""
import tempfile
import unittest
from pathlib import Path

import torch

from folders import FolderTest, head_of, opened_by_peft
from reference import (
    MEAN,
    STD,
    Classifier,
    lorikeet,
    needs_shared,
    read_tensors,
    shared_weights,
    timm_efficientnet_lite0,
    torchvision_model,
    trained,
)

import peft  # after reference, which makes torchvision importable

TARGETS = r"layer4\.1\.conv[12]|layer4\.0\.downsample\.0|fc"  # 3×3, 1×1, Linear
LORA = dict(r=4, lora_alpha=6, target_modules=TARGETS)
POINTWISE = r"layer4\.0\.downsample\.0|fc"  # of OFT, which PEFT computes otherwise on larger kernels, and of
# BOFT, for which it makes matrices of (in · kh · kw)² numbers
RANKED = dict(r=4, alpha=6, target_modules=TARGETS)
CONFIGS = {
    "LoRA": peft.LoraConfig(**LORA),
    "rsLoRA, all biases, fc retrained": peft.LoraConfig(
        r=4, target_modules=["layer4.1.conv2"], modules_to_save=["fc"], bias="all", use_rslora=True
    ),
    "the biases beside it": peft.LoraConfig(**LORA, bias="lora_only"),
    "no biases beside it": peft.LoraConfig(r=4, target_modules=["layer4.1.conv1", "layer4.1.conv2"], bias="lora_only"),
    "names of sequence classifiers": peft.LoraConfig(r=4, target_modules=["layer4.1.conv1"], task_type="SEQ_CLS"),
    "all-linear": peft.LoraConfig(r=4, target_modules="all-linear"),
    "BitFit": peft.LoraConfig(target_modules="dummy-target-modules", bias="all"),
    "a bias in B": peft.LoraConfig(**LORA, lora_bias=True),
    "DoRA": peft.LoraConfig(**LORA, use_dora=True),
    "PiSSA, not converted": peft.LoraConfig(r=4, target_modules=["fc"], init_lora_weights="pissa"),
    "OLoRA, not converted": peft.LoraConfig(r=4, target_modules=["fc"], init_lora_weights="olora"),
    "LoHa": peft.LoHaConfig(**RANKED),
    "LoHa of tensors": peft.LoHaConfig(**RANKED, use_effective_conv2d=True),
    "LoKr": peft.LoKrConfig(**RANKED),
    "LoKr of tensors": peft.LoKrConfig(**RANKED, use_effective_conv2d=True, decompose_both=True, decompose_factor=8),
    "IA3": peft.IA3Config(
        target_modules=["layer4.1.conv2", "layer4.1.conv1", "fc"], feedforward_modules=["layer4.1.conv1"]
    ),
    "HiRA": peft.HiraConfig(r=4, target_modules=TARGETS),
    "OFT": peft.OFTConfig(oft_block_size=16, target_modules=POINTWISE),
    "OFT, exact, constrained, the biases beside it": peft.OFTConfig(
        r=8, oft_block_size=0, target_modules=POINTWISE, use_cayley_neumann=False, coft=True, eps=1.0, bias="oft_only"
    ),
    "OFT, one block": peft.OFTConfig(oft_block_size=16, target_modules=POINTWISE, block_share=True),
    "BOFT": peft.BOFTConfig(target_modules=POINTWISE, bias="boft_only"),
    "FourierFT": peft.FourierFTConfig(n_frequency=100, target_modules=["fc"], bias="fourier_only"),
    "VeRA": peft.VeraConfig(r=8, target_modules=["fc"], bias="vera_only"),
    "UniLoRA": peft.UniLoraConfig(target_modules=["fc"], theta_d_length=50, init_theta_d_bound=0.3),
    "norm tuning": peft.LNTuningConfig(target_modules=r"layer4\..*bn."),
    "TinyLoRA": peft.TinyLoraConfig(r=4, u=30, target_modules=["fc"]),
    "TinyLoRA, projection not saved": peft.TinyLoraConfig(r=4, u=30, target_modules=["fc"], save_projection=False),
}
# LoHa and LoKr on layers with stride 1 only: where TensorFlow's padding is uneven, PEFT adds tensors of different sizes
# and fails.
SYMMETRIC = ["blocks.0.0.conv_dw", "blocks.1.1.conv_dw"]
DEPTHWISE = {
    "LoRA across groups": peft.LoraConfig(r=32, target_modules=["blocks.0.0.conv_dw"]),
    "LoHa": peft.LoHaConfig(r=4, target_modules=SYMMETRIC),
    "LoKr": peft.LoKrConfig(r=4, target_modules=SYMMETRIC),
    "IA3": peft.IA3Config(
        target_modules=["blocks.0.0.conv_dw", "blocks.1.0.conv_dw"], feedforward_modules=["blocks.1.0.conv_dw"]
    ),
}
# What a recipe says for the same: ours, then opened by PEFT.
RECIPES = {
    "LoRA": [],
    "all-linear": ["target_modules=all-linear"],
    "ranks whose order counts": [r"rank_pattern={'layer4\.1\.conv2': 2, 'conv[12]': 3}", "alpha_pattern={fc: 3}"],
    "orthogonal": ["init_lora_weights=orthogonal"],
    "PiSSA": ["init_lora_weights=pissa"],
    "OLoRA": ["init_lora_weights=olora"],
    "DoRA": ["use_dora=true"],
    "a bias in B, the biases beside it": ["lora_bias=true", "bias=lora_only"],
    "LoHa": ["peft_type=LOHA"],
    "LoKr": ["peft_type=LOKR"],
    "LoKr of tensors": ["peft_type=LOKR", "r=2", "use_effective_conv2d=true", "decompose_both=true"],
    "IA3": ["peft_type=IA3", r"feedforward_modules=layer4\.1\.conv1"],
    "HiRA": ["peft_type=HIRA"],
    "OFT": ["peft_type=OFT", "r=8", "oft_block_size=16", f"target_modules='{POINTWISE}'"],
    "OFT, exact, constrained, the biases beside it": [
        "peft_type=OFT",
        "r=8",
        "oft_block_size=0",
        "use_cayley_neumann=false",
        "coft=true",
        "coft_eps=0.01",
        "bias=oft_only",
        f"target_modules='{POINTWISE}'",
    ],
    "BOFT": ["peft_type=BOFT", "bias=boft_only", f"target_modules='{POINTWISE}'"],
    "FourierFT": ["peft_type=FOURIERFT", "n_frequency=100", "target_modules=fc", "bias=fourier_only"],
    "FourierFT, many": ["peft_type=FOURIERFT", "n_frequency=900", "target_modules=fc", "fourierft_init_weights=false"],
    "VeRA": ["peft_type=VERA", "r=8", "target_modules=fc", "save_projection=true", "bias=vera_only"],
    "UniLoRA": ["peft_type=UNILORA", "target_modules=fc", "theta_d_length=50", "init_theta_d_bound=0.3"],
    "norm tuning": ["peft_type=LN_TUNING", r"target_modules=layer4\..*bn."],
    "a BatchNorm in full": ["target_modules=[layer4.1.conv1]", "modules_to_save=[layer4.1.bn1]"],
    "BitFit of a stage": ["tune=bias", r"target_modules=layer4\..*"],
    "BitFit": ["target_modules=null", "bias=all", "modules_to_save=[fc]"],
    "TinyLoRA": ["peft_type=TINYLORA", "u=30", "target_modules=[fc]"],
    "TinyLoRA, uniform start, a bias": [
        *("peft_type=TINYLORA", "r=2", "u=3", "target_modules=[fc]", "tinylora_init=uniform", "bias=tinylora_only")
    ],
}


class Folders(FolderTest, unittest.TestCase):
    def setUp(self):
        self.folder = self.enterContext(tempfile.TemporaryDirectory())

    def weights(self):
        return shared_weights() / "resnet18.pth"

    @needs_shared
    def test_pefts_opens_here(self):
        for name, config in CONFIGS.items():
            with self.subTest(name), tempfile.TemporaryDirectory() as folder:
                model = trained(peft.get_peft_model(torchvision_model("resnet18", self.weights()), config), 0.02)
                model.save_pretrained(folder + "/adapter")
                network = model.get_base_model()  # with the adapter; a PeftModelForSequenceClassification does not run
                self.compare(
                    network, MEAN, STD, folder, folder + "/adapter", "--model", "resnet18", "--weights", self.weights()
                )

    def test_pefts_opens_here_on_depthwise_convolutions(self):
        for name, config in DEPTHWISE.items():
            with self.subTest(name), tempfile.TemporaryDirectory() as folder:
                model = trained(peft.get_peft_model(timm_efficientnet_lite0(), config), 0.02)
                model.save_pretrained(folder + "/adapter")
                self.compare(
                    model, (0.5,) * 3, (0.5,) * 3, folder, folder + "/adapter", "--model", "efficientnet_lite0"
                )

    @needs_shared
    def test_oft_of_pefts_on_larger_kernels_is_refused(self):
        """PEFT's layer is no convolution there; its merged weight is what ours computes."""
        model = trained(
            peft.get_peft_model(
                torchvision_model("resnet18", self.weights()), peft.OFTConfig(target_modules=["layer4.1.conv1"])
            ),
            0.02,
        )
        model.save_pretrained(self.folder + "/adapter")
        base = ("--model", "resnet18", "--weights", self.weights())
        with self.assertRaisesRegex(
            AssertionError, r"got OFT on layer4\.1\.conv1, a Conv2d\(512, 512, kernel_size=\(3, 3"
        ):
            lorikeet("inspect", self.folder + "/adapter", *base)

    @needs_shared
    def test_ours_opens_in_peft(self):
        recipe = Path(self.folder) / "recipe.yaml"
        recipe.write_text(
            f"model: resnet18\nweights: {self.weights()}\ndata: mnist\nimage_size: 28\nr: 4\nlora_alpha: 6\n"
            f"target_modules: '{TARGETS}'\n"
            "train_limit: 192\ntest_limit: 32\nmax_steps: 3\nlearning_rate: 1e-2\nhead: [10]\n"
        )
        for name, settings in RECIPES.items():
            with self.subTest(name), tempfile.TemporaryDirectory() as folder:
                lorikeet("train", recipe, *settings, f"run={folder}/run")
                adapter = Path(folder) / "run/adapter"
                model = opened_by_peft(torchvision_model("resnet18", self.weights()), adapter)
                model.save_pretrained(folder + "/again")
                ours, again = (read_tensors(f / "adapter_model.safetensors") for f in (adapter, Path(folder) / "again"))
                unused = (".original_module.bias", ".modules_to_save.bias")
                self.assertEqual(
                    {k: v.shape for k, v in ours.items()},
                    {k: v.shape for k, v in again.items() if not k.endswith(unused)},
                )
                for key, value in ours.items():
                    self.assertTrue(torch.equal(value, again[key]), key)
                self.compare(
                    Classifier(model, head_of(adapter)), MEAN, STD, folder, adapter, "--weights", self.weights()
                )

    def test_what_peft_lacks_opens_in_peft_as_lora(self):
        """Also on grouped convolutions, and with a small output, which is dense in PEFT's file."""
        recipe = Path(self.folder) / "recipe.yaml"
        recipe.write_text(
            "model: efficientnet_lite0\ndata: mnist\nimage_size: 28\n"
            r"target_modules: 'blocks\.6\.0\.conv_(dw|pwl)|conv_head'"
            "\ntrain_limit: 192\ntest_limit: 32\nmax_steps: 3\nlearning_rate: 5e-3\n"
            "head: {projected: 8, basis: output}\n"
        )
        for settings in (
            ["peft_type=LORA_XS", "r=4"],
            ["peft_type=TINYLORA", "r=2", "u=9", "weight_tying=0.5"],
            ["peft_type=VERA", "r=6"],
        ):
            with self.subTest(settings), tempfile.TemporaryDirectory() as folder:
                lorikeet("train", recipe, *settings, f"run={folder}/run")
                out = Path(folder) / "lora"
                lorikeet("convert", f"{folder}/run", "--as-lora", "--out", out)
                model = opened_by_peft(timm_efficientnet_lite0(), out)
                half = (0.5,) * 3
                self.compare(model, half, half, folder, f"{folder}/run")
                self.compare(model, half, half, folder, out)


class Training(FolderTest, unittest.TestCase):
    @needs_shared
    def test_methods(self):
        weights = shared_weights() / "resnet18.pth"
        common = [
            "model=resnet18",
            f"weights={weights}",
            "head=[10]",
            "r=4",
            "lora_alpha=6",
            rf"target_modules='{TARGETS}'",
        ]
        for name in (
            "DoRA",
            "a bias in B, the biases beside it",
            "LoHa",
            "LoKr of tensors",
            "IA3",
            "HiRA",
            "OFT",
            "OFT, exact, constrained, the biases beside it",
            "BOFT",
            "FourierFT",
            "FourierFT, many",
            "VeRA",
            "UniLoRA",
            "norm tuning",
        ):
            with self.subTest(name):
                self.train_both(torchvision_model("resnet18", weights), [*common, *RECIPES[name]], steps=10)


if __name__ == "__main__":
    unittest.main(verbosity=2)
