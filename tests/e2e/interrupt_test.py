"""Ctrl-C in training keeps a usable adapter and says where; a kill leaves none or a whole one."""
import json
import signal
import time

from command import RUN_FILES, CommandTest, main, start

# A frozen prefix that is cached after the first second, then hundreds of short epochs, each with a checkpoint.
LONG = "image_size=32", "train_limit=64", "test_limit=20", "epochs=100000"


class Interrupt(CommandTest):
    def start_training(self, folder):
        process = start("train", self.recipe(), f"run={folder}", *LONG)
        self.addCleanup(lambda: process.poll() is None and process.kill())
        return process

    def wait_for(self, process, condition):
        deadline = time.monotonic() + 60
        while not condition():
            self.assertIsNone(process.poll(), "the training ended by itself")
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.02)

    @staticmethod
    def lines(folder):
        path = folder / "metrics.jsonl"
        return path.read_text().count("\n") if path.exists() else 0

    def check_interrupted(self, signal_number, code, least_lines):
        folder = self.folder / "run"
        process = self.start_training(folder)
        self.wait_for(process, lambda: self.lines(folder) >= least_lines)
        process.send_signal(signal_number)
        stdout, stderr = process.communicate(timeout=60)
        self.assertEqual((process.returncode, stdout), (code, ""), stderr)
        adapter = folder / "adapter"
        self.assertRegex(
            stderr.splitlines()[-1],
            rf"^lorikeet: interrupted after \d+ steps; .* {adapter}\. .*lorikeet train --resume {folder}'",
        )
        self.assertEqual(json.loads((folder / "summary.json").read_text())["status"], "interrupted")
        return adapter, json.loads((folder / "summary.json").read_text())

    def test_ctrl_c_keeps_the_adapter(self):
        adapter, summary = self.check_interrupted(signal.SIGINT, 130, 60)
        self.assertEqual(self.json("inspect", adapter)["adapter"]["training"]["steps"], summary["steps"])
        self.assertGreater(self.json("eval", adapter, "--limit", 50)["accuracy"], 0.2)  # of ten classes
        on = self.folder / "on"
        self.lorikeet("train", self.recipe(), f"run={on}", *LONG[:3], "epochs=1", f"start_from={adapter}")
        first = json.loads((on / "metrics.jsonl").read_text().splitlines()[0])
        self.assertLess(first["loss"], 1)

    def test_in_the_first_epoch_and_by_sigterm(self):
        adapter, _ = self.check_interrupted(signal.SIGTERM, 143, 1)
        self.lorikeet("eval", adapter, "--limit", 10)

    def test_kill_leaves_no_half_adapter(self):
        found = 0
        for moment in range(5):
            folder = self.folder / str(moment)
            process = self.start_training(folder)
            self.wait_for(process, lambda: self.lines(folder) >= 1 + 10 * moment)
            time.sleep(0.007 * moment)
            process.kill()
            process.communicate()
            if (folder / "adapter").exists():
                found += 1
                self.lorikeet("eval", folder, "--limit", 10)
        self.assertGreater(found, 2)
        (folder / ".adapter.Ab3dEf").mkdir(exist_ok=True)  # as a kill in the middle of a checkpoint leaves it
        self.lorikeet("train", self.recipe(), f"run={folder}", *LONG[:3], "epochs=1", "--force")
        self.assertEqual(
            sorted(p.name for p in folder.iterdir()),
            sorted(["adapter", "checkpoints", *RUN_FILES]),
        )

    def test_a_folder_in_which_a_run_trains_is_refused(self):
        folder = self.folder / "run"
        process = self.start_training(folder)
        self.wait_for(process, lambda: self.lines(folder) >= 1)
        for options in [], ["--force"]:
            self.assert_refused(
                2, [folder, "another process is training"], "train", self.recipe(), f"run={folder}", *LONG, *options
            )
        process.kill()
        process.communicate()
        self.lorikeet("train", self.recipe(), f"run={folder}", *LONG[:3], "epochs=1", "--force")

    def test_compare_goes_on(self):
        recipes = [self.folder / f"{name}.yaml" for name in ("short", "long")]
        recipes[0].write_text(self.recipe().read_text() + "max_steps: 1\n")
        recipes[1].write_text(self.recipe().read_text())
        arguments = ["compare", *recipes, *LONG[:3], "--runs", self.folder / "runs"]
        process = start(*arguments, "epochs=100000")
        self.addCleanup(lambda: process.poll() is None and process.kill())
        self.wait_for(process, lambda: self.lines(self.folder / "runs/long") > 2)
        process.send_signal(signal.SIGINT)
        stdout, stderr = process.communicate(timeout=60)
        self.assertEqual((process.returncode, stdout), (130, ""))
        self.assertIn("the next compare continues", stderr)
        again = start(*arguments, "epochs=100000")
        self.addCleanup(lambda: again.poll() is None and again.kill())
        before = self.lines(self.folder / "runs/long")
        self.wait_for(again, lambda: 0 < self.lines(self.folder / "runs/long") != before)
        again.send_signal(signal.SIGINT)
        _, stderr = again.communicate(timeout=60)
        self.assertNotIn("== " + str(self.folder / "runs/short"), stderr)  # that one was finished
        self.assertIn("== " + str(self.folder / "runs/long"), stderr)
        self.assertIn("continuing after step", stderr)


if __name__ == "__main__":
    main()
