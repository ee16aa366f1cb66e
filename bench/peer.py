"""Runs one peer on one task and prints one JSON object.

The tasks: ResNet-50, EfficientNet-Lite0 or a model of bench/cases.py adapted by PEFT on PyTorch, and inference.

  documented   as PEFT's and the article's examples have it: float32, training mode, contiguous memory
  folded       what an expert would do: evaluation mode, BatchNorm folded into the convolutions, channels-last
  bf16         the same with frozen weights and activations in bfloat16
  compiled     folded, through torch.compile; compiled_bf16 likewise

and for inference those of bench/engines.py.
"""
import argparse
import json
import os
import resource
import sys
import tempfile
import time
from pathlib import Path

START = time.perf_counter()
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests/reference"))

import torch  # noqa: E402

from reference import (  # noqa: E402
    MEAN,
    STD,
    Classifier,
    Logits,
    mnist_batches,
    timm_efficientnet_lite0,
    torchvision_model,
)

import peft  # noqa: E402  (after reference, which makes torchvision importable)

from cases import CASES, case_model  # noqa: E402
from engines import ENGINES, engine_session  # noqa: E402

CALIBRATION = 32  # images, with which engines choose the scales of int8


def fold_batch_norm(model):
    """BatchNorm into the convolution before it, of timm's BatchNormAct2d the activation stays; names stay."""
    from torch.nn.utils.fusion import fuse_conv_bn_eval

    for module in model.modules():
        children = list(module.named_children())
        for (conv_name, conv), (norm_name, norm) in zip(children, children[1:]):
            if isinstance(conv, torch.nn.Conv2d) and isinstance(norm, torch.nn.BatchNorm2d):
                setattr(module, conv_name, fuse_conv_bn_eval(conv, norm))
                setattr(module, norm_name, getattr(norm, "act", torch.nn.Identity()))
    return model


def three_layers():
    return torch.nn.Sequential(torch.nn.Linear(1000, 512), torch.nn.Linear(512, 256), torch.nn.Linear(256, 10))


def adapted_case(case, way):
    what = CASES[case]
    config = peft.LoraConfig(
        r=16,
        lora_alpha=16,
        lora_dropout=what.dropout,
        target_modules=what.targets,
        modules_to_save=[what.classifier],
    )
    base = case_model(case, classes=10)
    if way != "documented":
        base = fold_batch_norm(base.eval()).to(memory_format=torch.channels_last)
    model = Logits(peft.get_peft_model(base, config))
    model.train(way == "documented")
    learned = [p for p in model.parameters() if p.requires_grad]
    return torch.compile(model) if way.startswith("compiled") else model, learned


def adapted(case, way, weights):
    """The article's case, the demo's recipe or a model of bench/cases.py, as PEFT makes it, and what is trained."""
    if case in CASES:
        return adapted_case(case, way)
    base = timm_efficientnet_lite0() if case == "efficientnet_lite0" else torchvision_model("resnet50", weights)
    if way != "documented":
        fold_batch_norm(base)
        if way.endswith("bf16"):
            base = base.to(torch.bfloat16)
        base = base.to(memory_format=torch.channels_last)
    if case == "case2":
        config = peft.LoraConfig(r=4, lora_alpha=8, target_modules=r".*\.2\.conv3", modules_to_save=["fc"])
        model = Classifier(peft.get_peft_model(base, config, autocast_adapter_dtype=True), three_layers())
    elif case == "efficientnet_lite0":
        base.reset_classifier(10)
        config = peft.LoraConfig(
            r=4, lora_alpha=8, target_modules=r"blocks\.[3-6]\..*\.conv_pwl?", modules_to_save=["classifier"]
        )
        model = peft.get_peft_model(base, config, autocast_adapter_dtype=True)
    else:
        base.requires_grad_(False)
        if case == "case4":
            base.fc = torch.nn.Linear(2048, 10)
            model = base
        else:
            model = Classifier(base, three_layers())
    model.train(way == "documented")
    if way.startswith("compiled"):
        model = torch.compile(model)
    return model, [p for p in model.parameters() if p.requires_grad]


def batches(options):
    """MNIST's first images in order, as the way wants them in memory."""
    for images, labels in mnist_batches(options.steps, options.batch, pixels=options.pixels):
        if options.way != "documented" and not options.way.startswith(ENGINES):
            images = images.contiguous(memory_format=torch.channels_last)
            images = images.to(torch.bfloat16) if options.way.endswith("bf16") else images
        yield images, labels


def train(options):
    return train_model(options)[0]


def train_model(options):
    model, learned = adapted(options.case, options.way, options.weights)
    optimizer = torch.optim.AdamW(learned, lr=1e-3)
    seconds, losses, first = [], [], None
    source = batches(options)
    for _ in range(options.steps):
        start = time.perf_counter()
        images, labels = next(source)
        loss = torch.nn.functional.cross_entropy(model(images).float(), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
        seconds.append(time.perf_counter() - start)
        first = first or time.perf_counter() - START
    return {"seconds": seconds, "losses": losses, "first_step": first}, model


def reach(options):
    """Trains, then counts what is right of MNIST's test images."""
    result, model = train_model(options)
    right = total = 0
    model.eval()
    with torch.no_grad():
        for images, labels in mnist_batches(100, 100, pixels=options.pixels, split="t10k"):
            images = images.to(torch.bfloat16) if options.way.endswith("bf16") else images
            right += (model(images).argmax(1) == labels).sum().item()
            total += len(labels)
    return {**result, "accuracy": right / total}


def infer(options):
    if options.case in CASES:
        model = Logits(case_model(options.case, classes=10)).eval()
    else:
        model = torchvision_model("resnet50", options.weights)
    if options.way.startswith(ENGINES):
        images = [batch for batch, _ in mnist_batches(CALIBRATION, 1, pixels=options.pixels)]
        with tempfile.TemporaryDirectory() as folder:
            model = engine_session(model, options.way, images, Path(folder))
    elif options.way != "documented":
        model = fold_batch_norm(model).to(memory_format=torch.channels_last)
        model = model.to(torch.bfloat16) if options.way.endswith("bf16") else model
        model = torch.compile(model) if options.way.startswith("compiled") else model
    seconds = []
    with torch.inference_mode():
        for images, _ in batches(options):
            start = time.perf_counter()
            model(images)
            seconds.append(time.perf_counter() - start)
    return {"seconds": seconds, "losses": []}


def load(options):
    """torchvision's ImageFolder, with PIL, by a DataLoader with one process for each core.

    folded: the processes pass on bytes, and batches are normalised at once.
    """
    from torchvision import datasets
    from torchvision.transforms import v2

    to_float = [v2.ToDtype(torch.float32, scale=True), v2.Normalize(MEAN, STD)]
    steps = [v2.RandomResizedCrop(options.pixels), v2.RandomHorizontalFlip(), v2.PILToTensor()]
    together = options.way == "folded"
    loader = torch.utils.data.DataLoader(
        datasets.ImageFolder(options.case, v2.Compose(steps if together else steps + to_float)),
        batch_size=options.batch,
        shuffle=True,
        num_workers=len(os.sched_getaffinity(0)),
        persistent_workers=True,
    )
    finish = v2.Compose(to_float) if together else lambda images: images
    seconds = []
    while len(seconds) < options.steps:
        start = time.perf_counter()
        for images, _ in loader:
            finish(images)
            seconds.append(time.perf_counter() - start)
            start = time.perf_counter()
            if len(seconds) == options.steps:
                break
    return {"seconds": seconds, "losses": []}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("work", choices=["train", "infer", "reach", "load"])
    parser.add_argument("--case", default="case2")
    parser.add_argument("--way", default="documented")
    parser.add_argument("--weights")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--pixels", type=int, default=28)
    parser.add_argument("--steps", type=int, default=20)
    options = parser.parse_args()
    torch.manual_seed(0)
    result = {"train": train, "infer": infer, "reach": reach, "load": load}[options.work](options)
    result["peak_bytes"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps(result))


if __name__ == "__main__":
    main()
