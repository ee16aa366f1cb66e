"""The article's adapters, against PEFT 0.21.

Twenty steps of training from the same start on the same batches; folders opened both ways.
"""
import tempfile
import unittest
from pathlib import Path

import torch

from folders import FolderTest, head_of, opened_by_peft
from reference import (
    MEAN,
    ROOT,
    STD,
    Classifier,
    lorikeet,
    needs_shared,
    shared_weights,
    timm_efficientnet_lite0,
    torchvision_model,
)

import peft  # after reference, which makes torchvision importable


class Training(FolderTest, unittest.TestCase):
    """Losses within 1e-4 relative, final tensors within 1e-3."""

    def check_case(self, case):
        weights = shared_weights() / "resnet50.pth"
        recipe = (ROOT / "recipes/article" / case).read_text()
        keys = ("target_modules", "r", "lora_alpha", "modules_to_save", "head", "replace_output")
        settings = [line.replace(": ", "=", 1) for line in recipe.splitlines() if line.split(":")[0] in keys]
        self.train_both(torchvision_model("resnet50", weights), ["model=resnet50", f"weights={weights}", *settings])

    @needs_shared
    def test_case1(self):
        self.check_case("case1.yaml")

    @needs_shared
    def test_case2(self):
        self.check_case("case2.yaml")

    @needs_shared
    def test_case3(self):
        self.check_case("case3.yaml")

    @needs_shared
    def test_case4(self):
        self.check_case("case4.yaml")

    def test_efficientnet_lite0(self):
        """LoRA on 1×1 convolutions of a network with depthwise ones and ReLU6, a retrained output and a head."""
        self.train_both(
            timm_efficientnet_lite0(),
            [
                "model=efficientnet_lite0",
                r"target_modules='blocks\.[56]\.\d\.conv_pwl?'",
                "r=4",
                "modules_to_save=[classifier]",
                "head=[64]",
            ],
            (0.5,) * 3,
            (0.5,) * 3,
        )


class Interchange(FolderTest, unittest.TestCase):
    """The same folder gives the same logits on both sides, within 1e-4."""

    @needs_shared
    def test_case2_opens_in_peft(self):
        weights = shared_weights() / "resnet50.pth"
        with tempfile.TemporaryDirectory() as folder:
            lorikeet(
                "train",
                ROOT / "recipes/article/case2.yaml",
                f"weights={weights}",
                "max_steps=20",
                "epochs=1",
                "test_limit=64",
                f"run={folder}/run",
            )
            adapter = Path(folder) / "run/adapter"
            model = Classifier(opened_by_peft(torchvision_model("resnet50", weights), adapter), head_of(adapter))
            self.compare(model, MEAN, STD, folder, adapter, "--weights", weights)

    @needs_shared
    def test_pefts_opens_here(self):
        weights = shared_weights() / "resnet50.pth"
        self.pefts_opens_here(
            torchvision_model("resnet50", weights),
            MEAN,
            STD,
            r".*\.2\.conv[123]",
            ["fc"],
            "--model",
            "resnet50",
            "--weights",
            weights,
        )

    def test_pefts_opens_here_on_efficientnet_lite0(self):
        self.pefts_opens_here(
            timm_efficientnet_lite0(),
            (0.5,) * 3,
            (0.5,) * 3,
            ["conv_pwl", "conv_stem", "classifier"],
            None,
            "--model",
            "efficientnet_lite0",
        )

    def test_entries_that_match_nothing(self):
        """Of a list, PEFT lets them pass; "classifier" and "score" are what it saves itself with task_type SEQ_CLS."""
        self.pefts_opens_here(
            timm_efficientnet_lite0(),
            (0.5,) * 3,
            (0.5,) * 3,
            ["conv_pwl", "fc1"],
            ["classifier", "score"],
            "--model",
            "efficientnet_lite0",
        )

    @needs_shared
    def test_combined_outlives_pefts_saving(self):
        """PEFT sorts rank_pattern when it saves, and the first pattern that matches the end of a name counts."""
        weights = shared_weights() / "resnet18.pth"
        base = ("--model", "resnet18", "--weights", weights)
        with tempfile.TemporaryDirectory() as folder:
            for name, targets, rank in ("a", r"conv1|layer1\.0\.conv1", 4), ("b", r"layer1\.0\.conv1", 2):
                torch.manual_seed(rank)
                config = peft.LoraConfig(r=rank, lora_alpha=rank, target_modules=targets)
                model = peft.get_peft_model(torchvision_model("resnet18", weights), config)
                for parameter in model.parameters():
                    if parameter.requires_grad:
                        torch.nn.init.normal_(parameter, std=0.05)
                model.save_pretrained(f"{folder}/{name}")
            for how in "linear", "cat":
                combined, again = f"{folder}/{how}", f"{folder}/{how}-again"
                lorikeet(
                    "combine", f"{folder}/a", f"{folder}/b", "--how", how, "--model", "resnet18", "--out", combined
                )
                model = opened_by_peft(torchvision_model("resnet18", weights), Path(combined))
                model.save_pretrained(again)
                for adapter in combined, again:
                    self.compare(model, MEAN, STD, folder, adapter, *base)
                self.compare(
                    opened_by_peft(torchvision_model("resnet18", weights), Path(again)),
                    MEAN,
                    STD,
                    folder,
                    combined,
                    *base,
                )

    def pefts_opens_here(self, base, mean, std, targets, saved, *arguments):
        torch.manual_seed(0)
        config = peft.LoraConfig(
            r=4, lora_alpha=8, target_modules=targets, modules_to_save=saved, rank_pattern={"conv_pwl": 6}
        )
        model = peft.get_peft_model(base, config)
        for name, parameter in model.named_parameters():  # as if it had been trained
            if "lora_B" in name:
                torch.nn.init.normal_(parameter, std=0.02)
            elif parameter.requires_grad and "modules_to_save" in name:
                torch.nn.init.normal_(parameter, std=0.02)
        with tempfile.TemporaryDirectory() as folder:
            model.save_pretrained(folder + "/adapter")
            self.compare(model, mean, std, folder, folder + "/adapter", *arguments)


if __name__ == "__main__":
    unittest.main(verbosity=2)
