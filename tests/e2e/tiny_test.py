"""Adapters of a few hundred numbers: LoRA-XS and TinyLoRA with small outputs, trained, used, resumed and converted."""
import array
import json
import signal
import time

from command import CommandTest, environment, main, read_safetensors, start
from command import run as command_run

RECIPE = r"""model: efficientnet_lite0
data: mnist
image_size: 64
peft_type: LORA_XS
target_modules: 'blocks\.6\.0\.conv_pwl|conv_head|blocks\.5\..*\.conv_dw'
r: 4
head: {projected: 16, basis: output}
train_limit: 512
test_limit: 200
epochs: 3
batch_size: 32
learning_rate: 2e-2
"""
SMALL = {
    "{rank: 2}": (2 * (1280 + 10), {"head_A", "head_B"}),
    "{projected: 16}": (160, {"head_V"}),
    "{projected: 16, basis: output}": (160, {"head_V"}),
    "{tied: 90}": (90, {"head_v"}),
}


class Tiny(CommandTest):
    def train(self, *overrides, name="run"):
        self.lorikeet("train", self.recipe(RECIPE), f"run={self.folder / name}", *overrides)
        return self.folder / name

    def tensors(self, path):
        header, data = read_safetensors(path)
        return {
            key: data[slice(*entry["data_offsets"])] for key, entry in header.items() if key != "__metadata__"
        }, header

    def test_start_from_needs_the_projection_of_the_output(self):
        run = self.train("head={projected: 16, seed: 3}", "epochs=1")
        start = ["train", self.recipe(RECIPE), f"start_from={run}", f"run={self.folder / 'next'}", "max_steps=1"]
        words = ['head: got {"projected":16,"basis":"random","seed":4} with start_from', '"seed":3}']
        self.assert_refused(2, words, *start, "head={projected: 16, seed: 4}")
        self.assert_refused(2, ['"basis":"output"} with start_from'], *start)
        self.lorikeet(*start, "head={projected: 16, seed: 3}")

    def test_lora_xs_with_a_projected_head(self):
        run = self.train()
        adapter = run / "adapter"
        summary = json.loads((run / "summary.json").read_text())
        self.assertGreater(summary["test"]["accuracy"], 0.5)
        kept, header = self.tensors(adapter / "adapter_model.safetensors")
        layers = {key for key in kept if key.endswith("lora_xs_R")}
        self.assertEqual(len(layers) + 2, len(kept))  # the output's dense weight and bias, for PEFT
        self.assertTrue(all(header[key]["shape"] == [4, 4] for key in layers))
        self.assertEqual(header["base_model.model.classifier.weight"]["shape"], [10, 1280])
        small, _ = self.tensors(adapter / "head.safetensors")
        self.assertEqual(set(small), {"classifier.head_V"})
        expected = 16 * len(layers) + 160 + 10
        self.assertEqual(self.json("inspect", adapter)["trainable_parameters"], expected)
        self.assertEqual(summary["trainable_parameters"], expected)

        # Evaluation returns the accuracy at the end of training, and each thread count the same logits.
        evaluated = self.json("eval", adapter, "--limit", 200)
        self.assertEqual(evaluated["accuracy"], summary["test"]["accuracy"])
        logits = []
        for threads in 1, 2:
            file = self.folder / f"logits{threads}.safetensors"
            self.lorikeet(
                *("predict", adapter, *self.digits(4), "--logits", file), env=environment(OMP_NUM_THREADS=threads)
            )
            logits.append(array.array("f", read_safetensors(file)[1]))
        for one, two in zip(*logits):
            self.assertAlmostEqual(one, two, delta=1e-4)
        again = self.train(name="again")
        self.assertEqual(
            (again / "adapter/adapter_model.safetensors").read_bytes(),
            (adapter / "adapter_model.safetensors").read_bytes(),
        )

    def test_what_peft_does_not_have_is_not_promised(self):
        run = self.train(name="card")
        card, lora = (run / "adapter/README.md").read_text(), self.folder / "lora"
        for words in "library_name: lorikeet", "PEFT 0.21 does not have LoRA-XS", "--as-lora":
            self.assertIn(words, card)
        self.assertNotIn("PeftModel", card)
        self.assertRegex(card, r"\| small output \| classifier, projected: 16")
        self.assertNotIn("trained in full", card)
        done = command_run("convert", run / "adapter.lorikeet", self.folder / "folder")
        self.assertNotIn("for PEFT", done.stdout)
        self.assertIn("PEFT 0.21 does not have LoRA-XS", done.stderr)
        self.lorikeet("convert", run, "--as-lora", "--out", lora)
        card = (lora / "README.md").read_text()
        self.assertIn("PeftModel", card)
        trained = json.loads((run / "summary.json").read_text())["trainable_parameters"]
        self.assertIn(f"| trained | {trained:,} parameters |\n| written as | ", card)

    def test_resume(self):
        """An interrupted run ends with the tensors of one that was not."""
        settings = "epochs=40", "train_limit=64", "test_limit=20"
        whole, part = self.train(*settings, name="whole"), self.folder / "part"
        process = start("train", self.recipe(RECIPE), f"run={part}", *settings)
        metrics = part / "metrics.jsonl"
        deadline = time.monotonic() + 60
        while process.poll() is None and not (metrics.exists() and metrics.read_text().count("\n") > 20):
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=60)
        self.assertEqual(process.returncode, 130, stderr)
        self.lorikeet("train", "--resume", part)
        for file in "head.safetensors", "adapter_model.safetensors":
            self.assertEqual((part / "adapter" / file).read_bytes(), (whole / "adapter" / file).read_bytes(), file)

    def test_small_outputs(self):
        for i, (head, (count, names)) in enumerate(SMALL.items()):
            with self.subTest(head):
                run = self.train(f"head={head}", "epochs=1", "target_modules=null", "peft_type=LORA", name=f"run{i}")
                small, _ = self.tensors(run / "adapter/head.safetensors")
                self.assertEqual({key.removeprefix("classifier.") for key in small}, names)
                self.assertEqual(self.json("inspect", run)["trainable_parameters"], count + 10)
                self.lorikeet("predict", run, *self.digits(2))

    def test_refused(self):
        for overrides, words in [
            (["head={projected: 1281}"], ["head: projected: got 1281, expected 1 to 1280"]),
            (["head={projected: 16, rank: 2}"], ["head: got 2 of rank, projected, tied"]),
            (["head={rank: 11}"], ["head: rank: got 11, expected 1 to 10"]),
            (["head={rank: none}"], ["head: rank: got 'none'"]),
            (["head={tied: 3, basis: output}"], ["head: got 'basis' with tied"]),
            (["head={size: 3}"], ["head: got 0 of"]),
            (["u=3"], ["one of TinyLoRA's options", "LORA_XS"]),
            (["use_dora=true"], ["use_dora"]),
            (["peft_type=TINYLORA", "u=0"], ["u: got '0'"]),
            (["peft_type=TINYLORA", "weight_tying=2"], ["weight_tying"]),
            (["peft_type=TINYLORA", "rank_pattern={conv_head: 2}"], ["rank_pattern"]),
        ]:
            with self.subTest(overrides):
                self.assert_refused(2, words, "train", self.recipe(RECIPE), *overrides, f"run={self.folder / 'none'}")


if __name__ == "__main__":
    main()
