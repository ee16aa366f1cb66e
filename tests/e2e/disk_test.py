"""A full disk, and places where nothing can be written: one line, exit code 1, nothing half written."""
from command import CommandTest, environment, file_size_limit, main, run


class Disk(CommandTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        (cls.image,) = cls.digits(1)

    def train(self, *overrides):
        return (
            "train",
            self.recipe(),
            f"run={self.folder / 'run'}",
            "image_size=32",
            "train_limit=64",
            "test_limit=10",
            "epochs=2",
            *overrides,
        )

    def test_training_leaves_no_half_adapter(self):
        for limit, file in (60_000, "adapter_model.safetensors"), (200, "recipe.yaml"):
            with self.subTest(file):
                self.assert_training_fails(
                    [self.folder / "run", file, "File too large", "Free some space"],
                    *self.train(),
                    preexec_fn=file_size_limit(limit),
                )
                self.assert_empty(self.folder)
        self.lorikeet(*self.train())

    def test_adapter_from_before_the_disk_was_full_is_kept(self):
        self.assert_training_fails(
            ["metrics.jsonl", "File too large", f"--resume {self.folder / 'run'}"],
            *self.train("target_modules=null", "batch_size=1", "epochs=100"),
            preexec_fn=file_size_limit(200_000),
        )
        self.assertEqual(
            sorted(p.name for p in self.folder.glob("run/adapter/*")),
            ["README.md", "adapter_config.json", "adapter_model.safetensors", "lorikeet.json"],
        )
        self.assertEqual(list(self.folder.glob("run/.*")), [])
        self.lorikeet("predict", self.folder / "run", self.image)

    def test_small_outputs(self):
        logits = self.folder / "logits.safetensors"
        self.assert_refused(
            1,
            [logits, "Free some space"],
            "predict",
            "efficientnet_lite0",
            self.image,
            "--logits",
            logits,
            preexec_fn=file_size_limit(100),
        )
        done = run(
            "data", "sample", "mnist", "--count", 3, "--out", self.folder / "png", preexec_fn=file_size_limit(50)
        )
        self.assertEqual(done.returncode, 1)
        self.assert_one_line(done.stderr, ["0_7.png", "Free some space"])
        self.assertEqual([p for p in self.folder.rglob("*") if p.is_file()], [])

    def test_places_where_nothing_can_be_made(self):
        file = self.folder / "file"
        file.write_text("kept")
        env = environment(LORIKEET_HOME=file)
        self.assert_all_refused(
            1,
            [
                (["train", self.recipe(), f"run={file}/run"], [file]),
                (["train", self.recipe(), f"run={file}"], [file]),
                (["train", self.recipe(), "run=/proc/run"], ["/proc/run"]),
                (["data", "sample", "mnist", "--out", file], [file]),
                (["predict", "efficientnet_lite0", self.image, "--logits", file / "x"], [file]),
                (["predict", "efficientnet_lite0", self.image, "--logits", self.folder], [self.folder]),
            ],
        )
        self.assert_all_refused(
            1,
            [
                ([*command], [file])
                for command in (
                    ("data", "get", "mnist"),
                    ("models", "get", "resnet18"),
                    ("models", "get", "efficientnet_lite0"),
                )
            ],
            env=env,
        )
        self.assertEqual(file.read_text(), "kept")
        self.assertEqual(list(self.folder.iterdir()), [file])


if __name__ == "__main__":
    main()
