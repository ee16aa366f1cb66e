"""A folder that timm saved, or a repository of the Hub, as the base model of every command."""
import json
import shutil

from hub_server import COMMIT, HubServer
from command import EFFICIENTNET, CommandTest, environment, main, run
from random_vit import write_random_vit

CONFIG = {
    "architecture": "tf_efficientnet_lite0",
    "num_classes": 1000,
    "pretrained_cfg": {
        "input_size": [3, 224, 224],
        "crop_pct": 0.875,
        "interpolation": "bicubic",
        "mean": [0.5, 0.5, 0.5],
        "std": [0.5, 0.5, 0.5],
        "classifier": "classifier",
    },
}


class Hub(CommandTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.images = cls.digits(4)
        cls.files = {"config.json": json.dumps(CONFIG).encode(), "pytorch_model.bin": EFFICIENTNET.read_bytes()}
        cls.model = cls.shared / "a model"
        cls.model.mkdir()
        for name, content in cls.files.items():
            (cls.model / name).write_bytes(content)
        cls.cache = cls.shared / "hf"
        cls.server = cls.enterClassContext(HubServer({"org/lite": dict(cls.files)}))

    def env(self, **changes):
        return environment(**self.server.environment(self.cache), **changes)

    def logits(self, *arguments, **options):
        out = self.folder / "logits.safetensors"
        self.lorikeet("predict", *arguments, *self.images, "--logits", out, **options)
        return out.read_bytes()

    def short(self, *overrides, env=None, name="run"):
        """A training of a second; gives its adapter."""
        run_folder = self.folder / name
        limits = ["train_limit=64", "epochs=1", "test_limit=32"]
        self.lorikeet("train", self.recipe(), f"run={run_folder}", *limits, *overrides, env=env)
        return run_folder / "adapter"

    def test_a_repository_is_a_base_model(self):
        expected = self.logits("efficientnet_lite0")
        self.assertEqual(self.logits("org/lite", env=self.env()), expected)
        self.assertEqual(self.logits(f"hf-hub:org/lite@{COMMIT}", env=self.env(HF_HUB_OFFLINE=1)), expected)
        snapshot = self.lorikeet("models", "path", "org/lite", env=self.env()).strip()
        self.assertEqual(self.logits(snapshot), expected)
        for host, method, path in self.server.paths():
            self.assertTrue(host == "storage" or method in ("HEAD", "GET"), path)
        before = len(self.server.requests)
        self.assertEqual(self.logits("org/lite", env=self.env()), expected)
        self.assertEqual(self.server.paths()[before:], [("hub", "HEAD", "/org/lite/resolve/main/config.json")])

    def test_an_adapter_on_a_repository(self):
        adapter = self.short("model=org/lite", env=self.env())
        base = json.loads((adapter / "lorikeet.json").read_text())["base"]
        self.assertEqual((base["model"], base["weights"]), ("org/lite", f"org/lite@{COMMIT}"))
        config = json.loads((adapter / "adapter_config.json").read_text())
        self.assertEqual(config["base_model_name_or_path"], "org/lite")
        self.assertIn("create_model", (adapter / "README.md").read_text())
        before = len(self.server.requests)
        logits = self.logits(adapter, env=self.env())
        self.assertEqual(len(self.server.requests), before)  # the commit is recorded, and in the cache
        self.assertEqual(self.logits(adapter, env=self.env(HF_HUB_OFFLINE=1)), logits)
        self.assertEqual(self.logits(adapter, "--model", self.model), logits)  # the same files
        # PEFT's own folder names the repository alone.
        (adapter / "lorikeet.json").unlink()
        (adapter / "README.md").unlink()
        self.logits(adapter, env=self.env())  # with the base's preprocessing: a PEFT folder does not record its own

    def test_an_adapter_on_a_folder(self):
        model = shutil.copytree(self.model, self.folder / "model")
        adapter = self.short(f"model={model}")
        base = json.loads((adapter / "lorikeet.json").read_text())["base"]
        self.assertEqual((base["model"], base["weights"]), ("model", "model"))
        self.assertIn("its place on your machine", (adapter / "README.md").read_text())
        logits = self.logits(adapter)
        report = self.json("inspect", adapter)
        self.assertEqual((report["model"], report["adapter"]["base_model"]), ("model", "model"))
        self.lorikeet("eval", adapter, "--limit", 16)
        self.lorikeet("combine", f"{adapter}=0.5", f"{adapter}=0.5", "--out", self.folder / "both")
        moved = model.rename(self.folder / "moved")
        elsewhere = environment(LORIKEET_HOME=self.folder / "home")  # which knows no other copy
        self.assert_refused(1, [adapter, "'model'", "--model"], "predict", adapter, self.images[0], env=elsewhere)
        self.assertEqual(self.logits(adapter, "--model", moved), logits)
        other = bytearray((moved / "pytorch_model.bin").read_bytes())
        other[len(other) // 2] ^= 1
        (moved / "pytorch_model.bin").write_bytes(other)
        self.assert_refused(1, ["SHA-256"], "predict", adapter, "--model", moved, self.images[0])

    def test_inspect_downloads_no_weights(self):
        before = len(self.server.requests)
        report = self.json("inspect", "org/lite", env={**self.env(), "HF_HOME": str(self.folder)})
        self.assertEqual(report["model"], "org/lite")
        self.assertEqual(report["parameters"], self.json("inspect", "efficientnet_lite0")["parameters"])
        self.assertFalse([path for host, _, path in self.server.paths()[before:] if "pytorch_model" in path])
        self.assertEqual(self.json("inspect", self.model)["model"], "a model")

    def test_a_mistyped_path_is_not_asked_of_the_hub(self):
        before = len(self.server.requests)
        (self.folder / "runs").mkdir()
        self.assert_refused(
            1, ["runs/none", "not found, expected"], "predict", "runs/none", "x.png", cwd=self.folder, env=self.env()
        )
        self.assertEqual(len(self.server.requests), before)
        self.assert_all_refused(
            1,
            [
                (["predict", "org/none", "x.png"], ["org/none", "HTTP 401", "expected a repository", "HF_TOKEN"]),
                (["predict", "org/lite@v2", "x.png"], ["org/lite", "revision 'v2'"]),
                (["models", "get", "org/lite", "--revision", "v2"], ["org/lite", "revision 'v2'"]),
            ],
            env=self.env(),
        )
        self.assert_refused(2, ["--revision", "resnet18"], "models", "get", "resnet18", "--revision", "v2")

    def test_official_weights_of_timm(self):
        """A name of timm's alone, whose weights timm keeps in the Hub: with the preprocessing of that repository."""
        name, repository = "vit_tiny_patch16_224", "timm/vit_tiny_patch16_224.augreg_in21k_ft_in1k"
        weights = self.folder / "model.safetensors"
        write_random_vit(weights)
        own = {"input_size": [3, 224, 224], "crop_pct": 1.0, "interpolation": "bilinear", "mean": [0.5] * 3}
        config = {"architecture": name, "num_classes": 1000, "pretrained_cfg": {**own, "std": [0.5] * 3}}
        self.server.repositories[repository] = {
            "config.json": json.dumps(config).encode(),
            "model.safetensors": weights.read_bytes(),
        }
        env = {**self.env(), "HF_HOME": str(self.folder / "hf")}

        def listed():
            models = self.json("models", "list", env=env)
            return next(model for model in models if model["name"] == name)

        self.assertEqual(
            (listed()["weights"], listed()["licence"], listed()["here"]), (repository, "Apache-2.0", False)
        )
        self.assert_refused(
            1,
            [repository, "cannot be reached", "--weights FILE"],
            *("predict", name, self.images[0]),
            env={**env, "HF_ENDPOINT": "http://127.0.0.1:1"},
        )
        self.lorikeet("inspect", name, env=env)  # from the table
        self.assertEqual(run("models", "path", name, env=env).returncode, 1)
        expected = self.logits(name, env=env)
        self.assertEqual(self.logits(repository, env=env), expected)
        self.assertNotEqual(self.logits(weights, "--model", name), expected)  # another preprocessing
        self.assertTrue(listed()["here"])
        path = self.lorikeet("models", "path", name, env=env).strip()
        self.assertEqual(path, self.lorikeet("models", "get", name, env=env).strip())
        self.assertEqual(path, listed()["path"])
        limits = ["image_size=32", "target_modules=[qkv]", "modules_to_save=[head]"]
        adapter = self.short(f"model={name}", *limits, env=env)
        base = json.loads((adapter / "lorikeet.json").read_text())["base"]
        self.assertEqual((base["model"], base["weights"]), (repository, f"{repository}@{COMMIT}"))
        offline = {**env, "HF_HUB_OFFLINE": "1"}
        self.assertEqual(self.logits(adapter, env=offline), self.logits(adapter, "--model", name, "--weights", weights))

    def test_other_classes(self):
        """The class names of the files are the model's; their number is config.json's."""
        names = [f"thing {i}" for i in range(1000)]
        model = shutil.copytree(self.model, self.folder / "model")
        (model / "config.json").write_text(json.dumps({**CONFIG, "label_names": names}))
        guesses = json.loads(self.lorikeet("predict", model, self.images[0], "--json"))[0]["predictions"]
        self.assertRegex(guesses[0]["class"], r"thing \d+")
        (model / "config.json").write_text(json.dumps({**CONFIG, "label_names": names[:3]}))
        self.assert_refused(1, ["config.json", "3 names of classes", "expected 1000"], "predict", model, self.images[0])

    def test_wrong_folders(self):
        model = shutil.copytree(self.model, self.folder / "model")
        cases = [
            ({"architecture": "no_such_net"}, ["config.json", "architecture", "no_such_net"]),
            ({"model_args": {"img_size": 64}}, ["config.json", "model_args", "img_size"]),
            ({"num_classes": -1}, ["config.json", "num_classes"]),
            ({"pretrained_cfg": {"input_size": [3, 224, 192]}}, ["config.json", "input_size", "same height and width"]),
        ]
        for changes, words in cases:
            (model / "config.json").write_text(json.dumps({**CONFIG, **changes}))
            self.assert_refused(1, words, "predict", model, self.images[0])
        (model / "config.json").write_text("{}")
        self.assert_refused(1, ["config.json", "expected"], "predict", model, self.images[0])
        (model / "config.json").write_text(json.dumps(CONFIG))
        (model / "pytorch_model.bin").unlink()
        self.assert_refused(1, ["got no weights", "model.safetensors"], "predict", model, self.images[0])
        (model / "config.json").unlink()
        self.assert_refused(1, ["got a folder without", "config.json"], "predict", model, self.images[0])

    def test_cut_off_from_the_hub(self):
        env = {**self.env(), "HF_ENDPOINT": "http://127.0.0.1:1"}
        self.assert_refused(
            1, ["org/other", "cannot be reached", "Check the network"], "predict", "org/other", "x.png", env=env
        )
        self.lorikeet("models", "get", "org/lite", env=self.env())
        done = run("models", "get", "org/lite", env=env)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("taken from the cache", done.stderr)


if __name__ == "__main__":
    main()
