"""The adapter in one file: train writes it, every command reads it, convert and compress make it."""
import array
import json
import math
import os
import struct

from command import EFFICIENTNET, MNIST, CommandTest, environment, main, read_safetensors
from lorikeet_file import Tensors, parts

MODEL_FILE = "adapter_model.safetensors"


def floats(path, prefix=""):
    """Tensors of a safetensors file by name: shape and values."""
    header, data = read_safetensors(path)
    out = {}
    for name, record in header.items():
        if name != "__metadata__":
            begin, end = record["data_offsets"]
            out[name.removeprefix(prefix)] = record["shape"], list(
                struct.unpack(f"<{(end - begin) // 4}f", data[begin:end])
            )
    return out


class AdapterFile(CommandTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.run_folder = cls.train_run("validation=1000", "file_precision=int8")
        cls.images = cls.digits(12)
        cls.file = cls.shared / "digits.lorikeet"
        cls.lorikeet("convert", cls.run_folder, cls.file)

    def logits(self, model, *options):
        file = self.folder / "logits.safetensors"
        self.lorikeet("predict", model, *self.images, "--logits", file, *options)
        return array.array("f", read_safetensors(file)[1])

    def tensors(self, folder):
        return floats(folder / MODEL_FILE, "base_model.model.")

    def test_a_float32_file_predicts_and_evaluates_exactly_as_the_folder(self):
        self.assertEqual(self.logits(self.file), self.logits(self.run_folder))
        folder, file = self.json("eval", self.run_folder), self.json("eval", self.file)
        for key in "accuracy", "loss", "total", "data":
            self.assertEqual(file[key], folder[key])

    def test_there_and_back_is_lossless(self):
        out, again = self.folder / "folder", self.folder / "again.lorikeet"
        self.assertIn("a folder for PEFT", self.lorikeet("convert", self.file, out))
        original = self.run_folder / "adapter"
        self.assertEqual((out / "adapter_config.json").read_bytes(), (original / "adapter_config.json").read_bytes())
        self.assertEqual(self.tensors(out), self.tensors(original))
        new, old = (json.loads((each / "lorikeet.json").read_text()) for each in (out, original))
        for key in "base", "classes", "preprocessing", "precision", "output_classes", "head":
            self.assertEqual(new.get(key), old.get(key))
        self.assertEqual(new["training"]["test"]["accuracy"], round(old["training"]["test"]["accuracy"], 6))
        self.lorikeet("convert", out, "--out", again)
        self.assertEqual(again.read_bytes(), self.file.read_bytes())

    def test_train_leaves_it_and_says_its_size(self):
        file = self.run_folder / "adapter.lorikeet"
        summary = json.loads((self.run_folder / "summary.json").read_text())
        self.assertEqual(summary["adapter_file_bytes"], file.stat().st_size)
        self.assertLess(file.stat().st_size, self.file.stat().st_size / 3)
        self.assertIn("adapter.lorikeet, int8", (self.run_folder / "report.html").read_text())
        found = self.json("eval", file, "--limit", 200)
        self.assertEqual(summary["adapter_file_test"]["accuracy"], found["accuracy"])
        exact, small = self.logits(self.run_folder), self.logits(file)
        largest = max(map(abs, exact))
        self.assertLess(max(abs(a - b) for a, b in zip(exact, small)), 0.05 * largest)
        self.assertNotEqual(exact, small)
        out = self.folder / "same.lorikeet"
        self.lorikeet("convert", self.run_folder, out, "--precision", "int8")
        self.assertEqual(out.read_bytes(), file.read_bytes())

    def test_the_format_is_what_its_document_says(self):
        report = self.json("inspect", self.file)["adapter"]
        original = self.tensors(self.run_folder / "adapter")
        for precision, error in ("float32", 0), ("bfloat16", 0.003), ("int8", 0.01), ("int4", 0.17):
            file = self.folder / f"{precision}.lorikeet"
            self.lorikeet("convert", self.run_folder, file, "--precision", precision)
            sha256, _, coded = parts(file.read_bytes())
            self.assertEqual(sha256, report["base_sha256"])
            decoder = Tensors(coded)
            out = self.folder / f"folder-{precision}"
            self.lorikeet("convert", file, out)
            read = self.tensors(out)
            for name, (shape, exact) in sorted(original.items(), key=lambda item: item[0].encode()):
                values = decoder.next(shape)
                with self.subTest((precision, name)):
                    self.assertEqual(values, read[name][1])
                    difference = math.dist(values, exact) / math.hypot(*exact)
                    self.assertLessEqual(difference, error)

    def test_inspect_says_what_the_bytes_are_spent_on(self):
        report = self.json("inspect", self.run_folder / "adapter.lorikeet")["adapter"]
        coding = {tensor["name"]: tensor for tensor in report["tensors"]}
        self.assertIn("int8", coding["conv_head.lora_A.weight"]["coding"])
        self.assertEqual(report["file"]["bytes"], (self.run_folder / "adapter.lorikeet").stat().st_size)
        self.assertAlmostEqual(sum(t["bytes"] for t in report["tensors"]), report["file"]["tensor_bytes"])
        text = self.lorikeet("inspect", self.file)
        self.assertIn("| conv_head.lora_A.weight ", text)
        self.assertRegex(text, r"file: +[\d,]+ bytes: tensors \d+, ")

    def test_every_command_reads_it(self):
        merged = self.folder / "a.safetensors", self.folder / "b.safetensors"
        for model, out in zip((self.file, self.run_folder), merged):
            self.lorikeet("merge", model, "--out", out)
        self.assertEqual(merged[0].read_bytes(), merged[1].read_bytes())
        self.lorikeet("export", self.file, "--out", self.folder / "x.onnx")
        both = self.folder / "both.lorikeet"
        self.lorikeet("combine", f"{self.file}=0.25", f"{self.run_folder}=0.75", "--out", both)
        same, combined = self.logits(self.run_folder), self.logits(both)
        largest = max(map(abs, same))
        self.assertLess(max(abs(a - b) for a, b in zip(same, combined)), 1e-4 * largest)
        run = self.folder / "run"
        self.lorikeet(
            *("train", self.recipe(), f"run={run}", f"start_from={self.file}", "max_steps=1", "learning_rate=0")
        )
        self.assertEqual(self.tensors(run / "adapter"), self.tensors(self.run_folder / "adapter"))

    def test_a_file_of_a_file_keeps_its_precision(self):
        file, again, exact = self.run_folder / "adapter.lorikeet", *(self.folder / f"{n}.lorikeet" for n in "ab")
        self.assertIn(", int8, ", self.lorikeet("convert", file, again))
        self.assertEqual(again.read_bytes(), file.read_bytes())
        self.lorikeet("convert", file, exact, "--precision", "float32")
        self.assertGreater(exact.stat().st_size, 2 * file.stat().st_size)
        self.assertEqual(self.logits(exact), self.logits(file))
        # The accuracy of training is that of the tensors before they were rounded.
        for name, source, has_accuracy in ("rounded", file, False), ("exact", exact, False), ("own", self.file, True):
            folder = self.folder / name
            self.lorikeet("convert", source, folder)
            with self.subTest(name):
                self.assertEqual("| accuracy |" in (folder / "README.md").read_text(), has_accuracy)
                self.assertEqual("test" in json.loads((folder / "lorikeet.json").read_text())["training"], has_accuracy)

    def test_inspect_needs_no_weights(self):
        elsewhere = environment(LORIKEET_HOME=self.folder / "home", HF_HUB_OFFLINE=1)
        self.assertIn("tensors", self.lorikeet("inspect", self.run_folder / "adapter.lorikeet", env=elsewhere))

    def test_what_is_not_a_file_is_not_read(self):
        pipe = self.folder / "pipe.lorikeet"
        os.mkfifo(pipe)
        self.assert_all_refused(
            1,
            [
                ((command, *arguments), ["not a regular file"])
                for path in (pipe, "/dev/zero")
                for command, *arguments in (("inspect", path), ("convert", path, self.folder / "x.lorikeet"))
            ],
        )

    def test_compress(self):
        out = self.folder / "small.lorikeet"
        found = self.json("compress", self.run_folder, "-o", out, "--max-loss", "1")
        self.assertEqual((found["split"], found["images"]), ("validation", 1000))
        self.assertEqual(found["bytes"], out.stat().st_size)
        self.assertEqual(found["tried"][0]["form"], "float32")
        self.assertGreaterEqual(found["correct"], found["correct_before"] - 10)
        self.assertEqual(
            found["bytes"], min(form["bytes"] for form in found["tried"] if form["within_limit"]), found["tried"]
        )
        self.assertLess(found["bytes"], (self.run_folder / "adapter.lorikeet").stat().st_size)
        low, high = found["change_interval"]
        self.assertTrue(low <= (found["correct"] - found["correct_before"]) / found["images"] <= high)
        forms = [form["form"] for form in found["tried"]]
        self.assertEqual(len(forms), len(set(forms)))
        text = self.lorikeet("compress", self.file, "-o", out, "--limit", "100")
        self.assertIn("| as given, float32 ", text)
        given = self.json("compress", self.run_folder / "adapter.lorikeet", "-o", out, "--limit", "100")["tried"]
        self.assertEqual(given[0]["form"], "as given, int8")
        self.assertEqual(given[0]["bytes"], (self.run_folder / "adapter.lorikeet").stat().st_size)
        self.assertNotIn("int8", [form["form"] for form in given])
        self.assertIn("95% interval of the change", text)
        self.json("eval", out)

    def test_compress_without_validation_images_says_so(self):
        plain = self.train_run("max_steps=2", name="plain")
        found = self.json("compress", plain, "--limit", "200")
        self.assertEqual(found["split"], "training")
        self.assertEqual(found["file"], str(plain / "compressed.lorikeet"))

    def test_what_is_refused(self):
        cut, other = self.folder / "cut.lorikeet", self.folder / "other.lorikeet"
        cut.write_bytes(self.file.read_bytes()[:-7])
        other.write_bytes(b"something else")
        missing = self.folder / "missing.lorikeet"
        (self.folder / "file.txt").write_text("mine")
        base = self.folder / "base.pth"
        base.write_bytes(EFFICIENTNET.read_bytes())
        self.assert_all_refused(
            1,
            [
                (("predict", cut, self.images[0]), [cut, "checksum"]),
                (("predict", other, self.images[0]), [other, "another format"]),
                (("inspect", missing), [missing, "not found"]),
                (("eval", "missing.lorikeet"), ["missing.lorikeet", "not found"]),
                (("convert", self.file, other), [other, "not an adapter's"]),
                (("convert", self.folder, self.folder / "x"), ["got no adapter"]),
            ],
        )
        self.assert_all_refused(
            2,
            [
                (("convert", self.file, self.file), [self.file, "another file"]),
                (("convert", self.file), ["no name for the new adapter"]),
                (("convert", self.file, "a", "--out", "b"), ["two names"]),
                (("convert", self.file, self.folder / "x", "--precision", "int8"), ["--precision", "folder"]),
                (("compress", self.file, "-o", self.folder / "x"), ["expected .lorikeet"]),
                (("compress", self.file, "x=1"), ["unknown setting"]),
                (("convert", self.file, ""), ["no name for the new adapter"]),
                (("convert", self.run_folder, self.folder / "x"), ["a folder and a folder", "--as-lora"]),
                (("compress", self.file, "--max-loss", "nan"), ["--max-loss", "'nan'", "0 to 100"]),
                (("data", "check", "mnist", "--test-share", "nan"), ["'nan'"]),
                (("train", self.recipe(), "file_precision=int3"), ["file_precision", "int3"]),
            ],
        )

    def test_another_base_is_refused(self):
        wrong = self.folder / "wrong.pth"
        content = bytearray(EFFICIENTNET.read_bytes())
        content[len(content) // 2] ^= 1
        wrong.write_bytes(content)
        self.assert_refused(1, ["SHA-256", "--force"], "predict", self.file, self.images[0], "--weights", wrong)

    def test_the_data_is_that_of_training(self):
        self.assertEqual(self.json("eval", self.file, "--limit", "50")["data"], "mnist")
        self.assertTrue(MNIST.exists())


if __name__ == "__main__":
    main()
