"""Every model of the table beside the library's own: names and order of the tensors, logits, every gradient, ONNX.

The weights are the library's random initialisation with what it starts at zero or one drawn anew, so that every branch
matters. By default the smallest model of each family and library; with LORIKEET_LONG=1 all of them, which takes long.
LORIKEET_MODELS names models or families. `networks_test.py --write` also writes the rows of docs/models.md.
"""
import json
import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

import numpy
import onnxruntime
import torch
from safetensors.torch import save_file
from safetensors import safe_open

from reference import ROOT, Logits, lorikeet, read_tensors, timm, torchvision

import transformers  # after reference, which makes torchvision importable

BINARY = os.environ.get("LORIKEET_MODEL_NETWORKS", str(ROOT / "build/bin/model_networks"))
LOGITS_BOUND, GRADIENT_BOUND, ONNX_BOUND = 1e-4, 1e-3, 1e-4  # relative to the largest element
FUSED_BOUND = 3e-4  # folding BatchNorm rounds otherwise, and random weights magnify it
IGNORED = (".num_batches_tracked", ".relative_position_index", ".relative_coords_table", ".attn_mask")

# transformers' models have no table here but configurations: (name, class, configuration).
CONFIGURATIONS = [
    ("vit", "ViT", dict(hidden_size=48, num_hidden_layers=2, num_attention_heads=3, intermediate_size=96)),
    (
        "vit-tanh",
        "ViT",
        dict(hidden_size=48, num_hidden_layers=1, num_attention_heads=3, hidden_act="gelu_new", qkv_bias=False),
    ),
    ("deit", "DeiT", dict(hidden_size=48, num_hidden_layers=2, num_attention_heads=3, intermediate_size=96)),
    (
        "dinov2",
        "Dinov2",
        dict(hidden_size=48, num_hidden_layers=2, num_attention_heads=3, image_size=112, patch_size=14),
    ),
    ("convnext", "ConvNext", dict(patch_size=4, hidden_sizes=[16, 32, 48, 64], depths=[1, 2, 1, 1])),
    ("convnextv2", "ConvNextV2", dict(patch_size=4, hidden_sizes=[16, 32, 48, 64], depths=[1, 2, 1, 1])),
    ("resnet", "ResNet", dict(depths=[1, 2, 1, 1])),
    ("resnet-basic", "ResNet", dict(depths=[2, 1, 1, 1], layer_type="basic", hidden_sizes=[64, 128, 256, 512])),
    (
        "resnet-v1",
        "ResNet",
        dict(
            depths=[2, 1, 2],
            embedding_size=24,
            hidden_sizes=[32, 48, 64],
            hidden_act="silu",
            downsample_in_first_stage=True,
            downsample_in_bottleneck=True,
        ),
    ),
    ("mobilenet_v2", "MobileNetV2", dict(depth_multiplier=0.35, num_labels=1001)),
    (
        "mobilenet_v2-dilated",
        "MobileNetV2",
        dict(
            image_size=81,  # padded by one pixel more on one side, or not, depending on the layer
            depth_multiplier=0.75,
            depth_divisible_by=4,
            min_depth=20,
            expand_ratio=2.5,
            output_stride=8,
            first_layer_is_expansion=False,
            finegrained_output=False,
            hidden_act="hardswish",
        ),
    ),
    ("mobilenet_v2-symmetric", "MobileNetV2", dict(depth_multiplier=0.35, tf_padding=False, output_stride=16)),
    ("mobilevit", "MobileViT", dict(patch_size=2)),
    (
        "mobilevit-dilated",
        "MobileViT",
        dict(
            image_size=72,  # 9 pixels after the third stage, no multiple of a patch
            patch_size=4,
            neck_hidden_sizes=[8, 8, 16, 24, 32, 40, 48],
            hidden_sizes=[24, 36, 48],
            num_attention_heads=3,
            mlp_ratio=1.5,
            expand_ratio=3.0,
            hidden_act="gelu",
            conv_kernel_size=5,
            output_stride=8,
            qkv_bias=False,
        ),
    ),
    ("mobilevit-16", "MobileViT", dict(patch_size=2, output_stride=16)),
    (
        "dinov2_with_registers",
        "Dinov2WithRegisters",
        dict(hidden_size=48, num_hidden_layers=2, num_attention_heads=3, image_size=112, patch_size=14),
    ),
    ("swin", "Swin", dict(patch_size=2, embed_dim=16, depths=[2, 2], num_heads=[2, 4], window_size=5)),
    (
        "swin-qkv",
        "Swin",
        dict(
            patch_size=2,
            embed_dim=16,
            depths=[1, 2],
            num_heads=[2, 2],
            window_size=4,
            qkv_bias=False,
            mlp_ratio=2.5,
            layer_norm_eps=1e-6,
        ),
    ),
]


def randomise(module):
    """Draws anew what the library starts at zero, one, or next to zero."""
    generator = torch.Generator().manual_seed(7)
    state = module.state_dict()
    with torch.no_grad():
        for name, tensor in state.items():
            if not tensor.is_floating_point() or name.endswith(IGNORED):
                continue
            draw = torch.empty_like(tensor)
            if name.endswith("running_var"):
                tensor.copy_(draw.uniform_(0.5, 1.5, generator=generator))
            elif name.endswith(".weight") and name.removesuffix("weight") + "running_var" in state:
                tensor.copy_(draw.uniform_(0.5, 1.5, generator=generator))
            elif tensor.std(unbiased=False) < 1e-3 and tensor.mean().abs() > 0.5:  # other norms' weights
                tensor.copy_(draw.uniform_(0.5, 1.5, generator=generator))
            elif tensor.std(unbiased=False) < 1e-3:
                # LayerScale and its relatives multiply, the others are added.
                scales = any(part in name for part in ("gamma", "layer_scale", "lambda", "grn.weight"))
                tensor.copy_(
                    draw.uniform_(0.3, 0.9, generator=generator)
                    if scales
                    else draw.normal_(0, 0.05, generator=generator)
                )
    return module.eval()


def make_module(model):
    if model["library"] == "torchvision":
        return getattr(torchvision.models, model["name"])()
    name = model["name"].removeprefix("timm/")
    return timm.create_model("tf_" + name if name.startswith("efficientnet_lite") else name, num_classes=1000)


def native_size(module):
    config = getattr(module, "pretrained_cfg", None)
    return config["input_size"][1] if config else 224


def compare(request, module, state_dict, size, folder, onnx=True, same_state=True):
    """Runs both; returns the names' verdict and the relative errors. Loads our state dict strictly. Without
    `same_state`, the module's tensors are others than those of `state_dict`: only the outputs are compared."""
    names = [name for name in state_dict if not name.endswith(IGNORED)]
    weights = {name: state_dict[name].detach().clone().contiguous() for name in names}
    save_file(weights, folder / "weights.safetensors")
    generator = torch.Generator().manual_seed(3)
    images = torch.randn(2, 3, size, size, generator=generator)
    logits = module(images)
    direction = torch.randn(logits.shape, generator=generator)
    save_file({"images": images, "direction": direction}, folder / "inputs.safetensors")
    (folder / "request.json").write_text(json.dumps({**request, "onnx": onnx}))
    done = subprocess.run([BINARY, str(folder)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    module.zero_grad()
    (logits * direction).sum().backward()
    ours = read_tensors(folder / "output.safetensors")
    with safe_open(folder / "output.safetensors", "pt") as opened:
        own_names = json.loads(opened.metadata()["names"])

    def relative(found, expected):
        return (found - expected).abs().max().item() / max(expected.abs().max().item(), 1e-12)

    gradients = {name: parameter.grad for name, parameter in module.named_parameters()} if same_state else {}
    prefix = "model." if isinstance(module, Logits) else ""
    worst, scale = 0.0, max((g.abs().max().item() for g in gradients.values() if g is not None), default=0)
    for name, gradient in gradients.items():
        found = ours.get("gradient." + name.removeprefix(prefix))
        if gradient is None:
            assert found is None or found.abs().max() == 0, name
            continue
        worst = max(worst, (found - gradient).abs().max().item() / max(gradient.abs().max().item(), 1e-3 * scale))
    result = {
        "names": own_names == names,
        "logits": relative(ours["logits"], logits.detach()),
        "fused": relative(ours["fused.logits"], logits.detach()),
        "gradients": worst,
    }
    if own_names != names:
        result["difference"] = [pair for pair in zip(own_names, names) if pair[0] != pair[1]][:3] or (
            len(own_names),
            len(names),
        )
    merged, plain = read_tensors(folder / "state.safetensors"), module.model if prefix else module
    if same_state:
        plain.load_state_dict(merged, strict=True)
    for name, tensor in merged.items():
        assert torch.equal(tensor, state_dict[name]), name
    if onnx:
        session = onnxruntime.InferenceSession(folder / "model.onnx", providers=["CPUExecutionProvider"])
        found = torch.from_numpy(session.run(None, {"images": images.numpy()})[0])
        result["onnx"] = relative(found, logits.detach())
    return result


def table():
    return json.loads(lorikeet("models", "list", "--json"))


def smallest(models):
    best = {}
    for model in models:
        key = model["family"], model["library"]
        if key not in best or model["parameters"] < best[key]["parameters"]:
            best[key] = model
    return list(best.values())


class Networks(unittest.TestCase):
    def check(self, name, request, module, state_dict, size, **options):
        with self.subTest(name), tempfile.TemporaryDirectory() as folder:
            result = compare(request, module, state_dict, size, Path(folder), **options)
            print(
                name,
                {
                    key: value if isinstance(value, bool) else f"{value:.1e}"
                    for key, value in result.items()
                    if key != "difference"
                },
                flush=True,
            )
            self.assertTrue(result["names"], result.get("difference"))
            self.assertLess(result["logits"], LOGITS_BOUND)
            self.assertLess(result["fused"], FUSED_BOUND)
            self.assertLess(result["gradients"], GRADIENT_BOUND)
            self.assertLess(result["onnx"], ONNX_BOUND)
            return result

    def test_models_of_the_table(self):
        models = [m for m in table() if "." not in m["name"]]
        wanted = os.environ.get("LORIKEET_MODELS", "").split()
        if wanted:
            models = [m for m in models if m["name"] in wanted or m["family"] in wanted]
        elif not os.environ.get("LORIKEET_LONG"):
            models = smallest(models)
        rows = []
        for model in models:
            torch.manual_seed(1)
            module = randomise(make_module(model))
            result = self.check(
                model["name"], {"model": model["name"]}, module, module.state_dict(), native_size(module)
            )
            rows.append((model, sum(p.numel() for p in module.parameters()), result))
        if "--write" in sys.argv:
            write_table(rows)

    def test_windows_of_other_image_sizes(self):
        torch.manual_seed(1)
        size = 160  # the last stage has 5 x 5 tokens for windows of 7 x 7, the others do not divide by 7
        module = randomise(torchvision.models.swin_t())
        self.check("swin_t", {"model": "swin_t"}, module, module.state_dict(), size)
        name = "swin_tiny_patch4_window7_224"
        state = randomise(timm.create_model(name)).state_dict()
        smaller = timm.create_model(name, img_size=size).eval()
        smaller.load_state_dict(timm.models.swin_transformer.checkpoint_filter_fn(state, smaller))
        self.check(name, {"model": name}, smaller, state, size, same_state=False)

    def test_configurations_of_transformers(self):
        for name, kind, options in CONFIGURATIONS:
            torch.manual_seed(1)
            config = getattr(transformers, kind + "Config")(
                **{"image_size": 64, "patch_size": 16, "num_labels": 5, **options}
            )
            model = randomise(getattr(transformers, kind + "ForImageClassification")(config))
            self.check(
                name,
                {"config": json.loads(config.to_json_string())},
                Logits(model),
                model.state_dict(),
                config.image_size,
            )


def write_table(rows):
    """docs/models.md between its markers; the rows of other models stay."""
    path = ROOT / "docs/models.md"
    begin, end = "<!-- table -->\n", "<!-- end of the table -->"
    before, rest = path.read_text().split(begin)
    table_before, after = rest.split(end)
    lines = table_before.splitlines()
    head, by_name = lines[:2], {line.split("`")[1]: line for line in lines[2:]}
    for model, count, result in rows:
        names = "equal" if result["names"] else "differ"
        errors = " | ".join(f"{result[key]:.0e}" for key in ("logits", "gradients", "onnx"))
        by_name[model["name"]] = f"| `{model['name']}` | {model['library']} | {count:,} | {names} | {errors} |"
    body = [by_name[model["name"]] for model in table() if model["name"] in by_name]
    path.write_text(before + begin + "\n".join(head + body) + "\n" + end + after)


if __name__ == "__main__":
    unittest.main(verbosity=2, argv=[argument for argument in sys.argv if argument != "--write"])
