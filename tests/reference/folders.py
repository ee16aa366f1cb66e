"""What the tests of adapter folders share: the same folder opened by PEFT and here, the same training on both sides."""
import json
import tempfile
from pathlib import Path

import numpy
import PIL.Image
import torch

from reference import MEAN, STD, Classifier, lorikeet, mnist_batches, read_tensors

import peft  # after reference, which makes torchvision importable

STEPS, BATCH = 20, 64


def head_of(folder):
    """The layers of head.safetensors, none where there is no such file."""
    layers = []
    if (folder / "head.safetensors").exists():
        tensors = read_tensors(folder / "head.safetensors")
        for i in range(len(tensors) // 2):
            weight = tensors[f"head.{i}.weight"]
            layers.append(torch.nn.Linear(weight.shape[1], weight.shape[0]))
            layers[-1].load_state_dict({"weight": weight, "bias": tensors[f"head.{i}.bias"]})
    return torch.nn.Sequential(*layers)


def opened_by_peft(base, folder, trainable=False):
    """Our adapter folder on the real model, by PEFT."""
    config = json.loads((folder / "adapter_config.json").read_text())
    saved = (
        read_tensors(folder / "adapter_model.safetensors") if (folder / "adapter_model.safetensors").exists() else {}
    )
    for name, module in list(base.named_modules()):  # a replaced output: PEFT's users replace it before they load
        weight = saved.get(f"base_model.model.{name}.weight")
        if isinstance(module, torch.nn.Linear) and weight is not None and weight.shape != module.weight.shape:
            base.set_submodule(name, torch.nn.Linear(weight.shape[1], weight.shape[0]))
    if not config["target_modules"] and not config["modules_to_save"]:
        for parameter in base.parameters():
            parameter.requires_grad = False
        return base
    return peft.PeftModel.from_pretrained(base, folder, is_trainable=trainable)


def named_trainable(model):
    """Trainable tensors under the names of our files."""
    out = {}
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        for part in (".default", "model.base_model.model.", "modules_to_save."):
            name = name.replace(part, "")
        name = name.replace("lora_magnitude_vector.weight", "lora_magnitude_vector")
        if name.endswith(".unilora_theta_d"):  # the same parameter in each layer
            name = "base_model.unilora_theta_d"
        out[name] = parameter.detach()
    return out


def our_tensors(folder):
    """Likewise; without the statistics and VeRA's fixed matrices beside them."""
    out = {}
    for file in ("adapter_model.safetensors", "head.safetensors"):
        if (folder / file).exists():
            out.update(
                {
                    k.replace("base_model.model.", ""): v
                    for k, v in read_tensors(folder / file).items()
                    if not k.endswith(("running_mean", "running_var", "num_batches_tracked", ".vera_A", ".vera_B"))
                }
            )
    return out


class FolderTest:
    """Mixed into a TestCase."""

    def images(self, folder):
        lorikeet("data", "sample", "mnist", "--count", 32, "--out", folder)
        files = sorted(Path(folder).glob("*.png"))
        return (
            files,
            torch.stack(
                [
                    torch.from_numpy(numpy.asarray(PIL.Image.open(f).convert("RGB")).copy()).permute(2, 0, 1)
                    for f in files
                ]
            )
            / 255,
        )

    def compare(self, model, mean, std, folder, *arguments):
        files, pixels = self.images(folder + "/images")
        lorikeet("predict", *arguments, *files, "--preprocess", "normalise", "--logits", folder + "/logits.safetensors")
        ours = read_tensors(folder + "/logits.safetensors")["logits"]
        with torch.inference_mode():
            theirs = model.eval()((pixels - torch.tensor(mean)[:, None, None]) / torch.tensor(std)[:, None, None])
        self.assertEqual(ours.shape, theirs.shape)
        worst = (ours - theirs).abs().max().item()
        print(f"{self.id()}: largest difference {worst:.1e}, largest logit {theirs.abs().max().item():.1f}")
        self.assertLess(worst, 1e-4)

    def train_both(
        self, base, settings, mean=MEAN, std=STD, steps=STEPS, pixels=28, batch=BATCH, resample=PIL.Image.BILINEAR
    ):
        """Losses within 1e-4 relative, final tensors within 1e-3."""
        with tempfile.TemporaryDirectory() as folder:
            common = [
                "data=mnist",
                f"image_size={pixels}",
                f"batch_size={batch}",
                "shuffle=false",
                "schedule=constant",
                "engine=plain",
                "test_limit=64",
                "epochs=1",
                *settings,
            ]
            recipe = Path(folder) / "recipe.yaml"
            recipe.write_text("data: mnist\n")
            # A start: our own, after one step of learning rate 0.
            lorikeet("train", recipe, *common, "max_steps=1", "learning_rate=0", f"run={folder}/start")
            lorikeet(
                "train",
                recipe,
                *common,
                f"max_steps={steps}",
                "learning_rate=1e-3",
                f"start_from={folder}/start/adapter",
                f"run={folder}/run",
            )
            metrics = map(json.loads, (Path(folder) / "run/metrics.jsonl").read_text().splitlines())
            ours = [line["loss"] for line in metrics if "step" in line]

            start = Path(folder) / "start/adapter"
            model = Classifier(
                opened_by_peft(base, start, trainable=True), head_of(start)
            ).eval()  # frozen BatchNorm: evaluation mode
            learned = [p for p in model.parameters() if p.requires_grad]
            optimizer = torch.optim.AdamW(learned, lr=1e-3, weight_decay=0.01)
            theirs = []
            for images, labels in mnist_batches(steps, batch, mean, std, pixels, resample=resample):
                loss = torch.nn.functional.cross_entropy(model(images), labels)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                theirs.append(loss.item())

            self.assertEqual(len(ours), steps)
            worst_loss = max(abs(a - b) / b for a, b in zip(ours, theirs))
            expected, found = named_trainable(model), our_tensors(Path(folder) / "run/adapter")
            self.assertEqual(sorted(found), sorted(expected))
            worst_tensor = max((found[k] - expected[k]).abs().max().item() for k in expected)
            print(
                f"{self.id()}: loss {theirs[0]:.4f} to {theirs[-1]:.4f}, "
                f"largest differences: loss {worst_loss:.1e} relative, tensors {worst_tensor:.1e}"
            )
            self.assertLess(worst_loss, 1e-4)
            self.assertLess(worst_tensor, 1e-3)
            self.assertGreater(max(theirs) - min(theirs), 0.1)  # there was something to follow
