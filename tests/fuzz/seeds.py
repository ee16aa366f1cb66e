"""Writes the first inputs of the fuzzers, small valid and nearly valid files, to FOLDER/TARGET/: seeds.py FOLDER

Samples that the unit tests hold (torch.save's, Pillow's) are taken from there; the rest is put together here.
"""
import gzip
import io
import json
import re
import struct
import sys
import tarfile
import zlib
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
DTYPES = {
    "F32": 4,
    "F64": 8,
    "F16": 2,
    "BF16": 2,
    "I64": 8,
    "I32": 4,
    "I16": 2,
    "I8": 1,
    "U8": 1,
    "BOOL": 1,
    "F8_E4M3": 1,
}


def sample(file, name):
    """The bytes of a constant in hexadecimal that a header of the unit tests defines."""
    text = (TESTS / file).read_text()
    digits = re.search(re.escape(name) + r"\s*=?,?\s*((?:\"[0-9a-f]+\"\s*)+)", text).group(1)
    return bytes.fromhex(re.sub(r"[^0-9a-f]", "", digits))


def safetensors(header, data=b""):
    text = header if isinstance(header, str) else json.dumps(header, separators=(",", ":"))
    text += " " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text.encode() + data


def safetensors_seeds():
    pair = {
        "a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]},
        "b": {"dtype": "I64", "shape": [], "data_offsets": [8, 16]},
    }
    yield safetensors({"__metadata__": {"format": "pt"}, **pair}, bytes(16))
    end, every = 0, {}
    for dtype, size in DTYPES.items():
        every[dtype] = {"dtype": dtype, "shape": [1, 2], "data_offsets": [end, end + 2 * size]}
        end += 2 * size
    yield safetensors(every, bytes(end))
    yield safetensors({})
    yield safetensors({"e": {"dtype": "F32", "shape": [0, 4], "data_offsets": [0, 0]}})
    yield safetensors(
        {"base_model.model.fc.lora_A.weight": {"dtype": "BF16", "shape": [1, 3, 1, 1], "data_offsets": [0, 6]}},
        bytes(6),
    )
    yield safetensors({"a": {"dtype": "F32", "shape": [2**62, 4], "data_offsets": [0, 0]}})
    yield safetensors({**pair, "c": {"dtype": "U8", "shape": [4], "data_offsets": [12, 16]}}, bytes(16))
    yield safetensors(
        '{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}',
        bytes(8),
    )
    yield safetensors("[" * 12)


def text(content):
    return b"X" + struct.pack("<I", len(content)) + content.encode()


def name(dotted):
    module, _, last = dotted.rpartition(".")
    return f"c{module}\n{last}\n".encode()


def tensor(
    kind, key, elements, offset=b"K\0", shape=b"K\2\x85", strides=b"K\1\x85", rebuild="_rebuild_tensor_v2", more=b""
):
    storage = b"(" + text("storage") + name(kind) + text(key) + text("cpu") + elements + b"tQ"
    return (
        name("torch._utils." + rebuild)
        + b"("
        + storage
        + offset
        + shape
        + strides
        + b"\x89"
        + name("collections.OrderedDict")
        + b")R"
        + more
        + b"tR"
    )


def trees():
    """Pickles of state dicts over the storages 0 of 24 bytes, 1 of 8 and 2 of 4."""
    w = tensor("torch.FloatStorage", "0", b"K\6")
    yield b"\x80\2}(" + text("a") + w + b"u."
    yield b"\x80\4\x95\0\0\0\0\0\0\0\0}\x94(\x8c\1a" + w + b"u."
    yield b"\x80\2}(" + text("module.t") + tensor(
        "torch.FloatStorage", "0", b"K\6", b"K\1", b"K\2K\2\x86", b"K\1K\2\x86"
    ) + b"u."
    yield b"\x80\2}" + text("state_dict") + b"}" + text("n") + tensor(
        "torch.LongStorage", "1", b"K\1", b"K\0", b")", b")"
    ) + b"ss."
    untyped = tensor(
        "torch.storage.UntypedStorage", "2", b"K\4", rebuild="_rebuild_tensor_v3", more=name("torch.bfloat16")
    )
    yield b"\x80\2}(" + text("h") + untyped + b"u."
    parameter = name("torch._utils._rebuild_parameter") + b"(" + w + b"\x88" + name("collections.OrderedDict") + b")RtR"
    yield b"\x80\2" + name("collections.OrderedDict") + b"](" + text("p") + parameter + b"\x86e\x85R."
    yield b"\x80\2}(" + text("b") + tensor("torch.BoolStorage", "2", b"K\4") + text("s") + name(
        "torch.Size"
    ) + b"K\2\x85\x85Ru."
    yield b"(dp0\nS'a'\n."
    yield (
        b"(I01\nI12\nL12L\nF1.5\nG?\xf8\0\0\0\0\0\0\x8a\2\0\1J\1\0\0\0M\1\0NU\1aT\1\0\0\0aC\1aB\1\0\0\0a\x8f"
        b"(K\1\x90(K\1\x9120\x94h\0p1\ng1\nr\2\0\0\0j\2\0\0\0t."
    )
    yield b"\x80\2cos\nsystem\n(" + text("true") + b"tR."
    yield b"\x80\2]q\0h\0a."


STORAGES = struct.pack("<6f", *range(6)) + struct.pack("<q", 7) + struct.pack("<4B", 0, 1, 1, 0)


def zipped(members):
    out, directory = b"", b""
    for path, data in members:
        fields = struct.pack("<HHHHIII", 0, 0, 0, 0, 0, len(data), len(data))
        directory += (
            b"PK\1\2"
            + struct.pack("<HH", 20, 20)
            + fields
            + struct.pack("<HHHHHII", len(path), 0, 0, 0, 0, 0, len(out))
            + path
        )
        out += b"PK\3\4" + struct.pack("<H", 20) + fields + struct.pack("<HH", len(path), 0) + path + data
    return (
        out
        + directory
        + b"PK\5\6"
        + struct.pack("<HHHHIIH", 0, 0, len(members), len(members), len(directory), len(out), 0)
    )


def pytorch_zip_seeds():
    yield sample("io/pytorch_samples.h", "kZipSample")
    for tree in trees():
        yield zipped(
            [
                (b"x/data.pkl", tree),
                (b"x/byteorder", b"little"),
                (b"x/data/0", STORAGES[:24]),
                (b"x/data/1", STORAGES[24:32]),
                (b"x/data/2", STORAGES[32:]),
            ]
        )
    yield zipped([])


def pytorch_legacy_seeds():
    yield sample("io/pytorch_samples.h", "kLegacySample")
    head = (
        b"\x80\2\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.\x80\2M\xe9\3.\x80\2}("
        + text("little_endian")
        + b"\x88u."
    )
    for tree in trees():
        yield head + tree + b"\x80\2](" + text("0") + b"e." + struct.pack("<q", 6) + STORAGES[:24]


def adapter_config_seeds():
    config = {"peft_type": "LORA", "r": 4, "lora_alpha": 8, "target_modules": ["conv3"]}
    yield config
    yield {
        **config,
        "target_modules": r".*\.2\.conv[123]",
        "exclude_modules": "fc",
        "rank_pattern": {"layer4.*": 8, "^fc": 2.0},
        "alpha_pattern": {"conv1": 0.5},
        "use_rslora": True,
        "modules_to_save": ["fc", "bn1"],
    }
    yield {
        **config,
        "init_lora_weights": "gaussian",
        "layers_to_transform": [1, 2],
        "layers_pattern": "layer",
        "lora_dropout": 0.25,
        "base_model_name_or_path": "resnet50",
        "inference_mode": True,
        "peft_version": "0.21.0",
    }
    yield {
        **config,
        "bias": "none",
        "use_dora": False,
        "lora_bias": False,
        "fan_in_fan_out": False,
        "target_parameters": None,
        "trainable_token_indices": None,
        "layer_replication": None,
        "use_bdlora": None,
        "alora_invocation_tokens": None,
        "arrow_config": None,
        "use_qalora": False,
        "kasa_config": None,
        "task_type": None,
        "loftq_config": {},
        "megatron_core": "x",
    }
    yield {**config, "target_modules": "dummy-target-modules", "r": 65536, "lora_alpha": -1e300}
    for method in "DORA", "LOHA", "LOKR", "IA3", "LN_TUNING", "HIRA", "BOFT":
        yield {**config, "peft_type": method}
    yield {**config, "peft_type": "OFT", "r": 0, "oft_block_size": 32, "coft": True, "eps": 6e-5, "block_share": True}
    frequencies = {"n_frequency": 9, "n_frequency_pattern": {"fc": 3}, "scaling": 1.5, "random_loc_seed": -1}
    yield {**config, "peft_type": "FOURIERFT", **frequencies}
    yield {**config, "peft_type": "VERA", "projection_prng_key": 7, "save_projection": False, "d_initial": 0.1}
    yield {**config, "peft_type": "UNILORA", "theta_d_length": 256, "proj_seed": 42, "save_indices": True}
    yield {**config, "peft_type": "LORA_XS", "lora_alpha": 4, "lora_dropout": 0.1}
    yield {**config, "peft_type": "TINYLORA", "u": 13, "weight_tying": 0.5, "init_weights": "uniform"}
    yield {**config, "r": 1e400}
    yield [[[{"a": "\u00fc\ud83e\udd9c"}]]]


def adapter_file_seeds():
    base = {"base": ["small", "small.v1"], "classes": 5, "preprocessing": {"resize": 28}}
    lora = {"r": 2, "target_modules": [f"layer1.{i}.conv{j}" for i in range(3) for j in (1, 2, 3)]}
    headers = [
        {**base, "config": lora},
        {**base, "output_classes": 3, "classes": ["a", "b", "c"], "config": {**lora, "modules_to_save": ["fc"]}},
        {**base, "head": {"hidden": [4], "classes": 5, "activation": "relu"}, "config": {**lora, "bias": "all"}},
        {**base, "precision": "int8", "config": {"peft_type": "LN_TUNING", "target_modules": "layer1.*bn1"}},
        {**base, "config": {"peft_type": "IA3", "target_modules": "layer1.*conv3", "modules_to_save": ["bn1"]}},
        {**base, "training": {"data": "mnist", "split": {}}, "config": {**lora, "use_dora": True}},
    ]
    for method in "LOHA", "LOKR", "HIRA", "OFT", "BOFT":
        headers.append({**base, "config": {"peft_type": method, "target_modules": "layer1.*conv2"}})
    for i, header in enumerate(headers):
        text = json.dumps(header, separators=(",", ":")).encode()
        streams = bytes(4), bytes(range(7, 255, 3)) * (1 + 4 * i), b"\x60" * 200
        for stream in streams:
            yield b"\1" + struct.pack("<H", len(text)) + text + stream
    # A file: the header without the dictionary, as stored by deflate.
    text = json.dumps(headers[0], separators=(",", ":")).encode()
    deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
    packed = deflate.compress(text) + deflate.flush()
    yield b"\0\x89LK\1" + bytes([len(packed) & 0x7F | 0x80, len(packed) >> 7]) + packed + bytes(32 + 90 + 4)


def recipe_seeds():
    for path in sorted((TESTS.parent / "recipes").rglob("*.yaml")):
        yield path.read_bytes()
    yield (
        b"data: a\nhead: [1, 2]\nrank_pattern: {'layer4.*': 8}\nalpha_pattern: {a: 1.5}\n"
        b"betas: [0.9, 0.99]\nreference: ~\n"
    )
    yield b"data: &d mnist\nmodel: *d\nmodules_to_save: [fc, !!str bn1]\nuse_rslora: yes\nprecision: auto\nr: 0x10\n"
    yield (
        b'---\ndata: |\n  a\n  b\ntarget_modules: "a\\u00fc\\n"\nlearning_rate: .5e-3\n'
        b"seed: 9223372036854775807\n...\n"
    )
    yield b"? data\n: mnist\n? [a, b]\n: {c: d}\n"
    yield b"data: x\nhead: null\nmodules_to_save: >-\n  fc\nrun: r\ncache_gib: 0\nschedule: one_cycle\noptimizer: sgd\n"
    yield b"[" * 40 + b"]" * 40


def idx_seeds():
    images = b"\0\0\x08\x03" + struct.pack(">3I", 2, 2, 3) + b"abcdefghijkl"
    labels = b"\0\0\x08\x01" + struct.pack(">I", 2) + b"\7\11"
    for plain in images, labels, b"\0\0\x08\x01\0\0\0\0", b"\0\0\x08\x01\x3f\xff\xff\xff", b"\0\0\x0d\x03" + images[4:]:
        yield plain
        yield gzip.compress(plain, mtime=0)
    yield gzip.compress(images[:9], mtime=0) + gzip.compress(images[9:], mtime=0)
    yield gzip.compress(b"\0\0\x08\x01" + struct.pack(">I", 4000) + bytes(4000), mtime=0)
    yield gzip.compress(images, compresslevel=0, mtime=0)


def exif(orientation, order):
    """EXIF of one entry, in the byte order '<' or '>'."""
    mark = {"<": b"II", ">": b"MM"}[order]
    return mark + struct.pack(order + "HIHHHIHHI", 42, 8, 1, 0x0112, 3, 1, orientation, 0, 0)


def image_seeds(kind):
    for label in re.findall(r'\{"([^"]*)",', (TESTS / "image/samples.h").read_text()):
        if kind in label:
            content = sample("image/samples.h", f'{{"{label}"')
            yield content
    for orientation, order in (6, "<"), (3, ">"):
        tiff = exif(orientation, order)
        if kind == "JPEG":
            yield content[:2] + b"\xff\xe1" + struct.pack(">H", len(tiff) + 8) + b"Exif\0\0" + tiff + content[2:]
        else:
            yield content[:33] + struct.pack(">I", len(tiff)) + b"eXIf" + tiff + struct.pack(
                ">I", zlib.crc32(b"eXIf" + tiff)
            ) + content[33:]


def format_seeds(kind):
    for label in re.findall(r'\{"([^"]*)",', (TESTS / "image/format_samples.h").read_text()):
        if label.startswith(kind):
            yield sample("image/format_samples.h", f'{{"{label}"')


def manifest_seeds():
    yield b'\xef\xbb\xbffilename;label;split\r\n"a;""b"".png";x;train\r\nb.png;y;test\r\n'
    yield b"a/b.png,cat\n../c.png,dog\n"
    yield b"path\tclass\n/x.png\t1\n\n"
    yield b'{"path": "a.png", "label": 1, "split": "val"}\n{"image": "b.png", "class": "x", "split": "train"}\n'


def cifar_seeds():
    for kind, names, label in (0, b"cat\ndog\n", b"\1"), (1, b"apple\r\nbear", b"\3\1"), (0, b"", b"\11"):
        yield bytes([kind, len(names)]) + names + label + bytes(range(256)) * 12
    yield b"\0\1x\0" + bytes(3072)
    yield b"\1\0" + b"\0\143" + bytes(3071)


def class_file_seeds():
    yield b"\xef\xbb\xbfcat\r\ndog\r\n\r\n"
    yield '["cat", "ünï", 3]'.encode()
    yield b'{"1": "dog", "0": "cat"}'
    yield b'{"id2label": {"0": "cat", "1": 2}, "model_type": "vit"}'
    yield b"cat\n\ndog\ncat"


def web_dataset_seeds():
    (picture, *_) = image_seeds("PNG")
    for kind in tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT:
        for label, content in (".cls", b"1"), (".json", b'{"label": 0}'), (".txt", b"cat"):
            out = io.BytesIO()
            with tarfile.open(fileobj=out, mode="w", format=kind) as tar:
                for name, bytes_of in ("a/0" + label, content), ("a/0.png", picture):
                    info = tarfile.TarInfo(name)
                    info.size = len(bytes_of)
                    tar.addfile(info, io.BytesIO(bytes_of))
            yield out.getvalue()[:3072]  # two headers, two blocks, two of the end


SEEDS = {
    "safetensors": safetensors_seeds(),
    "pytorch_zip": pytorch_zip_seeds(),
    "pytorch_legacy": pytorch_legacy_seeds(),
    "pickle": (tree + STORAGES for tree in trees()),
    "adapter_config": (json.dumps(config).encode() for config in adapter_config_seeds()),
    "adapter_file": adapter_file_seeds(),
    "recipe": recipe_seeds(),
    "idx": idx_seeds(),
    "png": image_seeds("PNG"),
    "jpeg": image_seeds("JPEG"),
    "webp": format_seeds("WebP"),
    "bmp": format_seeds("BMP"),
    "gif": format_seeds("GIF"),
    "tiff": format_seeds("TIFF"),
    "manifest": manifest_seeds(),
    "web_dataset": web_dataset_seeds(),
    "cifar": cifar_seeds(),
    "class_file": class_file_seeds(),
}

if __name__ == "__main__":
    for target, seeds in SEEDS.items():
        folder = Path(sys.argv[1]) / target
        folder.mkdir(parents=True, exist_ok=True)
        for i, content in enumerate(seeds):
            (folder / f"{i:02}").write_bytes(content)
