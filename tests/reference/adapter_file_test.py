"""Folders of PEFT 0.21 through one file and back: PEFT opens the new folder and computes exactly the same."""
import tempfile
import unittest
from pathlib import Path

import torch

from folders import FolderTest, opened_by_peft
from reference import lorikeet, read_tensors, timm_efficientnet_lite0

import peft  # after reference, which makes torchvision importable

TARGETS = r"blocks\.6\.0\.conv_pwl?|conv_head"
CONFIGS = {
    "LoRA": lambda: peft.LoraConfig(r=4, lora_alpha=8, target_modules=TARGETS, modules_to_save=["classifier", "bn2"]),
    "LoRA, ranks": lambda: peft.LoraConfig(
        r=2, lora_alpha=3, use_rslora=True, target_modules=["conv_pwl", "conv_head"], rank_pattern={"conv_head": 5}
    ),
    "DoRA": lambda: peft.LoraConfig(r=3, use_dora=True, target_modules=TARGETS),
    "LoHa": lambda: peft.LoHaConfig(r=2, target_modules=TARGETS),
    "LoKr": lambda: peft.LoKrConfig(r=2, target_modules=TARGETS),
    "IA3": lambda: peft.IA3Config(target_modules=["conv_pwl", "conv_head"], feedforward_modules=["conv_head"]),
    "OFT": lambda: peft.OFTConfig(r=0, oft_block_size=16, target_modules=TARGETS),
    "BOFT": lambda: peft.BOFTConfig(boft_block_size=8, target_modules=TARGETS),
}


class OneFile(FolderTest, unittest.TestCase):
    def test_there_and_back(self):
        for name, config in CONFIGS.items():
            with self.subTest(name), tempfile.TemporaryDirectory() as folder:
                self.check(config(), Path(folder))

    def check(self, config, folder):
        torch.manual_seed(1)
        model = peft.get_peft_model(timm_efficientnet_lite0(), config)
        for parameter in model.parameters():  # as if it had been trained
            if parameter.requires_grad:
                parameter.data += 0.02 * torch.randn_like(parameter)
        model.save_pretrained(folder / "peft")
        for precision in "float32", "int8":
            file, back = folder / f"{precision}.lorikeet", folder / precision
            base = ("--model", "efficientnet_lite0")
            lorikeet("convert", folder / "peft", file, *base, "--precision", precision)
            lorikeet("convert", file, back)
            self.compare(opened_by_peft(timm_efficientnet_lite0(), back), (0.5,) * 3, (0.5,) * 3, str(folder), file)
        before, after = (read_tensors(folder / each / "adapter_model.safetensors") for each in ("peft", "float32"))
        self.assertEqual(
            {key: (tensor.shape, tensor.dtype) for key, tensor in before.items()},
            {key: (tensor.shape, tensor.dtype) for key, tensor in after.items()},
        )
        for key, tensor in after.items():
            if not key.endswith("num_batches_tracked"):  # written as 0
                self.assertTrue(torch.equal(tensor, before[key]), key)


if __name__ == "__main__":
    unittest.main(verbosity=2)
