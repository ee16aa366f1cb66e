"""Weights of timm's vit_tiny_patch16_224 as a safetensors file, without a download."""
import array
import math
import random

from command import write_safetensors


def vit_shapes():
    yield from {
        "cls_token": [1, 1, 192],
        "pos_embed": [1, 197, 192],
        "patch_embed.proj.weight": [192, 3, 16, 16],
    }.items()
    yield "patch_embed.proj.bias", [192]
    layers = {"norm1": [192], "attn.qkv": [576, 192], "attn.proj": [192, 192], "norm2": [192]}
    layers |= {"mlp.fc1": [768, 192], "mlp.fc2": [192, 768]}
    named = {f"blocks.{i}.{name}": shape for i in range(12) for name, shape in layers.items()}
    for name, shape in {**named, "norm": [192], "head": [1000, 192]}.items():
        yield f"{name}.weight", shape
        yield f"{name}.bias", shape[:1]


def write_random_vit(path):
    """Small numbers, and ones for norms."""
    generator, header, parts, offset = random.Random(1), {}, [], 0
    noise = [generator.gauss(0, 0.05) for _ in range(9973)]
    for name, shape in vit_shapes():
        count = math.prod(shape)
        if "norm" in name and name.endswith("weight"):
            values = array.array("f", [1.0]) * count
        else:
            values = (array.array("f", noise) * (count // len(noise) + 1))[:count]
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [offset, offset + 4 * count]}
        offset += 4 * count
        parts.append(values.tobytes())
    write_safetensors(path, header, b"".join(parts))
