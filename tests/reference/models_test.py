"""Names, order, shapes and logits of models with real weights, against torchvision and timm.

networks_test.py has all models of the table.
"""
import tempfile
import unittest
from pathlib import Path

import numpy
import PIL.Image
import torch

from reference import (
    MEAN,
    SHARED,
    STD,
    efficientnet_weights,
    inspect,
    lorikeet,
    needs_shared,
    read_tensors,
    shared_weights,
    timm,
    timm_efficientnet_lite0,
    torchvision,
    torchvision_model,
)

TOLERANCE = 1e-4


def own_images(folder):
    """Pictures with structure at every scale, where there are no photographs."""
    random = numpy.random.default_rng(0)
    for i, (width, height) in enumerate([(300, 260), (224, 224), (640, 480), (257, 511)]):
        noise = (
            sum(
                numpy.asarray(
                    PIL.Image.fromarray(random.integers(0, 256, (4 << s, 4 << s, 3), numpy.uint8)).resize(
                        (width, height), PIL.Image.BICUBIC
                    ),
                    float,
                )
                for s in range(5)
            )
            / 5
        )
        PIL.Image.fromarray(noise.astype(numpy.uint8)).save(Path(folder) / f"{i}.{'png' if i % 2 else 'jpg'}")
    return sorted(Path(folder).iterdir())


def samples():
    return sorted((SHARED / "data/imagenet-samples").glob("*.jpg"))


class Logits(unittest.TestCase):
    def check(self, model, transform, images, *arguments):
        with tempfile.TemporaryDirectory() as folder, torch.inference_mode():
            lorikeet("predict", *arguments, *images, "--logits", f"{folder}/logits.safetensors")
            ours = read_tensors(f"{folder}/logits.safetensors")["logits"]
            theirs = torch.cat([model(transform(PIL.Image.open(i).convert("RGB"))[None]) for i in images])
        self.assertEqual(ours.shape, theirs.shape)
        worst = (ours - theirs).abs().max().item()
        print(f"{self.id()}: {len(images)} images, largest difference {worst:.1e}")
        self.assertLess(worst, TOLERANCE)
        return ours

    def check_resnet(self, name):
        weights = shared_weights() / f"{name}.pth"
        newest = {"resnet18": 256, "resnet50": 232}[name]
        t = torchvision.transforms
        transform = t.Compose([t.Resize(newest), t.CenterCrop(224), t.ToTensor(), t.Normalize(MEAN, STD)])
        model = torchvision_model(name, weights)
        images = samples()
        self.assertEqual(len(images), 100)
        ours = self.check(model, transform, images, weights)
        self.check(model, transform, images[:10], weights.with_suffix(".safetensors"))
        return ours

    @needs_shared
    def test_resnet18_on_100_imagenet_samples(self):
        self.check_resnet("resnet18")

    @needs_shared
    def test_resnet50_on_100_imagenet_samples(self):
        self.check_resnet("resnet50")

    def efficientnet(self, images):
        model = timm_efficientnet_lite0()
        transform = timm.data.create_transform(**timm.data.resolve_model_data_config(model), is_training=False)
        return self.check(model, transform, images, "efficientnet_lite0")

    @needs_shared
    def test_efficientnet_lite0_on_100_imagenet_samples(self):
        images = samples()
        logits = self.efficientnet(images)
        # The order of the samples' names is that of the classes: index, synset, name.
        right = sum(int(name.name[:4]) == best for name, best in zip(images, logits.argmax(1).tolist()))
        print(f"{right} of {len(images)} right")
        self.assertGreaterEqual(right, 65)

    def test_efficientnet_lite0_on_generated_images(self):
        with tempfile.TemporaryDirectory() as folder:
            self.efficientnet(own_images(folder))

    def test_only_normalise(self):
        """`--preprocess normalise` neither resizes nor crops."""
        t = timm.data.transforms_factory.transforms
        with tempfile.TemporaryDirectory() as folder:
            image = Path(folder) / "x.png"
            PIL.Image.fromarray(numpy.random.default_rng(1).integers(0, 256, (97, 130, 3), numpy.uint8)).save(image)
            transform = t.Compose([t.ToTensor(), t.Normalize((0.5,) * 3, (0.5,) * 3)])
            self.check(
                timm_efficientnet_lite0(), transform, [image], efficientnet_weights(), "--preprocess", "normalise"
            )


class Names(unittest.TestCase):
    """Parameters and buffers: names, order and shapes."""

    def check(self, name, state_dict):
        ours = [(t["name"], tuple(t["shape"])) for t in inspect(name)["tensors"]]
        theirs = [(k, tuple(v.shape)) for k, v in state_dict.items() if not k.endswith("num_batches_tracked")]
        self.assertEqual(ours, theirs)

    def test_torchvision(self):
        for name in ("resnet18", "resnet34", "resnet50", "resnet101", "resnet152"):
            with self.subTest(name):
                self.check(name, getattr(torchvision.models, name)().state_dict())

    def test_timm(self):
        self.check("efficientnet_lite0", timm.create_model("tf_efficientnet_lite0").state_dict())


if __name__ == "__main__":
    unittest.main(verbosity=2)
