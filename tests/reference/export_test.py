"""`merge` and `export`: other programs get the same logits.

Plain torchvision and timm load what was merged, onnxruntime runs what was exported.
"""
import json
import tempfile
import unittest
from pathlib import Path

import numpy
import onnx
import onnxruntime
import PIL.Image
import safetensors.torch
import torch

from reference import MEAN, SHARED, STD, lorikeet, needs_shared, read_tensors, shared_weights, timm, torchvision
from models_test import own_images, samples

TOLERANCE = 1e-4
BATCHES = 1, 5


def read_image(path):
    return numpy.asarray(PIL.Image.open(path).convert("RGB"))


def pictures(folder, count, size):
    """Images of one size (height, width) with structure at every scale."""
    random = numpy.random.default_rng(2)
    out = []
    for i in range(count):
        noise = (
            sum(
                numpy.asarray(
                    PIL.Image.fromarray(random.integers(0, 256, (4 << s, 4 << s, 3), numpy.uint8)).resize(
                        size[::-1], PIL.Image.BICUBIC
                    ),
                    float,
                )
                for s in range(4)
            )
            / 4
        )
        out.append(Path(folder) / f"{i}-{size[0]}x{size[1]}.png")
        PIL.Image.fromarray(noise.astype(numpy.uint8)).save(out[-1])
    return out


def normalised(images, mean, std):
    """float32 (N, 3, H, W) of uint8 (N, H, W, 3), with torchvision's roundings."""
    x = torch.from_numpy(images).permute(0, 3, 1, 2) / 255
    return ((x - torch.tensor(mean)[:, None, None]) / torch.tensor(std)[:, None, None]).numpy()


class Exported(unittest.TestCase):
    """Adapters after a few steps of training, each made once."""

    @classmethod
    def setUpClass(cls):
        temporary = tempfile.TemporaryDirectory()
        cls.addClassCleanup(temporary.cleanup)
        cls.folder = Path(temporary.name)
        cls.made = {}

    def adapter(self, name, *settings):
        """The arguments that name it: LoRA on some convolutions, ten classes."""
        if name not in self.made:
            recipe = self.folder / "recipe.yaml"
            recipe.write_text("data: mnist\n")
            lorikeet(
                "train",
                recipe,
                "data=mnist",
                "image_size=64",
                "r=4",
                "train_limit=64",
                "test_limit=16",
                "batch_size=16",
                "epochs=1",
                "learning_rate=3e-3",
                f"run={self.folder / name}",
                *settings,
            )
            self.made[name] = self.folder / name / "adapter"
        return self.made[name]

    def efficientnet(self):
        return [
            self.adapter(
                "efficientnet",
                "model=efficientnet_lite0",
                r"target_modules='blocks\.[56]\.\d\.conv_pwl?|conv_head|conv_stem'",
                "replace_output=true",
                "modules_to_save=[classifier]",
            )
        ]

    def resnet18(self):
        weights = shared_weights() / "resnet18.pth"
        return [
            self.adapter(
                "resnet18",
                "model=resnet18",
                f"weights={weights}",
                r"target_modules='layer[34]\..*conv.*|conv1'",
                "replace_output=true",
                "modules_to_save=[fc,layer4.1.bn2]",
            ),
            "--weights",
            weights,
        ]

    def resnet50_with_head(self):
        weights = shared_weights() / "resnet50.pth"
        return [
            self.adapter(
                "resnet50",
                "model=resnet50",
                f"weights={weights}",
                r"target_modules='.*\.2\.conv[123]'",
                "modules_to_save=null",
                "head=[64]",
            ),
            "--weights",
            weights,
        ]

    def logits(self, model, images, preprocess="normalise"):
        """What `lorikeet predict` gives."""
        lorikeet("predict", *model, *images, "--preprocess", preprocess, "--logits", self.folder / "logits.safetensors")
        return read_tensors(self.folder / "logits.safetensors")["logits"].numpy()

    def assert_close(self, what, found, expected, tolerance=TOLERANCE):
        """Within the tolerance; of values beyond ±10, such as those of a head, within a hundred-thousandth of them."""
        self.assertEqual(found.shape, expected.shape)
        tolerance *= max(1, numpy.abs(expected).max() / 10)
        worst = numpy.abs(found - expected).max()
        print(
            f"{self.id().split('.', 1)[1]}: {what}: largest difference {worst:.1e}, "
            f"largest value {numpy.abs(expected).max():.1f}"
        )
        self.assertLess(worst, tolerance)


class Merge(Exported):
    def check(self, model, plain, mean, std):
        """Both formats load strictly into `plain`, name for name, and compute what the adapter does."""
        images = pictures(self.folder, 5, (64, 64))
        expected = self.logits(model, images)
        pixels = torch.from_numpy(normalised(numpy.stack([read_image(i) for i in images]), mean, std))
        for ending, load in ("pth", lambda file: torch.load(file, weights_only=True)), (
            "safetensors",
            safetensors.torch.load_file,
        ):
            file = self.folder / f"merged.{ending}"
            self.assertIn("with the adapter merged", lorikeet("merge", *model, "--out", file))
            tensors = load(file)
            wanted = plain.state_dict()
            self.assertEqual(sorted(tensors), sorted(wanted))
            self.assertEqual(
                {k: (v.dtype, v.shape) for k, v in tensors.items()}, {k: (v.dtype, v.shape) for k, v in wanted.items()}
            )
            if ending == "pth":
                self.assertEqual(list(tensors), list(wanted))
                torch.load(file, weights_only=True, mmap=True)
            plain.load_state_dict(tensors, strict=True)
            with torch.inference_mode():
                self.assert_close(ending, plain.eval()(pixels).numpy(), expected)

    def test_efficientnet_lite0(self):
        self.check(
            self.efficientnet(), timm.create_model("tf_efficientnet_lite0", num_classes=10), (0.5,) * 3, (0.5,) * 3
        )

    @needs_shared
    def test_resnet18(self):
        self.check(self.resnet18(), torchvision.models.resnet18(num_classes=10), MEAN, STD)

    @needs_shared
    def test_resnet50_with_a_head(self):
        """The head's layers are beside the plain model's, and the command says so."""
        model, file = self.resnet50_with_head(), self.folder / "head.pth"
        self.assertIn("head.0, head.1: added head", lorikeet("merge", *model, "--out", file))
        tensors = torch.load(file, weights_only=True)
        head = [torch.nn.Linear(1000, 64), torch.nn.Linear(64, 10)]
        for i, layer in enumerate(head):
            layer.load_state_dict({part: tensors.pop(f"head.{i}.{part}") for part in ("weight", "bias")})
        plain = torchvision.models.resnet50()
        plain.load_state_dict(tensors, strict=True)
        images = pictures(self.folder, 5, (64, 64))
        pixels = torch.from_numpy(normalised(numpy.stack([read_image(i) for i in images]), MEAN, STD))
        with torch.inference_mode():
            self.assert_close(
                "pth", torch.nn.Sequential(plain, *head).eval()(pixels).numpy(), self.logits(model, images)
            )

    def test_a_base_without_adapter(self):
        file = self.folder / "base.safetensors"
        lorikeet("merge", "efficientnet_lite0", "--out", file)
        images = pictures(self.folder, 2, (64, 64))
        self.assertTrue(
            (self.logits([file], images) == self.logits(["efficientnet_lite0"], images)).all()
        )  # and our own reader takes it


class Export(Exported):
    def export(self, model, *options):
        """A session of the exported file, which onnx has checked, and the model."""
        file = self.folder / "model.onnx"
        lorikeet("export", *model, "--format", "onnx", "--out", file, *options)
        onnx.checker.check_model(str(file), full_check=True)
        return onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"]), onnx.load(file)

    def check(self, model, mean, std, classes=10, sizes=((64, 64), (97, 130))):
        plain, description = self.export(model)
        inside, _ = self.export(model, "--preprocess", "normalise")
        probabilities, _ = self.export(model, "--softmax")
        both, _ = self.export(model, "--softmax", "--preprocess", "normalise")
        self.assertEqual(
            [(i.name, i.type, i.shape) for i in plain.get_inputs()], [("images", "tensor(float)", ["N", 3, "H", "W"])]
        )
        self.assertEqual(
            [(i.name, i.type, i.shape) for i in inside.get_inputs()], [("images", "tensor(uint8)", ["N", "H", "W", 3])]
        )
        self.assertEqual([(o.name, o.shape) for o in plain.get_outputs()], [("logits", ["N", classes])])
        self.assertEqual([(o.name, o.shape) for o in probabilities.get_outputs()], [("probabilities", ["N", classes])])
        self.assertEqual((description.producer_name, description.opset_import[0].version), ("lorikeet", 17))
        for size in sizes:  # the same files at each: height and width are free, and odd ones pad unevenly
            for batch in BATCHES:
                images = pictures(self.folder, batch, size)
                expected = self.logits(model, images)
                pixels = numpy.stack([read_image(i) for i in images])
                what = f"{batch} of {size[0]}x{size[1]}"
                self.assert_close(
                    f"{what}, plain", plain.run(None, {"images": normalised(pixels, mean, std)})[0], expected
                )
                self.assert_close(f"{what}, --preprocess normalise", inside.run(None, {"images": pixels})[0], expected)
                softmax = torch.from_numpy(expected).softmax(1).numpy()
                for session, entry in (probabilities, normalised(pixels, mean, std)), (both, pixels):
                    self.assert_close(f"{what}, --softmax", session.run(None, {"images": entry})[0], softmax, 1e-5)

    def test_efficientnet_lite0(self):
        self.check(self.efficientnet(), (0.5,) * 3, (0.5,) * 3)

    @needs_shared
    def test_resnet18(self):
        self.check(self.resnet18(), MEAN, STD)

    @needs_shared
    def test_resnet50_with_a_head(self):
        self.check(self.resnet50_with_head(), MEAN, STD)

    @needs_shared
    def test_resnet50_without_adapter(self):
        weights = shared_weights() / "resnet50.pth"
        self.check([weights], MEAN, STD, 1000, ((224, 224),))

    def test_metadata(self):
        _, model = self.export(self.efficientnet())
        found = {entry.key: entry.value for entry in model.metadata_props}
        self.assertEqual(json.loads(found["classes"]), [str(i) for i in range(10)])
        adapter = json.loads((self.efficientnet()[0] / "lorikeet.json").read_text())
        self.assertEqual(
            (found["base_model"], found["base_weights"], found["base_sha256"]),
            ("efficientnet_lite0", "efficientnet_lite0", adapter["base"]["sha256"]),
        )
        self.assertEqual(json.loads(found["preprocessing"]), adapter["preprocessing"])
        self.assertEqual(model.producer_version, lorikeet("--version").split()[1])

    def test_a_fixed_size(self):
        session, _ = self.export(self.efficientnet(), "--size", 64)
        self.assertEqual(session.get_inputs()[0].shape, ["N", 3, 64, 64])
        images = pictures(self.folder, 5, (64, 64))
        pixels = numpy.stack([read_image(i) for i in images])
        self.assert_close(
            "--size",
            session.run(None, {"images": normalised(pixels, (0.5,) * 3, (0.5,) * 3)})[0],
            self.logits(self.efficientnet(), images),
        )


class Resize(Exported):
    """`--preprocess`: the resize and the crop inside are Pillow's to the byte, and the logits `predict`'s."""

    def check(self, model, images, transform):
        file = self.folder / "eval.onnx"
        lorikeet("export", *model, "--out", file, "--preprocess")
        onnx.checker.check_model(str(file), full_check=True)
        description = onnx.load(file)
        description.graph.output.append(
            onnx.helper.make_tensor_value_info("preprocess.pixels", onnx.TensorProto.FLOAT, None)
        )
        session = onnxruntime.InferenceSession(description.SerializeToString(), providers=["CPUExecutionProvider"])
        found, other, total, worst = [], 0, 0, 0
        for image in images:
            logits, pixels = session.run(None, {"images": read_image(image)[None]})
            found.append(logits)
            difference = numpy.abs(
                pixels[0] - numpy.asarray(transform(PIL.Image.open(image).convert("RGB")), float).transpose(2, 0, 1)
            )
            other, total, worst = other + (difference > 0).sum(), total + difference.size, max(worst, difference.max())
        print(
            f"{self.id().split('.', 1)[1]}: {len(images)} images: "
            f"{other} of {total} bytes differ, by at most {worst:.0f}"
        )
        self.assertEqual(other, 0)
        self.assert_close("--preprocess", numpy.concatenate(found), self.logits(model, images, "eval"))

    def images(self):
        folder = self.folder / "own"
        folder.mkdir(exist_ok=True)
        return own_images(folder) if not any(folder.iterdir()) else sorted(folder.iterdir())

    def transform(self, resize, crop, interpolation):
        t = torchvision.transforms
        return t.Compose([t.Resize(resize, interpolation), t.CenterCrop(crop)])

    def test_bicubic(self):
        transform = self.transform(256, 224, torchvision.transforms.InterpolationMode.BICUBIC)
        self.check(["efficientnet_lite0"], self.images() + (samples()[:20] if SHARED.is_dir() else []), transform)

    def test_smaller_and_larger_than_the_adapters_size(self):
        transform = self.transform(64, 64, torchvision.transforms.InterpolationMode.BICUBIC)
        self.check(
            self.efficientnet(),
            self.images() + pictures(self.folder, 1, (28, 28)) + pictures(self.folder, 1, (31, 75)),
            transform,
        )

    @needs_shared
    def test_bilinear_to_the_border(self):
        """No crop hides how the border is weighted."""
        transform = self.transform(64, 64, torchvision.transforms.InterpolationMode.BILINEAR)
        self.check(
            self.resnet18(),
            self.images() + pictures(self.folder, 1, (28, 28)) + pictures(self.folder, 1, (131, 75)),
            transform,
        )

    @needs_shared
    def test_bilinear(self):
        weights = shared_weights() / "resnet50.pth"
        transform = self.transform(232, 224, torchvision.transforms.InterpolationMode.BILINEAR)
        self.check([weights], self.images() + samples()[:20], transform)

    def test_a_batch(self):
        file, images = self.folder / "eval.onnx", pictures(self.folder, 5, (120, 90))
        lorikeet("export", *self.efficientnet(), "--out", file, "--preprocess", "--softmax")
        session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
        found = session.run(None, {"images": numpy.stack([read_image(i) for i in images])})[0]
        expected = torch.from_numpy(self.logits(self.efficientnet(), images, "eval")).softmax(1).numpy()
        self.assert_close("--preprocess --softmax", found, expected, 1e-5)


if __name__ == "__main__":
    unittest.main(verbosity=2)
