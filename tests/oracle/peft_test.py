"""The adapters, against PEFT 0.21: twenty steps of training from the same start on the same batches; folders opened both ways."""
import json
import tempfile
import unittest
from pathlib import Path

import numpy
import PIL.Image
import torch

from oracle import MEAN, ROOT, STD, Classifier, lorikeet, mnist_batches, needs_shared, read_tensors, shared_weights, timm_efficientnet_lite0, \
    torchvision_model

import peft  # after oracle, which makes torchvision importable

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
    lora = json.loads((folder / "adapter_config.json").read_text())
    saved = read_tensors(folder / "adapter_model.safetensors") if (folder / "adapter_model.safetensors").exists() else {}
    for key in saved:  # a replaced output: PEFT's users replace it before they load
        if key.endswith("fc.weight") and saved[key].shape != base.fc.weight.shape:
            base.fc = torch.nn.Linear(saved[key].shape[1], saved[key].shape[0])
    if not lora["target_modules"] and not lora["modules_to_save"]:
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
        out[name] = parameter.detach()
    return out


def our_tensors(folder):
    out = {}
    for file in ("adapter_model.safetensors", "head.safetensors"):
        if (folder / file).exists():
            out.update({k.replace("base_model.model.", ""): v for k, v in read_tensors(folder / file).items()})
    return out


class Training(unittest.TestCase):
    """Losses within 1e-4 relative, final tensors within 1e-3."""

    def check(self, base, settings, mean=MEAN, std=STD):
        with tempfile.TemporaryDirectory() as folder:
            common = ["data=mnist", "image_size=28", f"batch_size={BATCH}", "shuffle=false", "schedule=constant", "engine=plain", "test_limit=64", "epochs=1",
                      *settings]
            recipe = Path(folder) / "recipe.yaml"
            recipe.write_text("data: mnist\n")
            # A start: our own, after one step of learning rate 0.
            lorikeet("train", recipe, *common, "max_steps=1", "learning_rate=0", f"run={folder}/start")
            lorikeet("train", recipe, *common, f"max_steps={STEPS}", "learning_rate=1e-3", f"start_from={folder}/start/adapter", f"run={folder}/run")
            metrics = map(json.loads, (Path(folder) / "run/metrics.jsonl").read_text().splitlines())
            ours = [line["loss"] for line in metrics if "step" in line]

            start = Path(folder) / "start/adapter"
            model = Classifier(opened_by_peft(base, start, trainable=True), head_of(start)).eval()  # frozen BatchNorm: evaluation mode
            learned = [p for p in model.parameters() if p.requires_grad]
            optimizer = torch.optim.AdamW(learned, lr=1e-3, weight_decay=0.01)
            theirs = []
            for images, labels in mnist_batches(STEPS, BATCH, mean, std):
                loss = torch.nn.functional.cross_entropy(model(images), labels)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                theirs.append(loss.item())

            self.assertEqual(len(ours), STEPS)
            worst_loss = max(abs(a - b) / b for a, b in zip(ours, theirs))
            expected, found = named_trainable(model), our_tensors(Path(folder) / "run/adapter")
            self.assertEqual(sorted(found), sorted(expected))
            worst_tensor = max((found[k] - expected[k]).abs().max().item() for k in expected)
            print(f"{self.id()}: loss {theirs[0]:.4f} to {theirs[-1]:.4f}, largest differences: loss {worst_loss:.1e} relative, "
                  f"tensors {worst_tensor:.1e}")
            self.assertLess(worst_loss, 1e-4)
            self.assertLess(worst_tensor, 1e-3)
            self.assertGreater(max(theirs) - min(theirs), 0.1)  # there was something to follow

    def check_case(self, case):
        weights = shared_weights(tempfile.gettempdir() + "/lorikeet-weights") / "resnet50.pth"
        recipe = (ROOT / "recipes/article" / case).read_text()
        keys = ("target_modules", "r", "lora_alpha", "modules_to_save", "head", "replace_output")
        settings = [line.replace(": ", "=", 1) for line in recipe.splitlines() if line.split(":")[0] in keys]
        self.check(torchvision_model("resnet50", weights), ["model=resnet50", f"weights={weights}", *settings])

    @needs_shared
    def test_case1(self):
        self.check_case("case1.yaml")

    @needs_shared
    def test_case2(self):
        self.check_case("case2.yaml")

    @needs_shared
    def test_case3(self):
        self.check_case("case3.yaml")

    @needs_shared
    def test_case4(self):
        self.check_case("case4.yaml")

    def test_efficientnet_lite0(self):
        """LoRA on 1×1 convolutions of a network with depthwise ones and ReLU6, the output retrained, a head behind it."""
        self.check(timm_efficientnet_lite0(), ["model=efficientnet_lite0", r"target_modules='blocks\.[56]\.\d\.conv_pwl?'", "r=4",
                                               "modules_to_save=[classifier]", "head=[64]"], (0.5,) * 3, (0.5,) * 3)


class Interchange(unittest.TestCase):
    """The same folder gives the same logits on both sides, within 1e-4."""

    def images(self, folder):
        lorikeet("data", "sample", "mnist", "--count", 32, "--out", folder)
        files = sorted(Path(folder).glob("*.png"))
        return files, torch.stack([torch.from_numpy(numpy.asarray(PIL.Image.open(f).convert("RGB")).copy()).permute(2, 0, 1) for f in files]) / 255

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

    @needs_shared
    def test_case2_opens_in_peft(self):
        weights = shared_weights(tempfile.gettempdir() + "/lorikeet-weights") / "resnet50.pth"
        with tempfile.TemporaryDirectory() as folder:
            lorikeet("train", ROOT / "recipes/article/case2.yaml", f"weights={weights}", "max_steps=20", "epochs=1", "test_limit=64", f"run={folder}/run")
            adapter = Path(folder) / "run/adapter"
            model = Classifier(opened_by_peft(torchvision_model("resnet50", weights), adapter), head_of(adapter))
            self.compare(model, MEAN, STD, folder, adapter, "--weights", weights)

    @needs_shared
    def test_pefts_opens_here(self):
        weights = shared_weights(tempfile.gettempdir() + "/lorikeet-weights") / "resnet50.pth"
        self.pefts_opens_here(torchvision_model("resnet50", weights), MEAN, STD, r".*\.2\.conv[123]", ["fc"],
                              "--model", "resnet50", "--weights", weights)

    def test_pefts_opens_here_on_efficientnet_lite0(self):
        self.pefts_opens_here(timm_efficientnet_lite0(), (0.5,) * 3, (0.5,) * 3, ["conv_pwl", "conv_stem", "classifier"], None,
                              "--model", "efficientnet_lite0")

    def pefts_opens_here(self, base, mean, std, targets, saved, *arguments):
        torch.manual_seed(0)
        config = peft.LoraConfig(r=4, lora_alpha=8, target_modules=targets, modules_to_save=saved, rank_pattern={"conv_pwl": 6})
        model = peft.get_peft_model(base, config)
        for name, parameter in model.named_parameters():  # as if it had been trained
            if "lora_B" in name:
                torch.nn.init.normal_(parameter, std=0.02)
            elif parameter.requires_grad and "modules_to_save" in name:
                torch.nn.init.normal_(parameter, std=0.02)
        with tempfile.TemporaryDirectory() as folder:
            model.save_pretrained(folder + "/adapter")
            self.compare(model, mean, std, folder, folder + "/adapter", *arguments)


if __name__ == "__main__":
    unittest.main(verbosity=2)
