"""Adapters on each family of models, against PEFT 0.21: twenty steps of training from the same start."""
import tempfile
import unittest

import PIL.Image
import torch
from safetensors.torch import save_file

from folders import FolderTest
from reference import MEAN, STD, timm, torchvision

import peft  # after reference, which makes torchvision importable

BICUBIC = PIL.Image.BICUBIC


class Training(FolderTest, unittest.TestCase):
    """Losses within 1e-4 relative, final tensors within 1e-3. The base is as timm initialises it."""

    def check(self, name, settings, pixels, mean=(0.5,) * 3, std=(0.5,) * 3, **options):
        torch.manual_seed(1)
        self.train(timm.create_model(name, num_classes=1000, **options), name, settings, pixels, mean, std)

    def train(self, base, name, settings, pixels, mean, std, state=None, resample=BICUBIC):
        base.eval()
        with tempfile.TemporaryDirectory() as folder:
            weights = f"{folder}/weights.safetensors"
            save_file(state or base.state_dict(), weights)
            settings = [f"model={name}", f"weights={weights}", "r=4", "lora_alpha=8", "replace_output=true", *settings]
            self.train_both(base, settings, mean, std, pixels=pixels, batch=16, resample=resample)

    def test_vit_with_fewer_patches(self):
        """The position embeddings are interpolated from 14 × 14 patches to 3 × 3."""
        self.check(
            "vit_tiny_patch16_224", ["target_modules=[qkv]", "modules_to_save=[head]"], 48, dynamic_img_size=True
        )

    def test_vit_all_linear_layers(self):
        self.check(
            "vit_tiny_patch16_224",
            [
                "target_modules=[qkv, proj, fc1, fc2]",
                "exclude_modules=[patch_embed.proj]",
                "modules_to_save=[head, norm]",
            ],
            32,
            dynamic_img_size=True,
        )

    def test_vit_of_torchvision(self):
        """Of 32 pixels; the file has the position embeddings of 224."""
        torch.manual_seed(1)
        base = torchvision.models.VisionTransformer(32, 16, 12, 12, 768, 3072)
        embedding = torch.randn(1, 197, 768) * 0.02
        state = {**base.state_dict(), "encoder.pos_embedding": embedding}
        base.encoder.pos_embedding.data = timm.layers.resample_abs_pos_embed(embedding, (2, 2))
        settings = ["target_modules=[mlp.0, mlp.3]", "modules_to_save=[heads.head]"]
        self.train(base, "vit_b_16", settings, 32, MEAN, STD, state, PIL.Image.BILINEAR)

    def test_convnext(self):
        """Convolutions and Linear layers, with the layer scales of a trained model, which are not near zero."""
        settings = ["target_modules=[fc1, fc2, stem.0]", "modules_to_save=[head.fc]"]
        self.check("convnext_atto", settings, 64, MEAN, STD, ls_init_value=1.0)

    def test_mobilenet_v3(self):
        """With BatchNorm's statistics of some images: with those of the initialisation, the signal vanishes."""
        torch.manual_seed(1)
        base = timm.create_model("mobilenetv3_small_100")
        for module in base.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.momentum = None  # the mean of all batches
        for _ in range(4):
            base(torch.randn(16, 3, 64, 64))
        settings = ["target_modules=[conv_pw, conv_pwl]", "modules_to_save=[classifier]"]
        self.train(base, "mobilenetv3_small_100", settings, 64, MEAN, STD)

    def test_swin_of_torchvision(self):
        """Windows that the image does not fill. PEFT's layers within torchvision's attention would have no effect."""
        torch.manual_seed(1)
        targets = "target_modules=[mlp.0, mlp.3, reduction]"
        settings = [targets, "init_lora_weights=orthogonal", "modules_to_save=[head]"]
        self.train(torchvision.models.swin_t(), "swin_t", settings, 64, MEAN, STD)

    def test_swin_of_torchvision_in_peft_needs_merging(self):
        """torchvision reads the weights of qkv and proj without calling them: ours is PEFT's merged model."""
        torch.manual_seed(1)
        base = torchvision.models.swin_t().eval()
        images = torch.randn(2, 3, 32, 32)
        config = peft.LoraConfig(r=4, target_modules=["attn.qkv", "attn.proj"], init_lora_weights=False)
        with tempfile.TemporaryDirectory() as folder, torch.inference_mode():
            save_file(base.state_dict(), f"{folder}/weights.safetensors")
            logits = base(images)
            model = peft.get_peft_model(base, config).eval()
            model.save_pretrained(f"{folder}/adapter")
            self.assertTrue(torch.equal(model(images), logits))
            merged = model.merge_and_unload()
            self.assertGreater((merged(images) - logits).abs().max().item(), 0.01)
            options = ("--model", "swin_t", "--weights", f"{folder}/weights.safetensors")
            self.compare(merged, MEAN, STD, folder, f"{folder}/adapter", *options)

    def test_mobilevit(self):
        """Linear layers on groups of tokens and convolutions between; an image of 3 × 3 pixels has no whole patches."""
        settings = ["target_modules=[qkv, fc1, conv_proj.conv]", "modules_to_save=[head.fc]"]
        self.check("mobilevit_xxs", settings, 48, mean=(0.0,) * 3, std=(1.0,) * 3)


if __name__ == "__main__":
    unittest.main(verbosity=2)
