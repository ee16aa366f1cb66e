"""convert and merge --names: an adapter and its base under the names of another library compute the same."""
import array
import json
import shutil

from command import CommandTest, environment, main, read_safetensors
from random_vit import write_random_vit

MODEL = "vit_tiny_patch16_224"
CONFIG = {
    "model_type": "vit",
    "hidden_size": 192,
    "num_hidden_layers": 12,
    "num_attention_heads": 3,
    "intermediate_size": 768,
    "layer_norm_eps": 1e-6,
    "num_labels": 1000,
}
# Of the model's own size: position embeddings are not interpolated, for which the libraries have different filters.
RECIPE = f"""model: {MODEL}
data: mnist
target_modules: [qkv, fc1]
r: 2
modules_to_save: [head]
replace_output: true
train_limit: 16
batch_size: 8
test_limit: 8
learning_rate: 1e-2
"""


class Convert(CommandTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.weights = cls.shared / "vit.safetensors"
        write_random_vit(cls.weights)
        cls.images = cls.digits(4)
        cls.timm = cls.shared / "timm"
        cls.lorikeet("train", cls.recipe(RECIPE), f"weights={cls.weights}", f"run={cls.timm}")
        cls.logits_of_timm = cls.logits(cls.timm)
        # The same base as transformers saves it.
        cls.folder_of_transformers = cls.shared / "hf"
        cls.folder_of_transformers.mkdir()
        (cls.folder_of_transformers / "config.json").write_text(json.dumps(CONFIG))
        cls.merge(cls.weights, "transformers", cls.folder_of_transformers / "model.safetensors")

    @classmethod
    def merge(cls, model, names, out, *options):
        return cls.lorikeet("merge", model, "--model", MODEL, "--names", names, "--out", out, *options)

    @classmethod
    def logits(cls, model, *options):
        file = cls.shared / "logits.safetensors"
        cls.lorikeet("predict", model, *cls.images, "--logits", file, *options)
        return array.array("f", read_safetensors(file)[1])

    def assert_same_logits(self, model, *options):
        found, expected = self.logits(model, *options), self.logits_of_timm
        self.assertEqual(len(found), len(expected))
        largest = max(map(abs, expected))
        self.assertLess(max(abs(a - b) for a, b in zip(found, expected)), 1e-4 * largest)

    def keys(self, folder):
        return {
            key.removeprefix("base_model.model.") for key in read_safetensors(folder / "adapter_model.safetensors")[0]
        }

    def test_there_and_back(self):
        out, back = self.folder / "out", self.folder / "back"
        text = self.lorikeet(
            "convert", self.timm, "--names", "transformers", "--to-model", self.folder_of_transformers, "--out", out
        )
        self.assertIn("under the names of transformers", text)
        for key in "vit.layers.11.attention.v_proj.lora_A.weight", "vit.layers.0.mlp.fc1.lora_B.weight":
            self.assertIn(key, self.keys(out))
        self.assertIn("classifier.weight", self.keys(out))
        self.assert_same_logits(out)
        base = json.loads((out / "lorikeet.json").read_text())["base"]
        self.assertEqual((base["model"], base["weights"]), ("hf", "hf"))
        self.assertIn("AutoModelForImageClassification", (out / "README.md").read_text())

        self.lorikeet(
            *("convert", out, "--names", "timm", "--out", back, "--to-model", MODEL, "--to-weights", self.weights)
        )
        self.assertEqual(self.keys(back), self.keys(self.timm / "adapter"))
        self.assert_same_logits(back)
        report = self.json("inspect", back)
        self.assertEqual(report["adapter"]["base_sha256"], self.json("inspect", self.timm)["adapter"]["base_sha256"])

    def test_without_a_base_for_the_new_names(self):
        """It opens over the right weights of any model with these names, and over no others."""
        out = self.folder / "out"
        self.lorikeet("convert", self.timm, "--names", "transformers", "--out", out)
        elsewhere = environment(LORIKEET_HOME=self.folder / "home")  # which knows no base with that SHA-256
        words = [out, f"{MODEL} (names of transformers)", "--model"]
        self.assert_refused(1, words, "predict", out, self.images[0], env=elsewhere)
        self.assert_same_logits(out, "--model", self.folder_of_transformers)
        back = self.folder / "back"
        self.lorikeet("convert", out, "--names", "timm", "--out", back, "--model", self.folder_of_transformers)
        self.assert_same_logits(back, "--model", MODEL, "--weights", self.weights)
        wrong = bytearray(self.weights.read_bytes())
        wrong[-1] ^= 1
        (self.folder / "wrong.safetensors").write_bytes(wrong)
        self.assert_refused(
            1,
            ["SHA-256", "--force"],
            *("predict", back, self.images[0], "--model", MODEL, "--weights", self.folder / "wrong.safetensors"),
        )

    def test_torchvision_has_one_adapter_for_attention(self):
        out = self.folder / "out"
        self.lorikeet("convert", self.timm, "--names", "torchvision", "--out", out)
        attention = "encoder.layers.encoder_layer_3.self_attention"
        self.assertLessEqual({f"{attention}.lora_A.weight", "heads.head.weight"}, self.keys(out))
        self.assertIn(f"{attention}.base_layer.out_proj.lora_A.weight", self.keys(out))

    def test_an_adapter_of_peft_needs_no_weights(self):
        peft = self.folder / "peft"
        self.lorikeet("convert", self.timm, "--names", "timm", "--out", peft)  # under its own names: a copy
        (peft / "lorikeet.json").unlink()
        (peft / "README.md").unlink()
        config = json.loads((peft / "adapter_config.json").read_text())
        self.assertEqual(config["base_model_name_or_path"], MODEL)
        config["auto_mapping"] = {"base_model_class": "VisionTransformer", "parent_library": "timm"}
        (peft / "adapter_config.json").write_text(json.dumps(config))
        out = self.folder / "out"
        self.lorikeet("convert", peft, "--names", "transformers", "--out", out)
        config = json.loads((out / "adapter_config.json").read_text())
        self.assertEqual((config["base_model_name_or_path"], config["auto_mapping"]), (None, None))
        self.assertFalse((out / "lorikeet.json").exists())
        back = self.folder / "back"
        self.lorikeet("convert", out, "--names", "timm", "--model", self.folder_of_transformers, "--out", back)
        base = "--model", MODEL, "--weights", self.weights
        found, expected = self.logits(back, *base), self.logits(peft, *base)
        self.assertLess(max(abs(a - b) for a, b in zip(found, expected)), 1e-4 * max(map(abs, expected)))

    def test_merged_models(self):
        """Under the other names as under their own."""
        timm, transformers = self.folder / "timm.safetensors", self.folder / "hf.safetensors"
        self.lorikeet("merge", self.timm, "--out", timm)
        self.merge(self.timm, "transformers", transformers)
        header, _ = read_safetensors(transformers)
        self.assertEqual(header["classifier.weight"]["shape"], [10, 192])
        self.assertEqual(header["vit.layers.0.attention.q_proj.weight"]["shape"], [192, 192])
        sizes = [
            sum(e["data_offsets"][1] - e["data_offsets"][0] for e in read_safetensors(f)[0].values() if "shape" in e)
            for f in (timm, transformers)
        ]
        self.assertEqual(sizes[0], sizes[1])
        again = self.folder / "again.safetensors"
        self.merge(self.weights, "timm", again)
        self.assertEqual(read_safetensors(again)[1], read_safetensors(self.weights)[1])

    def test_what_cannot_be_converted(self):
        out = self.folder / "out"
        loha = self.folder / "loha"
        self.lorikeet(
            *("train", self.recipe(RECIPE), f"weights={self.weights}", f"run={loha}", "peft_type=LOHA", "max_steps=1")
        )
        lite = self.train_run("max_steps=1", "train_limit=32", "test_limit=8", "image_size=32", name="lite")
        work = self.folder / "work"
        work.mkdir()
        (work / "thesis.txt").write_text("x")
        convert = ["convert", self.timm, "--out", out, "--names"]
        self.assert_all_refused(
            1,
            [
                (["convert", loha, "--out", out, "--names", "transformers"], [loha, "attn.qkv", "LoHa", "LoRA, DoRA"]),
                (
                    ["convert", lite, "--out", out, "--names", "torchvision"],
                    ["efficientnet_lite0", "names of torchvision", "expected those of timm"],
                ),
                (["convert", self.folder, "--out", out, "--names", "timm"], ["got no adapter"]),
                (["convert", self.timm, "--out", work, "--names", "timm"], ["work: got a folder that holds"]),
                (
                    [
                        *convert,
                        "timm",
                        "--to-model",
                        MODEL,
                        "--to-weights",
                        self.folder_of_transformers / "config.json",
                    ],
                    ["config.json"],
                ),
            ],
        )
        other = self.folder / "other"  # the same names, other shapes
        other.mkdir()
        for key, value, found in ("intermediate_size", 384, "(384, 192)"), ("num_attention_heads", 6, "6 heads"):
            (other / "config.json").write_text(json.dumps({**CONFIG, key: value}))
            self.assert_refused(2, ["--to-model", "other", found], *convert, "transformers", "--to-model", other)
        copy = self.folder / "copy"
        shutil.copytree(self.timm / "adapter", copy)
        for source, destination in (self.timm, self.timm / "adapter"), (copy, copy):
            self.assert_refused(
                2,
                [destination, "the adapter that is read"],
                *("convert", source, "--names", "timm", "--out", destination),
            )
        self.assert_refused(2, ["the adapter that is read"], "combine", copy, self.timm, "--out", copy)
        self.assert_all_refused(
            2,
            [
                (["convert", self.timm, "--out", out], ["--names"]),
                ([*convert, "timm", "--to-model", self.weights], ["got the file", self.weights, "--weights"]),
                ([*convert, "keras"], ["--names", "keras"]),
                ([*convert, "transformers", "--to-model", MODEL], ["--to-model", MODEL, "names of transformers"]),
                ([*convert, "timm", "--to-weights", self.weights], ["--to-model"]),
                (["merge", self.timm, "--names", "keras", "--out", self.folder / "x.pth"], ["--names"]),
            ],
        )
        self.assertFalse(out.exists())


if __name__ == "__main__":
    main()
