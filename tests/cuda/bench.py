"""Training steps of Lorikeet and of PEFT on one GPU, side by side: images a second, and the memory of the card.

  Lorikeet        `lorikeet train device=cuda`, from its metrics.jsonl
  PEFT            as its documentation has it: float32, training mode
  PEFT, tuned     evaluation mode, channels-last, and bfloat16 autocast where Lorikeet runs in bfloat16

ResNet-50 has random weights, which cost what trained ones cost; EfficientNet-Lite0 its own. The images are MNIST's:
PEFT finds them on the card, Lorikeet reads, resizes and copies them while it trains. Exit code 77: no GPU.
"""
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "reference"))

import torch  # noqa: E402

import reference  # noqa: E402, F401  (makes torchvision importable)

DEVICE = os.environ.get("LORIKEET_TEST_DEVICE", "cuda")
BINARY = os.environ["LORIKEET_BIN"]
REPOSITORY = Path(__file__).resolve().parents[2]
WARM_UP, STEPS = (20, 100) if DEVICE == "cuda" else (1, 2)

# name: model, target_modules, modules_to_save, pixels, batch
CASES = {
    "ResNet-50": ("resnet50", r".*\.2\.conv3", "fc", 28, 64),
    "ResNet-50, large images": ("resnet50", r".*\.2\.conv3", "fc", 224, 64),
    "EfficientNet-Lite0": ("efficientnet_lite0", r"blocks\.[3-6]\..*\.conv_pwl?", "classifier", 224, 64),
}


def resnet50_weights(folder):
    import torchvision

    torch.manual_seed(0)
    path = Path(folder) / "resnet50.pth"
    torch.save(torchvision.models.resnet50().state_dict(), path)
    return path


def images_per_second(case, precision, folder, weights):
    model, targets, saved, pixels, batch = case
    run = Path(folder) / f"{model}-{pixels}-{precision}"
    own = [f"weights={weights}"] if model == "resnet50" else []
    command = [BINARY, "train", "recipes/demo/efficientnet_lite0.yaml", f"run={run}", f"device={DEVICE}"]
    command += [f"model={model}", f"target_modules={targets}", f"modules_to_save=[{saved}]", f"image_size={pixels}"]
    command += [f"batch_size={batch}", f"precision={precision}", f"max_steps={WARM_UP + STEPS}", "test_limit=1"]
    done = subprocess.run([*command, *own], capture_output=True, text=True, cwd=REPOSITORY)
    if done.returncode != 0:
        raise RuntimeError(done.stderr)
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    seconds = [line["seconds"] for line in lines if "step" in line]
    return STEPS * batch / (seconds[-1] - seconds[WARM_UP - 1])


def peft_images_per_second(case, precision, tuned):
    import peft

    model_name, targets, saved, pixels, batch = case
    if model_name == "resnet50":
        import torchvision

        model = torchvision.models.resnet50()
        model.fc = torch.nn.Linear(2048, 10)
    else:
        import timm

        model = timm.create_model("efficientnet_lite0", num_classes=10)
    config = peft.LoraConfig(r=4, lora_alpha=8, target_modules=targets, modules_to_save=[saved])
    model = peft.get_peft_model(model, config).to(DEVICE)
    model.train(not tuned)
    images = torch.rand(batch, 3, pixels, pixels, device=DEVICE)
    if tuned:
        model, images = model.to(memory_format=torch.channels_last), images.contiguous(
            memory_format=torch.channels_last
        )
    labels = torch.randint(10, (batch,), device=DEVICE)
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-3, fused=DEVICE == "cuda")

    def step():
        with torch.autocast(DEVICE, torch.bfloat16, enabled=precision == "bfloat16"):
            loss = torch.nn.functional.cross_entropy(model(images), labels)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        return loss.item()  # as Lorikeet, which checks that it is finite

    for _ in range(WARM_UP):
        step()
    start = time.perf_counter()
    for _ in range(STEPS):
        step()
    if DEVICE == "cuda":
        torch.cuda.synchronize()
    return STEPS * batch / (time.perf_counter() - start)


def main():
    if DEVICE == "cuda" and not torch.cuda.is_available():
        print("... skipped: no CUDA device; LORIKEET_TEST_DEVICE=cpu runs this on the CPU")
        return 77
    name = torch.cuda.get_device_name() if DEVICE == "cuda" else "the CPU"
    print(f"images a second on {name}, {STEPS} steps after {WARM_UP}\n")
    print(f"{'':26} {'pixels':>6} {'precision':>10} {'Lorikeet':>9} {'PEFT':>9} {'tuned':>9}  ratios")
    with tempfile.TemporaryDirectory() as folder:
        weights = resnet50_weights(folder)
        for title, case in CASES.items():
            if DEVICE != "cuda" and case[3] > 64:
                case = (*case[:3], 64, 8)
            for precision in ("float32", "bfloat16"):
                ours = images_per_second(case, precision, folder, weights)
                peft, tuned = (peft_images_per_second(case, precision, tuned) for tuned in (False, True))
                ratios = f"{ours / peft:.2f}× {ours / tuned:.2f}×"
                print(f"{title:26} {case[3]:6} {precision:>10} {ours:9.0f} {peft:9.0f} {tuned:9.0f}  {ratios}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
