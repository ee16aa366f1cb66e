"""Random transforms against torchvision's v2 on PIL images, with the same parameters."""
import json
import os
import subprocess
import tempfile
import unittest
from pathlib import Path
from unittest import mock

import numpy
import PIL.Image
import reference
import safetensors.torch
import torch
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional

TRANSFORM = os.environ.get("LORIKEET_TRANSFORM_IMAGES", str(reference.ROOT / "build/bin/transform_images"))
SIGNED = "ShearX ShearY TranslateX TranslateY Rotate Brightness Color Contrast Sharpness".split()


def transform(*arguments):
    done = subprocess.run([TRANSFORM, *map(str, arguments)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


class Transforms(unittest.TestCase):
    def setUp(self):
        temporary = tempfile.TemporaryDirectory(prefix="lorikeet-transforms-")
        self.addCleanup(temporary.cleanup)
        self.folder = Path(temporary.name)

    def pictures(self):
        """A picture of smooth colours, one of noise, a flat one, and a square."""
        random = numpy.random.default_rng(1)
        noise = random.integers(0, 256, (47, 61, 3), numpy.uint8)
        smooth = PIL.Image.fromarray(noise[:6, :8]).resize((90, 64), PIL.Image.BICUBIC)
        narrow = PIL.Image.fromarray((noise // 3 + 60).astype(numpy.uint8))
        square = smooth.resize((56, 56))
        return {
            "smooth": smooth,
            "noise": PIL.Image.fromarray(noise),
            "narrow": narrow,
            "flat": PIL.Image.new("RGB", (9, 7), (10, 20, 30)),
            "square": square,
        }

    def check(self, operations, theirs):
        """Our results for (name, magnitude) equal theirs(image, name, magnitude)."""
        for title, image in self.pictures().items():
            path, out = self.folder / f"{title}.png", self.folder / "out.safetensors"
            image.save(path)
            transform("apply", path, out, *(part for name, value in operations for part in (name, repr(value))))
            found = safetensors.torch.load_file(out)
            for i, (name, value) in enumerate(operations):
                with self.subTest(f"{title} {name} {value}"):
                    expected = functional.pil_to_tensor(theirs(image, name, value))
                    different = (found[str(i)] != expected).sum().item()
                    self.assertEqual(different, 0, f"of {expected.numel()}")

    def test_magnitudes(self):
        for height, width in (224, 224), (47, 61):
            found = json.loads(transform("magnitudes", height, width))
            for name, kind in ("rand", v2.RandAugment), ("trivial", v2.TrivialAugmentWide):
                space = kind()._AUGMENTATION_SPACE
                self.assertEqual(list(space), list(found[name]))
                self.assertEqual([key for key, (_, signed) in space.items() if signed], SIGNED)
                for operation, (values, _) in space.items():
                    values = values(31, height, width)
                    expected = [0.0] * 31 if values is None else [float(value) for value in values]
                    # torch.linspace rounds differently with each width of the processor's vectors.
                    numpy.testing.assert_allclose(found[name][operation], expected, 2e-7, err_msg=operation)

    def test_operations_of_rand_augment_and_trivial_augment_wide(self):
        augment = v2.TrivialAugmentWide()
        operations = []
        for kind in v2.RandAugment, v2.TrivialAugmentWide:
            for name, (values, signed) in kind()._AUGMENTATION_SPACE.items():
                values = values(31, 47, 61)
                chosen = [0.0] if values is None else [float(values[i]) for i in range(0, 31, 2)]
                operations += [(name, sign * value) for value in chosen for sign in ((1, -1) if signed else (1,))]
        self.check(
            operations,
            lambda image, name, value: augment._apply_image_or_video_transform(
                image, name, value, interpolation=augment.interpolation, fill=augment._fill
            ),
        )

    def test_color_jitter(self):
        operations = [("Hue", value) for value in (-0.5, -0.31, -0.1, -0.004, 0.0, 0.003, 0.07, 0.25, 0.5)]
        operations += [(name, value) for name in ("Brightness", "Contrast", "Color") for value in (-1.0, 0.013, 1.7)]
        by_name = {
            "Hue": functional.adjust_hue,
            "Brightness": lambda image, value: functional.adjust_brightness(image, 1 + value),
            "Contrast": lambda image, value: functional.adjust_contrast(image, 1 + value),
            "Color": lambda image, value: functional.adjust_saturation(image, 1 + value),
        }
        self.check(operations, lambda image, name, value: by_name[name](image, value))

    def test_random_erasing(self):
        """Ours erases before normalisation, with the mean colour rounded to a grey level."""
        image = self.pictures()["smooth"]
        path, out = self.folder / "image.png", self.folder / "out.safetensors"
        image.save(path)
        transform("apply", path, out, "Erase", "3 5 40 17")
        normalise = v2.Normalize(reference.MEAN, reference.STD)
        scaled = functional.to_dtype(functional.pil_to_tensor(image), torch.float32, scale=True)
        theirs = functional.erase(normalise(scaled), 3, 5, 40, 17, torch.zeros(1)[:, None, None])
        ours = normalise(safetensors.torch.load_file(out)["0"] / 255)
        bound = torch.tensor([0.5 / 255 / std for std in reference.STD])[:, None, None] + 1e-6
        self.assertTrue(((ours - theirs).abs() <= bound).all())
        self.assertGreater((ours - normalise(scaled)).abs().max(), 0.5)

    def test_mixup_and_cutmix(self):
        generator = torch.Generator().manual_seed(2)
        images = torch.randn(5, 3, 30, 41, generator=generator)
        labels = torch.tensor([3, 0, 6, 6, 1])
        source, out = self.folder / "in.safetensors", self.folder / "out.safetensors"
        safetensors.torch.save_file({"images": images, "labels": labels}, source)
        for own, x, y in (0.3, 20, 10), (0.7, 0, 0), (0.99, 40, 29), (0.01, 5, 25), (0.5, 40, 0):
            transform("mix", source, out, own, x, y, 7)
            found = safetensors.torch.load_file(out)
            for kind in "mixup", "cutmix":
                mixing = {"mixup": v2.MixUp, "cutmix": v2.CutMix}[kind](num_classes=7)
                mixing._dist = mock.Mock(sample=lambda _: own)
                with mock.patch("torch.randint", side_effect=[torch.tensor([x]), torch.tensor([y])]):
                    mixed, shares = mixing(images, labels)
                with self.subTest(f"{kind} {own}"):
                    self.assertTrue(torch.equal(found[f"{kind}_images"], mixed))
                    self.assertTrue(torch.equal(found[f"{kind}_labels"], shares))


if __name__ == "__main__":
    unittest.main()
