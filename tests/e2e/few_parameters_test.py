"""VeRA, FourierFT and UniLoRA on convolutions and a Linear of EfficientNet-Lite0: training, evaluation, prediction,
resuming, and files that hold only what was learned.
"""
import json

from command import CommandTest, digit_of, main, read_safetensors

TARGETS = r"target_modules='blocks\.6\.0\.(conv_dw|conv_pwl)|conv_head|classifier'"
COMMON = ["modules_to_save=null", "replace_output=false", "head=[]", TARGETS]
METHODS = {
    "VERA": ["r=16", "learning_rate=2e-2"],
    "FOURIERFT": ["n_frequency=40", "learning_rate=2e-2", "bias=fourier_only"],
    "UNILORA": ["r=4", "theta_d_length=300", "learning_rate=2e-2"],
}


class FewParameters(CommandTest):
    def train(self, name, *settings):
        folder = self.folder / name
        self.lorikeet("train", self.recipe(), *COMMON, "epochs=4", "schedule=constant", *settings, f"run={folder}")
        return folder, json.loads((folder / "summary.json").read_text())

    def test_train_evaluate_predict_resume(self):
        for method, settings in METHODS.items():
            with self.subTest(method):
                run, summary = self.train(method, f"peft_type={method}", *settings)
                self.assertGreater(summary["test"]["accuracy"], 0.6)
                evaluated = self.json("eval", run, "--limit", 200)
                self.assertEqual(evaluated["accuracy"], summary["test"]["accuracy"])
                images = self.digits(10)
                predicted = self.json("predict", run, *images)
                right = sum(p["predictions"][0]["class"] == digit_of(i) for p, i in zip(predicted, images))
                self.assertGreater(right, 4)

                header, data = read_safetensors(run / "adapter/adapter_model.safetensors")
                learned = summary["trainable_parameters"] - 1000 * 10 - 10  # of the head, which is another file
                self.assertEqual(len(data), 4 * learned, header.keys())
                inspected = self.json("inspect", run / "adapter")
                self.assertEqual(inspected["trainable_parameters"], summary["trainable_parameters"])

                seed = {"VERA": "projection_prng_key", "FOURIERFT": "random_loc_seed", "UNILORA": "proj_seed"}[method]
                start = ["train", self.recipe(), f"start_from={run}", f"peft_type={method}", *COMMON, *settings]
                self.assert_refused(2, [f"{seed}: got 5 with start_from"], *start, f"{seed}=5", f"run={run}-2")
                self.lorikeet(*start, "max_steps=1", "test_limit=8", f"run={run}-2")

                half, _ = self.train(f"{method}-half", f"peft_type={method}", *settings, "epochs=2")
                self.lorikeet("train", "--resume", half, "epochs=4")
                for file in "adapter_model.safetensors", "head.safetensors":
                    self.assertEqual((half / "adapter" / file).read_bytes(), (run / "adapter" / file).read_bytes())

    def test_what_cannot_be_is_said_in_one_line(self):
        cases = [
            (["peft_type=FOURIERFT", "n_frequency=10000000"], ["n_frequency: got 10000000 for blocks.6.0.conv_dw"]),
            (["peft_type=FOURIERFT", "n_frequency=0"], ["n_frequency: got '0'", "1 to 16777216"]),
            (["peft_type=FOURIERFT", "random_loc_seed=-1"], ["random_loc_seed: got '-1'"]),
            (["peft_type=VERA", "projection_prng_key=-1"], ["projection_prng_key: got '-1'"]),
            (["peft_type=VERA", "rank_pattern={conv_head: 3}"], ["rank_pattern"]),
            (["peft_type=UNILORA", "theta_d_length=0"], ["theta_d_length: got '0'"]),
            (["peft_type=UNILORA", "theta_d_length=1000000000"], ["theta_d_length: got '1000000000'"]),
            (["peft_type=UNILORA", "r=1", "theta_d_length=99999"], ["theta_d_length: got 99999, expected at most"]),
            (["peft_type=UNILORA", "proj_seed=-1"], ["proj_seed: got '-1'"]),
            (["peft_type=UNILORA", "r=65536"], ["r: got 65536, expected at most", "2^26 elements"]),
            (["peft_type=UNILORA", "vera_dropout=0.1"], ["VeRA's options: got it with peft_type UNILORA"]),
        ]
        train = ["train", self.recipe(), *COMMON, f"run={self.folder / 'run'}"]
        self.assert_all_refused(2, [([*train, *keys], words) for keys, words in cases])
        self.assert_empty(self.folder)


if __name__ == "__main__":
    main()
