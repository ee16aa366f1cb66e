"""The models of timm and transformers that bench/run measures, with random weights: speed does not depend on them."""
import sys
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests/reference"))

from reference import timm, torch  # noqa: E402

LAST_FOUR = r".*blocks\.(8|9|10|11)\.attn\.qkv"


@dataclass
class Case:
    """What is adapted, with LoRA of rank 16, and which module is retrained."""

    model: str  # timm's name; "" is ViT-B/16 of transformers
    targets: str = r".*\.qkv"
    classifier: str = "head"
    dropout: float = 0.0


CASES = {
    "vit_tiny": Case("vit_tiny_patch16_224"),
    "vit_small": Case("vit_small_patch16_224"),
    # PEFT's guide to image classification: query and value, dropout 0.1.
    "vit_base_guide": Case("", r".*\.(query|value|q_proj|v_proj)", "classifier", 0.1),
    "vit_tiny_last_four": Case("vit_tiny_patch16_224", LAST_FOUR),
    "vit_small_last_four": Case("vit_small_patch16_224", LAST_FOUR),
    "vit_base_last_four": Case("vit_base_patch16_224", LAST_FOUR),
    "vit_base": Case("vit_base_patch16_224"),
    "mobilenet_v3_large": Case("mobilenetv3_large_100", r".*\.conv_pwl?", "classifier"),
    "convnext_tiny": Case("convnext_tiny", r".*\.mlp\.fc[12]", "head.fc"),
}


def case_model(case, classes):
    """In the library's own random initialisation."""
    torch.manual_seed(0)
    if name := CASES[case].model:
        return timm.create_model(name, num_classes=classes)
    import transformers

    return transformers.ViTForImageClassification(transformers.ViTConfig(num_labels=classes))


def case_weights(case, folder):
    """The model's files in `folder`, for Lorikeet: a state dict, or a folder as transformers saves it."""
    folder.mkdir(parents=True, exist_ok=True)
    if name := CASES[case].model:
        path = folder / f"{name}.pth"
        if not path.exists():
            torch.save(case_model(case, classes=1000).state_dict(), path)
        return path
    path = folder / "vit-base-patch16-224"
    if not path.exists():
        import transformers

        case_model(case, classes=1000).save_pretrained(path)
        transformers.ViTImageProcessor().save_pretrained(path)
    return path
