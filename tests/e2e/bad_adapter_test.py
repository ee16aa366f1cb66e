"""Adapter folders that are damaged or do not fit their base: one line naming file and tensor, exit code 1."""
import json
import math
import shutil
import struct

from command import EFFICIENTNET, CommandTest, main, read_safetensors, write_idx, write_safetensors

CONFIG, TENSORS, METADATA = "adapter_config.json", "adapter_model.safetensors", "lorikeet.json"
LORA_B = "base_model.model.conv_head.lora_B.weight"


class BadAdapter(CommandTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.adapter = cls.train_run("max_steps=1", "train_limit=32", "test_limit=10", "image_size=32") / "adapter"
        cls.images = cls.digits(20)

    def copy(self, name):
        shutil.copytree(self.adapter, self.folder / name)
        return self.folder / name

    def refuse_predict(self, cases, *options):
        self.assert_all_refused(
            1, [(["predict", folder, self.images[0], *options], [folder, *words]) for folder, words in cases]
        )

    def test_tensors(self):
        header, data = read_safetensors(self.adapter / TENSORS)
        end = len(data)
        begin = header[LORA_B]["data_offsets"][0]
        bias = header["base_model.model.classifier.bias"]

        def changed(**fields):
            return {**header, LORA_B: {**header[LORA_B], **fields}}

        def renamed(name):
            return {name if key == LORA_B else key: value for key, value in header.items()}

        self.assertEqual(bias["data_offsets"][1], end)
        cases = [
            (
                "missing",
                {k: v for k, v in header.items() if v is not bias},
                data[:-40],
                ["no tensor 'classifier.bias'", "(10,)"],
            ),
            (
                "unknown",
                {**header, "base_model.model.fc.bias": {"dtype": "F32", "shape": [0], "data_offsets": [end, end]}},
                data,
                ["unknown tensor 'fc.bias'"],
            ),
            (
                "renamed",
                renamed("base_model.model.conv_head.lora_C.weight"),
                data,
                ["no tensor 'conv_head.lora_B.weight'"],
            ),
            ("prefix", renamed("conv_head.lora_B.weight"), data, ["base_model.model."]),
            (
                "shape",
                changed(shape=[4, 1280, 1, 1]),
                data,
                ["conv_head.lora_B.weight", "(4, 1280, 1, 1)", "(1280, 4, 1, 1)"],
            ),
            ("integers", changed(dtype="I32"), data, ["conv_head.lora_B.weight", "floating-point"]),
            (
                "nan",
                header,
                data[:begin] + struct.pack("<f", math.nan) + data[begin + 4 :],
                ["conv_head.lora_B.weight", "NaN"],
            ),
            ("truncated", header, data[:-1], ["truncated"]),
        ]
        for name, *content, _ in cases:
            write_safetensors(self.copy(name) / TENSORS, *content)
        (self.copy("absent") / TENSORS).unlink()
        self.refuse_predict(
            [(self.folder / name, words) for name, _, _, words in cases]
            + [(self.folder / "absent", [TENSORS, "No such file"])]
        )

    def test_json_files(self):
        def config(key, value):
            return CONFIG, lambda c: c.update({key: value})

        def metadata(key, value):
            return METADATA, lambda m: m.update({key: value})

        def base(key, value):
            return METADATA, lambda m: m["base"].update({key: value})

        cases = [
            (config("peft_type", "VBLORA"), ["peft_type", "VBLORA"]),
            (config("r", 0), ["r:", "got 0"]),
            (config("r", "four"), ["r:", "a string"]),
            (config("r", 5), ["lora_A", "(4, 1152, 1, 1)", "(5, 1152, 1, 1)"]),
            (config("lora_alpha", None), ["lora_alpha", "null"]),
            (config("use_dora", True), ["no tensor", "lora_magnitude_vector"]),
            (config("use_qalora", True), ["use_qalora", "not supported yet"]),
            (config("peft_type", "OFT"), ["oft_block_size"]),
            (config("target_modules", ["conv_haed"]), ["'conv_haed'", "matches no module", "conv_head"]),
            (config("target_modules", "(" * 3), ["target_modules"]),
            (config("modules_to_save", ["fc"]), ["'fc'", "matches no module"]),
            (metadata("classes", [str(i) for i in range(9)]), ["9 class names for 10 outputs"]),
            (metadata("output_classes", 9), ["classifier.weight", "(10, 1280)", "(9, 1280)"]),
            (metadata("format", 2), ["format", "newer Lorikeet"]),
            (metadata("precision", "int4"), ["precision", "int4"]),
            (metadata("head", {"hidden": [], "classes": 10, "activation": "none"}), ["head.safetensors"]),
            (metadata("head", {"hidden": [-1], "classes": 10, "activation": "none"}), ["hidden"]),
            (metadata("preprocessing", {}), ["preprocessing", "resize"]),
            (base("sha256", "0" * 64), ["SHA-256", "0000000000000000", "another base", "--weights"]),
            (base("sha256", "0"), ["sha256", "64 hexadecimal digits"]),
            (base("model", "resnet50"), ["resnet50"]),
        ]
        for i, ((file, change), _) in enumerate(cases):
            path = self.copy(str(i)) / file
            content = json.loads(path.read_text())
            change(content)
            path.write_text(json.dumps(content))
        self.refuse_predict([(self.folder / str(i), words) for i, (_, words) in enumerate(cases)])

    def test_broken_json(self):
        texts = {
            "cut": "{",
            "empty": "",
            "list": "[]",
            "twice": '{"r": 4, "r": 8}',
            "deep": "[" * 10_000,
            "bytes": '{"a": "\udcff"}',
        }
        cases = []
        for file in CONFIG, METADATA:
            for name, text in texts.items():
                folder = self.copy(f"{name}-{file}")
                (folder / file).write_text(text, errors="surrogateescape")
                cases.append((folder, [file]))
        self.refuse_predict(cases)

    def test_links_out_of_the_folder(self):
        cases = []
        for file in CONFIG, METADATA, TENSORS:
            folder = self.copy(f"link-{file}")
            (folder / file).unlink()
            (folder / file).symlink_to(self.adapter / file)
            cases.append((folder, [file, "outside its folder"]))
        folder = self.copy("dangling")
        (folder / METADATA).unlink()
        (folder / METADATA).symlink_to("nowhere")
        self.refuse_predict(cases + [(folder, [METADATA, "broken link"])])
        (self.folder / "link").symlink_to(self.adapter)  # the folder itself may be one
        self.lorikeet("predict", self.folder / "link", self.images[0])

    def test_another_base(self):
        header, end = {}, 0
        for tensor in self.json("inspect", "efficientnet_lite0")["tensors"]:
            begin, end = end, end + 4 * math.prod(tensor["shape"])
            header[tensor["name"]] = {"dtype": "F32", "shape": tensor["shape"], "data_offsets": [begin, end]}
        other = self.folder / "other.safetensors"
        write_safetensors(other, header, bytes(end))
        self.refuse_predict([(self.adapter, ["other.safetensors", "SHA-256", "another base"])], "--weights", other)
        self.refuse_predict([(self.adapter, ["resnet18", "expected 'efficientnet_lite0'"])], "--model", "resnet18")
        # The same weights under another name are the same base.
        renamed = self.folder / "renamed.pth"
        renamed.symlink_to(EFFICIENTNET)
        self.lorikeet("predict", self.adapter, self.images[0], "--weights", renamed)

    def test_adapter_of_peft_names_no_base(self):
        folder = self.copy("peft")
        (folder / METADATA).unlink()
        config = json.loads((folder / CONFIG).read_text())
        (folder / CONFIG).write_text(json.dumps({**config, "base_model_name_or_path": None}))
        self.assert_refused(2, [folder, "does not record its base", "--model"], "predict", folder, self.images[0])
        guesses = self.json("predict", folder, self.images[0], "--model", "efficientnet_lite0")[0]["predictions"]
        self.assertEqual(len(guesses), 1)

    def test_inspect_and_start_from_refuse_too(self):
        folder = self.copy("bad")
        config = json.loads((folder / CONFIG).read_text())
        (folder / CONFIG).write_text(json.dumps({**config, "target_modules": ["conv_haed"]}))
        run = f"run={self.folder / 'run'}"
        self.assert_all_refused(
            1,
            [
                (["inspect", folder], [folder, "'conv_haed'", "conv_head"]),
                (["inspect", self.adapter, "--weights", self.images[0]], [self.images[0], "PNG"]),
                (["inspect", "efficientnet_lite0", "--weights", self.images[0]], [self.images[0], "PNG"]),
                (
                    ["train", self.recipe(), run, f"start_from={self.adapter}", "r=8"],
                    [self.adapter, "lora_A", "(4, 1152, 1, 1)", "(8, 1152, 1, 1)"],
                ),
            ],
        )
        self.assertFalse((self.folder / "run").exists())

    def test_data_with_other_classes(self):
        root = self.image_folder({"0": "zero", "1": "one"}, self.images)
        self.assert_refused(1, ["/one", "unknown to training", "10 classes"], "eval", self.adapter, f"data={root}")
        idx = self.folder / "idx"
        idx.mkdir()
        for part, labels in ("train", [0, 1]), ("t10k", [0, 12]):
            write_idx(idx / f"{part}-images-idx3-ubyte", (2, 28, 28), bytes(2 * 28 * 28))
            write_idx(idx / f"{part}-labels-idx1-ubyte", (2,), labels)
        self.assert_refused(1, ["t10k-labels", "label 12", "0 to 9"], "eval", self.adapter, f"data={idx}")

    def test_folders_without_an_adapter(self):
        empty = self.folder / "empty"
        empty.mkdir()
        self.refuse_predict([(empty, [CONFIG]), (self.folder / "none", ["not found, expected"])])


if __name__ == "__main__":
    main()
