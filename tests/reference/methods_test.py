"""Every adapter method on every kind of layer, against PEFT 0.21; the table of docs/adapters.md is made here.

LORIKEET_WRITE_DOCS=1 writes the table into the page; without it the test fails where the page says otherwise.
"""
import contextlib
import json
import os
import subprocess
import tempfile
import unittest
import unittest.mock
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file

from reference import ROOT, read_tensors

import peft  # after reference, which makes torchvision importable

LAYERS = os.environ.get("LORIKEET_ADAPTER_LAYERS", str(ROOT / "build/bin/adapter_layers"))
PAGE = ROOT / "docs/adapters.md"
BEGIN, END = "<!-- made by tests/reference/methods_test.py -->\n", "<!-- end -->"
KINDS = [
    "Linear",
    "Linear on tokens",
    "Linear on (N, H, W, C)",
    "Conv2d 1×1",
    "Conv2d 3×3",
    "dilated",
    "grouped 1×1",
    "grouped",
    "depthwise",
    "BatchNorm2d",
    "LayerNorm",
]
NO_PEFT = {"LoRA-XS": "not in PEFT"}
BOUND = 1e-5  # of float32, relative to the largest output


def module_of(layer, tensors):
    kind = layer["kind"]
    if kind == "Linear":
        module = torch.nn.Linear(layer["in"], layer["out"])
    elif kind == "BatchNorm2d":
        module = torch.nn.BatchNorm2d(layer["features"])
    elif kind == "LayerNorm":
        module = torch.nn.LayerNorm(layer["features"])
    else:
        module = torch.nn.Conv2d(
            layer["in"],
            layer["out"],
            layer["kernel"],
            layer["stride"],
            layer["padding"],
            layer["dilation"],
            layer["groups"],
            layer["bias"],
        )
    own = {name.removeprefix("base."): value for name, value in tensors.items() if name.startswith("base.")}
    module.load_state_dict({**module.state_dict(), **own})
    return torch.nn.Sequential(torch.nn.Identity()).append(module).eval()


def peft_key(name):
    """Of a tensor of the module 1, or of one that layers share."""
    is_shared = name in ("vera_A", "vera_B", "unilora_theta_d", "tinylora_v.0")
    return ("base_model." if is_shared else "base_model.model.1.") + name


def difference(a, b):
    if a.shape != b.shape:
        return float("inf")
    return (a - b).abs().max().item() / max(b.abs().max().item(), 1e-30)


@contextlib.contextmanager
def butterfly_factors():
    """PEFT's BOFT as on a machine with its CUDA extension, whose one function is written in Python here: without it
    PEFT takes one factor, whatever the configuration says."""
    layer = peft.tuners.boft.layer

    def block_diagonal(blocks):
        return torch.stack([torch.block_diag(*factor) for factor in blocks])

    with (
        unittest.mock.patch.object(layer, "get_fbd_cuda", lambda: True),
        unittest.mock.patch.object(layer.FastBlockDiag, "apply", block_diagonal),
    ):
        yield


class Pefts:
    """The same layer with the same tensors, by PEFT; `failure` says where PEFT cannot."""

    def __init__(self, tensors, metadata):
        self.failure = self.output = self.merged = self.keys = None
        layer, config = json.loads(metadata["layer"]), json.loads(metadata["config"])
        self.config = dict(config)
        self.obstacle = metadata["peft_obstacle"]  # where Lorikeet says that PEFT 0.21 cannot, or computes otherwise
        config["target_modules"] = ["1"]
        if config.get("feedforward_modules"):
            config["feedforward_modules"] = ["1"]
        adapter = {
            peft_key(name.removeprefix("adapter.")): value
            for name, value in tensors.items()
            if name.startswith("adapter.")
        }
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "adapter_config.json").write_text(json.dumps(config))
            save_file(adapter, folder + "/adapter_model.safetensors", {"format": "pt"})
            factors = config.get("boft_n_butterfly_factor", 1)
            with butterfly_factors() if factors > 1 else contextlib.nullcontext():
                self.run(folder, layer, tensors, adapter)

    def run(self, folder, layer, tensors, adapter):
        try:
            model = peft.PeftModel.from_pretrained(module_of(layer, tensors), folder).eval()
            with torch.inference_mode():
                self.output = model(tensors["input"])
        except Exception as error:  # noqa: BLE001: whatever it is, it is PEFT's answer
            self.failure = f"{type(error).__name__}: {error}".splitlines()[0]
            return
        model.save_pretrained(folder + "/again")
        again = read_tensors(folder + "/again/adapter_model.safetensors")
        self.keys = {
            name: tuple(value.shape) for name, value in again.items() if not name.endswith("num_batches_tracked")
        }
        self.own_keys = {name: tuple(value.shape) for name, value in adapter.items()}
        try:
            with torch.inference_mode():
                self.merged = model.merge_and_unload()(tensors["input"])
        except Exception:  # noqa: BLE001
            pass


class Methods(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.cells = {}  # (method, kind) → list of findings
        with tempfile.TemporaryDirectory() as folder:
            subprocess.run([LAYERS, folder], check=True)
            for file in sorted(Path(folder).glob("*.safetensors"), key=lambda f: int(f.stem)):
                with safe_open(file, "pt") as opened:
                    metadata = opened.metadata()
                tensors = read_tensors(file)
                cls.cells.setdefault((metadata["method"], metadata["kind"]), []).append(
                    (tensors, Pefts(tensors, metadata))
                )

    def each(self):
        for (method, kind), findings in self.cells.items():
            for tensors, pefts in findings:
                yield f"{method} on {kind}", tensors, pefts, bool(pefts.obstacle)

    def test_a_start_changes_nothing(self):
        for name, tensors, _, _ in self.each():
            bound = 0.01 if name.startswith("UniLoRA") else BOUND  # starts at small random numbers, as in PEFT
            self.assertLess(difference(tensors["start.output"], tensors["plain.output"]), bound, name)

    def test_training_changes_something(self):
        for name, tensors, _, _ in self.each():
            self.assertGreater(difference(tensors["output"], tensors["plain.output"]), 0.01, name)

    def test_merged_equals_unmerged(self):
        for name, tensors, _, _ in self.each():
            self.assertLess(difference(tensors["merged.output"], tensors["output"]), BOUND, name)

    def test_oft_on_larger_kernels_is_pefts_merged(self):
        """There PEFT's own layer is not even its merged weight."""
        compared = 0
        for tensors, pefts in self.cells["OFT", "Conv2d 3×3"]:
            self.assertGreater(difference(pefts.merged, pefts.output), 0.1)
            self.assertLess(difference(tensors["output"], pefts.merged), BOUND)
            compared += 1
        self.assertGreater(compared, 5)

    def test_configurations_have_pefts_fields(self):
        of_language_models = {"revision"}
        for (method, kind), findings in self.cells.items():
            for _, pefts in findings:
                cls = peft.PEFT_TYPE_TO_CONFIG_MAPPING.get(pefts.config["peft_type"])
                if cls is None:
                    self.assertEqual(method, "LoRA-XS")
                    continue
                fields = set(cls().to_dict())
                self.assertLessEqual(set(pefts.config), fields, f"{method} on {kind}")
                if method in ("HiRA", "OFT", "BOFT", "FourierFT", "VeRA", "UniLoRA", "TinyLoRA"):
                    self.assertLessEqual(fields - set(pefts.config), of_language_models, f"{method} on {kind}")

    def test_keys_are_pefts(self):
        for name, _, pefts, _ in self.each():
            if pefts.failure is None:
                self.assertEqual(pefts.own_keys, pefts.keys, name)

    def test_numbers_are_pefts(self):
        compared = 0
        for name, tensors, pefts, is_wrong in self.each():
            if is_wrong:
                continue
            self.assertIsNone(pefts.failure, name)
            self.assertLess(difference(tensors["output"], pefts.output), BOUND, name)
            compared += 1
        self.assertGreater(compared, 40)

    def test_what_is_not_promised_fails_or_differs(self):
        for name, tensors, pefts, is_wrong in self.each():
            if is_wrong and pefts.failure is None:
                self.assertGreater(difference(tensors["output"], pefts.output), BOUND, name)

    def cell(self, method, kind):
        findings = self.cells.get((method, kind))
        if findings is None:
            return "–"
        same = all(p.failure is None and difference(t["output"], p.output) < BOUND for t, p in findings)
        pefts_fails = all(p.failure is not None for _, p in findings)
        merges = all(difference(t["merged.output"], t["output"]) < BOUND for t, _ in findings)
        trips = all(p.failure is not None or p.own_keys == p.keys for _, p in findings)
        pefts_merges = all(p.merged is not None and difference(p.merged, p.output) < BOUND for _, p in findings)
        words = [
            "= PEFT" if same else NO_PEFT.get(method, "PEFT fails") if pefts_fails else "PEFT differs",
            "merges" if merges else "NOT merged",
            "reads back" if trips else "NOT read back",
        ]
        return ", ".join(words) + ("" if pefts_merges or not same else " (PEFT does not merge)")

    def test_the_page_has_the_table(self):
        names = list(dict.fromkeys(method for method, _ in self.cells))
        table = "| method | " + " | ".join(KINDS) + " |\n|" + "---|" * (len(KINDS) + 1) + "\n"
        for name in names:
            table += f"| {name} | " + " | ".join(self.cell(name, kind) for kind in KINDS) + " |\n"
        print("\n" + table)
        page = PAGE.read_text()
        begin, end = page.index(BEGIN) + len(BEGIN), page.index(END)
        if os.environ.get("LORIKEET_WRITE_DOCS"):
            PAGE.write_text(page[:begin] + table + page[end:])
        else:
            self.assertEqual(page[begin:end], table)


if __name__ == "__main__":
    unittest.main(verbosity=2)
