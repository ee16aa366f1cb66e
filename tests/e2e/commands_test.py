"""Help, version, lists, doctor, inspect; and what is wrong in the call itself."""
import subprocess

from command import BINARY, EFFICIENTNET, HOME, MNIST, CommandTest, environment, main, run

COMMANDS = [
    "train",
    "compare",
    "eval",
    "predict",
    "merge",
    "export",
    "inspect",
    "combine",
    "extract",
    "convert",
    "compress",
    "models",
    "models list",
    "models get",
    "models path",
    "data",
    "data list",
    "data get",
    "data path",
    "data sample",
    "doctor",
]


class Commands(CommandTest):
    def test_help_of_every_command(self):
        summary = self.lorikeet("--help")
        for name in COMMANDS:
            text = self.lorikeet(*name.split(), "--help")
            self.assertIn(f"Usage: lorikeet {name} ", text)
            self.assertGreater(len(text.splitlines()), 5, name)
            self.assertIn(name.split()[0], summary)
        self.assertRegex(self.lorikeet("train", "--help"), r"\n  lora_alpha +8 +\w")

    def test_version_names_libtorch(self):
        self.assertRegex(self.lorikeet("--version"), r"\Alorikeet \d+\.\d+\.\d+\nlibtorch 2\.\d+\.\d+\n\Z")

    def test_models(self):
        found = {entry["name"]: entry for entry in self.json("models", "list")}
        self.assertEqual(list(found)[:4], ["resnet18", "resnet34", "resnet50", "resnet50.v1"])
        self.assertEqual(
            found["convnextv2_small"],  # without weights
            {"name": "convnextv2_small", "family": "ConvNeXt V2", "library": "timm", "parameters": 50_318_440},
        )
        self.assertEqual(found["vit_tiny_patch16_224"]["weights"], "timm/vit_tiny_patch16_224.augreg_in21k_ft_in1k")
        self.assertEqual((found["vit_b_16"]["library"], found["vit_b_16"]["weights"]), ("torchvision", "IMAGENET1K_V1"))
        self.assertTrue(found["efficientnet_lite0"]["here"])
        self.assertIn("| efficientnet_lite0 ", self.lorikeet("models", "list"))
        for command in "get", "path":
            self.assertEqual(self.lorikeet("models", command, "efficientnet_lite0"), f"{EFFICIENTNET}\n")

    def test_data(self):
        self.assertEqual([(entry["name"], entry["here"]) for entry in self.json("data", "list")][0], ("mnist", True))
        self.assertIn("| fashion-mnist ", self.lorikeet("data", "list"))
        for command in "get", "path":
            self.assertEqual(self.lorikeet("data", command, "mnist"), f"{MNIST}\n")

    def test_paths_of_what_is_not_there(self):
        for command, name, path in ("models", "resnet18", "weights/resnet18-f37072fd.pth"), (
            "data",
            "mnist",
            "data/mnist",
        ):
            done = run(command, "path", name, env=environment(LORIKEET_HOME=self.folder))
            self.assertEqual((done.returncode, done.stdout), (1, f"{self.folder / path}\n"))
            self.assert_one_line(done.stderr, [f"lorikeet {command} get {name}"])

    def test_doctor(self):
        text = self.lorikeet("doctor")
        self.assertNotIn("BAD", text)
        found = {entry["what"]: entry["found"] for entry in self.json("doctor")}
        self.assertIn(str(HOME), found["home"])
        self.assertIn("efficientnet_lite0", found["weights"])
        self.assertIn("mnist", found["data"])
        home = self.folder / "file"
        home.write_text("")
        bad = run("doctor", env=environment(LORIKEET_HOME=home))
        self.assertEqual((bad.returncode, bad.stderr), (1, ""))
        self.assertIn("BAD home", bad.stdout)

    def test_output_that_cannot_be_written(self):
        for command in ["doctor"], ["models", "list", "--json"]:  # less and more than a buffer
            with open("/dev/full", "w") as full:
                done = subprocess.run([BINARY, *command], stdout=full, stderr=subprocess.PIPE, text=True)
            self.assertEqual(done.returncode, 1)
            self.assert_one_line(done.stderr, ["standard output", "No space left"])

    def test_inspect_needs_no_weights(self):
        env = environment(LORIKEET_HOME=self.folder)
        counts = {
            "resnet18": 11_689_512,
            "resnet34": 21_797_672,
            "resnet50": 25_557_032,
            "resnet101": 44_549_160,
            "resnet152": 60_192_808,
            "efficientnet_lite0": 4_652_008,
        }
        for name, parameters in counts.items():
            self.assertEqual(self.json("inspect", name, env=env)["parameters"], parameters)
        self.assert_empty(self.folder)
        text = self.lorikeet("inspect", "resnet50", env=env)
        self.assertIn("25,557,032 parameters, 97.5 MiB", text)
        self.assertIn("| layer4.2.conv3 ", text)

    def test_inspect_estimates_memory(self):
        memory = [self.json("inspect", "resnet50", "--memory", "--batch-size", batch)["memory"] for batch in (8, 16)]
        self.assertEqual(memory[0]["weights"], memory[1]["weights"])
        self.assertAlmostEqual(memory[1]["activations"] / memory[0]["activations"], 2, places=2)
        self.assertEqual(
            sum(memory[0][part] for part in ("weights", "prepared", "learning", "program"))
            + max(memory[0]["activations"], memory[0]["evaluation"]),
            memory[0]["total"],
        )
        half = self.json("inspect", "resnet50", "--memory", "--batch-size", 8, "--precision", "bfloat16")["memory"]
        self.assertEqual(half["activations"] * 2, memory[0]["activations"])
        self.assertIn("memory:    about ", self.lorikeet("inspect", "resnet50", "--memory"))

    def test_inspect_reads_weights_files(self):
        self.assertEqual(self.json("inspect", EFFICIENTNET)["model"], "efficientnet_lite0")

    def test_merge_writes_both_formats_and_reads_them_again(self):
        for ending in "pth", "safetensors":
            file = self.folder / f"model.{ending}"
            self.assertIn(
                "the state dict of efficientnet_lite0", self.lorikeet("merge", "efficientnet_lite0", "--out", file)
            )
            self.assertEqual(self.json("inspect", file)["model"], "efficientnet_lite0")
        self.assertEqual(sorted(p.name for p in self.folder.iterdir()), ["model.pth", "model.safetensors"])

    def test_export_writes_one_file(self):
        file = self.folder / "model.onnx"
        self.assertIn(
            "efficientnet_lite0",
            self.lorikeet(
                "export", "efficientnet_lite0", "--format", "onnx", "--out", file, "--preprocess", "--softmax"
            ),
        )
        self.assertEqual(list(self.folder.iterdir()), [file])
        self.assertEqual(file.read_bytes()[:2], b"\x08\x08")  # ir_version 8

    def test_article_counts_of_lora(self):
        for pattern, rank, modules, parameters in (
            (r".*\.2\.conv3", 4, 4, 19_200),
            (r".*\.2\.conv3", 8, 4, 38_400),
            (r".*\.2\.conv[123]", 4, 12, 76_800),
        ):
            found = self.json("inspect", "resnet50", "--match", pattern, "--rank", rank)["match"]
            self.assertEqual(found, {"pattern": pattern, "modules": modules, "r": rank, "lora_parameters": parameters})
        self.assertIn(
            r"'.*\.2\.conv3' matches 4 modules; LoRA with r=4 has 19,200 parameters",
            self.lorikeet("inspect", "resnet50", "--match", r".*\.2\.conv3", "--rank", 4),
        )

    def test_counts_of_other_methods(self):
        for settings, method, parameters in (
            (["peft_type=LORA_XS", "r=5"], "LoRA-XS", 100),
            (["peft_type=TINYLORA", "r=2", "u=13"], "TinyLoRA", 52),
            (["peft_type=TINYLORA", "u=13", "weight_tying=1"], "TinyLoRA", 13),
            (["peft_type=VERA", "r=3"], "VeRA", 256 + 512 + 1024 + 2048 + 12),
            (["peft_type=UNILORA", "theta_d_length=77"], "UniLoRA", 77),
            (["peft_type=FOURIERFT", "n_frequency=9"], "FourierFT", 36),
            (["use_dora=true", "r=4"], "DoRA", 19_200 + 3840),
        ):
            with self.subTest(settings):
                found = self.json("inspect", "resnet50", *settings, "--match", r".*\.2\.conv3")["match"]
                self.assertEqual((found["modules"], found["method"], found["parameters"]), (4, method, parameters))
        self.assertIn(
            r"'.*\.2\.conv3' matches 4 modules; TinyLoRA with r=2, u=13 has 52 parameters",
            self.lorikeet("inspect", "resnet50", "--match", r".*\.2\.conv3", "peft_type=TINYLORA", "r=2", "u=13"),
        )


# Arguments, and words of the one line that refuses them with exit code 2.
USAGE = [
    ([], ["subcommand"]),
    (["trian"], ["'trian'", "Did you mean 'train'?"]),
    (["models", "lst"], ["'lst'", "Did you mean 'list'?"]),
    (["train"], ["recipe", "'lorikeet train --help' says"]),
    (["train", "r.yaml", "--dry-run"], ["'--dry-run'", "unknown option", "'lorikeet train --help' says"]),
    (["models", "get"], ["name", "'lorikeet models get --help' says"]),
    (["inspect", "resnet50", "--nonsense"], ["--nonsense", "'lorikeet inspect --help' says"]),
    (["inspect", "resnet50", "--rnak", "4"], ["'--rnak'", "unknown option", "Did you mean '--rank'?"]),
    (["train", "r.yaml", "--epochs", "3"], ["'--epochs'", "without dashes: epochs=3."]),
    (["train", "r.yaml", "--batch-size", "8"], ["'--batch-size'", "without dashes: batch_size=8."]),
    (["train", "--lr=0.1", "r.yaml"], ["'--lr'", "without dashes: learning_rate=0.1."]),
    (["eval", "run", "--data", "mnist"], ["'--data'", "without dashes: data=mnist."]),
    (["train", "r.yaml", "--use-dora"], ["'--use-dora'", "without dashes: use_dora=VALUE."]),
    (["compare", "r.yaml", "--rank", "4"], ["'--rank'", "without dashes: r=4."]),
    (["inspect", "resnext50_32x5d"], ["resnext50_32x5d", "Known families: ResNet (resnet18, resnet34"]),
    (["predict", "efficientnet_lite0"], ["images"]),
    (
        ["predict", "efficientnet_lite0", "x.png", "--top", "0"],
        ["--top: got '0', expected an integer of at least 1."],
    ),
    (["predict", "efficientnet_lite0", "x.png", "--top", "two"], ["--top: got 'two', expected an integer"]),
    (["eval", "efficientnet_lite0", "--limit", "1e9"], ["--limit: got '1e9', expected an integer of at least 0."]),
    (["predict", "efficientnet_lite0", "x.png", "--preprocess", "none"], ["--preprocess", "normalise"]),
    (["merge", "efficientnet_lite0"], ["--out"]),
    (["merge", "efficientnet_lite0", "--out", "x.onnx"], ["x.onnx", "'.onnx'", "expected .safetensors or .pth"]),
    (["merge", "efficientnet_lite0", "--out", "model"], ["model", "expected .safetensors or .pth"]),
    (["merge", "resnet5", "--out", "x.pth"], ["resnet5", "Did you mean 'resnet50'?"]),
    (["export", "efficientnet_lite0"], ["--out"]),
    (["export", "efficientnet_lite0", "--out", "x.pth"], ["x.pth", "'.pth'", "expected .onnx"]),
    (["export", "efficientnet_lite0", "--out", "x.onnx", "--format", "tflite"], ["--format", "tflite", "onnx"]),
    (["export", "efficientnet_lite0", "--out", "x.onnx", "--preprocess", "resize"], ["--preprocess", "normalise"]),
    (["export", "efficientnet_lite0", "--out", "x.onnx", "--size", "0"], ["--size"]),
    (["inspect", "resnet5"], ["resnet5", "Did you mean 'resnet50'?"]),
    (["models", "get", "resent18"], ["resent18", "Did you mean 'resnet18'?"]),
    (["data", "get", "mnits"], ["mnits", "Did you mean 'mnist'?"]),
    (["data", "sample", "mnist", "--out", "x", "--count", "-1"], ["--count: got '-1', expected"]),
    (["eval", "efficientnet_lite0"], ["got no data", "data=mnist"]),
    (["eval", "efficientnet_lite0", "date=mnist"], ["date=mnist", "expected data="]),
    (["eval", "efficientnet_lite0", "data=mnist"], ["got 10 classes in mnist", "1000"]),
    (["compare", "epochs=1"], ["got no recipe"]),
    (["train", "--resume", "run", "r.yaml"], ["--resume: got the recipe r.yaml", "key=value"]),
    # The article's own pattern matches no module; its near misses are what it meant.
    (
        ["inspect", "resnet50", "--match", ".*.2.conv"],
        ["'.*.2.conv'", "matches no module", "layer1.2.conv1", "layer1.2.conv3"],
    ),
    (["inspect", "resnet50", "u=2"], ["'u=2'", "without --match"]),
    (["inspect", "resnet50", "--match", "fc", "epochs=2"], ["epochs=2", "expected only keys of a method"]),
    (["inspect", "resnet50", "--match", "fc", "u=0"], ["u", "got '0'"]),
    (["inspect", "resnet50", "--match", "layer1.0.con1"], ["layer1.0.con1", "matches no module", "layer1.0.conv1"]),
    (["inspect", "resnet50", "--match", "("], ["'('"]),
    (["inspect", "resnet50", "--match", ".*bn1"], ["bn1", "BatchNorm2d", "expected only Conv2d and Linear"]),
    (["inspect", "resnet50", "--match", "fc", "--rank", "99999999999"], ["--rank", "99999999999"]),
]
# Overrides of the recipe, likewise.
OVERRIDES = [
    (["epoch=3"], ["epoch", "unknown key", "Did you mean 'epochs'?"]),
    (["lr=3"], ["lr", "unknown key", "Did you mean 'learning_rate'?"]),
    (["rank=3"], ["rank", "unknown key", "Did you mean 'r'?"]),
    (["epochs"], ["'epochs'", "key=value"]),
    (["epochs=-1"], ["epochs", "'-1'", "integer"]),
    (["epochs=three"], ["epochs", "'three'", "integer"]),
    (["epochs=1.5"], ["epochs", "'1.5'"]),
    (["learning_rate=nan"], ["learning_rate", "'nan'"]),
    (["batch_size=0"], ["batch_size", "'0'", "1 to"]),
    (["lora_dropout=1"], ["lora_dropout", "'1'"]),
    (["lora_alpha=0"], ["lora_alpha", "got 0"]),
    (["r=100000"], ["r:", "'100000'"]),
    (["optimizer=adam"], ["optimizer", "'adam'", "adamw, sgd"]),
    (["betas=[0.9]"], ["betas", "two numbers"]),
    (["head=[512, -1]"], ["head", "'-1'"]),
    (["shuffle=perhaps"], ["shuffle", "true or false"]),
    (["target_modules={"], ["target_modules", "YAML"]),
    (["model=efficientnet_lite"], ["efficientnet_lite", "Did you mean 'efficientnet_lite0'?"]),
    (["data=mnis"], ["mnis", "Did you mean 'mnist'?"]),
    (["data=no/such"], ["no/such", "does not exist"]),
    (["data="], ["data", "expected the name"]),
    (["validation=60000"], ["validation", "60000"]),
    (["early_stop=2"], ["early_stop", "validation"]),
    (["start_from=nowhere"], ["start_from", "nowhere"]),
    (
        ["target_modules=blocks.6.0.conv_pwx"],
        ["blocks.6.0.conv_pwx", "matches no module", "Near misses: blocks.6.0.conv_pw"],
    ),
    (["target_modules='blocks\\.6\\.0\\.conv_pw'", "exclude_modules=.*"], ["target_modules", "exclude_modules"]),
    (
        ["modules_to_save=[fc]"],
        ["modules_to_save", "'fc'", "matches no module", "output of this network is 'classifier'"],
    ),
    (["rank_pattern={'blocks.9.*': 2}"], ["rank_pattern", "'blocks.9.*'", "does not match the end of any module"]),
    (["alpha_pattern={'^blocks': 2}"], ["alpha_pattern", "'^blocks'", "does not match the end of any module"]),
    (["exclude_modules=[blocks.9]"], ["exclude_modules", "'blocks.9'", "matches no module"]),
    (["bias=lora_only"], ["bias", "lora_only", "no layer with LoRA"]),
    (["target_modules=null", "modules_to_save=null", "replace_output=false"], ["something to train"]),
    (["replace_output=false"], ["got 10 classes in mnist", "expected 1000", "replace_output"]),
    (["modules_to_save=[]"], ["modules_to_save", "classifier"]),
    (["preprocess=normalise"], ["image_size", "preprocess=normalise"]),
    (["device=cuda"], ["device", "cuda"]),
]
# Whole recipes: a file that is wrong is not a wrong call.
RECIPES = [
    ("learnign_rate: 1\n", ["learnign_rate", "Did you mean 'learning_rate'?"]),
    ("epochs: 1\nepochs: 2\n", ["epochs", "twice"]),
    ("- a\n- b\n", ["a list", "key: value"]),
    ("a: [1\nb: 2\n", ["line 2", "YAML"]),
    ("", ["nothing", "key: value"]),
    ("epochs: &a [*a]\n", ["recipe.yaml"]),
    ("epochs: !!binary x\n", ["recipe.yaml"]),
    ("[" * 100_000, ["recipe.yaml"]),
    ("\0\1\2", ["recipe.yaml"]),
]


class BadCalls(CommandTest):
    def test_wrong_usage(self):
        self.assert_all_refused(2, USAGE, cwd=self.folder)
        self.assert_empty(self.folder)

    def test_wrong_overrides(self):
        has_cuda = "device=cuda can be used" in self.lorikeet("doctor")
        cases = [
            (["train", self.recipe(), *overrides], words)
            for overrides, words in OVERRIDES
            if not (has_cuda and "device=cuda" in overrides)
        ]
        self.assert_all_refused(2, cases, cwd=self.folder)
        self.assert_empty(self.folder)

    def test_wrong_recipes(self):
        for text, words in RECIPES:
            with self.subTest(text[:40]):
                self.assert_refused(1, words, "train", self.recipe(text), cwd=self.folder)
                self.assert_empty(self.folder)

    def test_what_is_not_there_or_of_another_kind(self):
        cases = [
            (["train", "none.yaml"], ["none.yaml", "No such file"]),
            (["train", "."], [": got a folder, expected a file", "data=FOLDER"]),
            (["inspect", "."], ["adapter_config.json"]),
            (["eval", "no/run", "data=mnist"], ["no/run"]),
            (["predict", "efficientnet_lite0", "none.png"], ["none.png", "No such file"]),
            (["predict", "efficientnet_lite0", "."], [": got a folder without images, expected JPEG, PNG"]),
            (["predict", "efficientnet_lite0", "x.png", "--weights", "."], [": got a folder, expected a file"]),
            (["predict", "efficientnet_lite0", "x.png", "--weights", "none.pth"], ["none.pth", "No such file"]),
            (["merge", "no/run", "--out", "x.pth"], ["no/run"]),
            (["merge", "efficientnet_lite0", "--out", "/dev/null/x.pth"], ["/dev/null", "Not a directory"]),
            (["merge", "efficientnet_lite0", "--out", "/dev/null/x.safetensors"], ["/dev/null", "Not a directory"]),
            (["export", "efficientnet_lite0", "--out", "/dev/null/x.onnx"], ["/dev/null", "Not a directory"]),
            (["export", "no/run", "--out", "x.onnx"], ["no/run"]),
            (["data", "sample", ".", "--out", "x"], ["train/"]),
            # Line breaks and what controls a terminal, in names.
            (["train", "a\nb\x1b[31m.yaml"], [r"a\x0ab\x1b[31m.yaml: cannot be opened"]),
            (["predict", "efficientnet_lite0", "a\nb.png"], [r"a\x0ab.png: cannot be opened"]),
            (["merge", "efficientnet_lite0", "--out", "/dev/null/a\nb/x.pth"], [r"a\x0ab: cannot be created"]),
        ]
        self.assert_all_refused(1, cases, cwd=self.folder)
        self.assert_empty(self.folder)


if __name__ == "__main__":
    main()
