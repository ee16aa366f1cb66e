"""Ways to fine-tune, side by side on real images: probe, LoRA, norm tuning and full fine-tuning by Lorikeet, and each
of them by PyTorch with timm, torchvision and PEFT: accuracy on all test images, parameters, bytes and seconds.

The data is a folder train|test/CLASS/IMAGE; without one, 500 images a class of ../shared's CIFAR-10 and its test
images. PyTorch trains what Lorikeet's adapter names, on the same images at the same size, with the same batch,
learning rate and number of epochs, with BatchNorm in evaluation mode. Both shuffle, in other orders. See bench/run
methods.
"""
import argparse
import json
import os
import sys
import tarfile
import time
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests/reference"))

from reference import BINARY, ROOT, SHARED, timm_efficientnet_lite0, torch, torchvision, torchvision_model  # noqa: E402

from bench import processor, run, weights, write_measures  # noqa: E402

PIXELS, BATCH = 96, 32
RESULTS = ROOT / "bench/results/methods.json"


@dataclass
class Method:
    recipe: list  # Lorikeet's keys
    learning_rate: float


METHODS = {
    "probe": Method(["tune=probe"], 3e-3),
    "lora": Method(["tune=adapter", "target_modules=auto", "r=8", "lora_alpha=16"], 2e-3),
    "norm": Method(["tune=norm"], 3e-3),
    "full": Method(["tune=full"], 1e-4),
}
MODELS = {"efficientnet_lite0": "classifier", "resnet50": "fc"}


def cifar10():
    """The folder of 5,000 training and 10,000 test images."""
    folder = ROOT / "build/bench-data/cifar10"
    if not folder.exists():
        part = folder.with_suffix(".part")
        with tarfile.open(SHARED / "data/cifar10-jpg.tar.xz") as archive:
            counts = {}
            for member in archive:
                split, name = Path(member.name).parts[-3:-1] if member.isfile() else ("", "")
                counts[split, name] = counts.get((split, name), 0) + 1
                if split == "test" or (split == "train" and counts[split, name] <= 500):
                    path = part / split / name / Path(member.name).name
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.write_bytes(archive.extractfile(member).read())
        part.rename(folder)
    return folder


def ours(model, method, data, epochs, folder):
    way = METHODS[method]
    recipe = folder / "recipe.yaml"
    keys = [*way.recipe, f"model={model}", f"data={data}", f"image_size={PIXELS}", f"batch_size={BATCH}"]
    keys += [f"epochs={epochs}", f"learning_rate={way.learning_rate}", "schedule=cosine"]
    recipe.write_text("".join(f"{key.replace('=', ': ', 1)}\n" for key in keys))
    more = [f"weights={weights()}"] if model == "resnet50" else []
    run(BINARY, "train", recipe, f"run={folder}/run", *more)
    summary = json.loads((folder / "run/summary.json").read_text())
    return {
        "accuracy": summary["test"]["accuracy"],
        "seconds": summary["train_seconds"],
        "parameters": summary["trainable_parameters"],
        "bytes": summary["adapter_folder_bytes"],
        "whole_model_bytes": summary["whole_model_bytes"],
    }


def peer_model(model, method, adapter):
    """The model as PyTorch's users make it, and what it learns."""
    import peft

    base = timm_efficientnet_lite0() if model == "efficientnet_lite0" else torchvision_model(model, weights())
    classifier = MODELS[model]
    setattr(base, classifier, torch.nn.Linear(getattr(base, classifier).in_features, 10))
    config = json.loads((adapter / "adapter_config.json").read_text())
    if method in ("lora", "norm"):
        common = {"target_modules": config["target_modules"], "modules_to_save": [classifier]}
        own = (
            peft.LoraConfig(r=config["r"], lora_alpha=config["lora_alpha"], **common)
            if method == "lora"
            else peft.LNTuningConfig(**common)
        )
        base = peft.get_peft_model(base, own)
    elif method == "probe":
        base.requires_grad_(False)
        getattr(base, classifier).requires_grad_(True)
    base.eval()
    return base


def peer(model, method, data, epochs, adapter):
    network = peer_model(model, method, adapter)
    steps = json.loads((adapter / "lorikeet.json").read_text())["preprocessing"]
    transforms = torchvision.transforms
    prepare = transforms.Compose(
        [
            transforms.Resize(steps["resize"], transforms.InterpolationMode[steps["interpolation"].upper()]),
            transforms.CenterCrop(steps["crop"]),
            transforms.ToTensor(),
            transforms.Normalize(steps["mean"], steps["std"]),
        ]
    )

    def batches(split, batch, shuffle):
        dataset = torchvision.datasets.ImageFolder(data / split, prepare)
        return torch.utils.data.DataLoader(dataset, batch, shuffle=shuffle, num_workers=2)

    learned = [parameter for parameter in network.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(learned, lr=METHODS[method].learning_rate)
    loader = batches("train", BATCH, shuffle=True)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs * len(loader))
    start = time.perf_counter()
    for _ in range(epochs):
        for images, labels in loader:
            loss = torch.nn.functional.cross_entropy(network(images), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    seconds = time.perf_counter() - start
    right = total = 0
    with torch.inference_mode():
        for images, labels in batches("test", 100, shuffle=False):
            right += (network(images).argmax(1) == labels).sum().item()
            total += len(labels)
    return {"accuracy": right / total, "seconds": seconds, "parameters": sum(p.numel() for p in learned)}


def peer_in_process(*arguments):
    """In a process of its own, as ours."""
    output, _, _ = run(sys.executable, "-W", "ignore", __file__, "--peer", json.dumps(list(map(str, arguments))))
    return json.loads(output.splitlines()[-1])


def main():
    parser = argparse.ArgumentParser(prog="bench/run methods", description=__doc__)
    parser.add_argument("data", nargs="?", type=Path, help="folder of images: train|test/CLASS/IMAGE")
    parser.add_argument("--model", choices=MODELS, action="append", help="default: all")
    parser.add_argument("--method", choices=METHODS, action="append", help="default: all")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--peer", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.peer:
        model, method, data, epochs, adapter = json.loads(options.peer)
        print(json.dumps(peer(model, method, Path(data), int(epochs), Path(adapter))))
        return
    data = options.data or cifar10()
    table = json.loads(RESULTS.read_text())["measures"] if RESULTS.exists() else {}
    print("| model | method | accuracy | PyTorch | parameters | bytes | seconds | PyTorch | ratio |")
    print("|---|---|---:|---:|---:|---:|---:|---:|---:|", flush=True)
    for model in options.model or MODELS:
        for method in options.method or METHODS:
            folder = ROOT / "build/bench-methods" / model / method
            folder.mkdir(parents=True, exist_ok=True)
            run("rm", "-rf", folder / "run")
            own = ours(model, method, data, options.epochs, folder)
            other = peer_in_process(model, method, data, options.epochs, folder / "run/adapter")
            print(
                f"| {model} | {method} | {own['accuracy']:.4f} | {other['accuracy']:.4f} | {own['parameters']:,} | "
                f"{own['bytes']:,} | {own['seconds']:.1f} | {other['seconds']:.1f} | "
                f"{other['seconds'] / own['seconds']:.2f} |",
                flush=True,
            )
            where = {"date": time.strftime("%Y-%m-%d"), "processor": processor(), "epochs": options.epochs}
            table[f"{model} {method}"] = {"ours": own, "pytorch": other, "cores": len(os.sched_getaffinity(0)), **where}
            write_measures(RESULTS, table)


if __name__ == "__main__":
    main()
