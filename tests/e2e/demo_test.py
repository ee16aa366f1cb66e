"""./scripts/demo keeps its promises, on a machine where everything is installed, so that it takes a minute or two."""
import re
import subprocess

from command import ROOT, CommandTest, environment, main


class Demo(CommandTest):
    def test_demo(self):
        done = subprocess.run(
            [ROOT / "scripts/demo"], env=environment(), capture_output=True, text=True, stdin=subprocess.DEVNULL
        )
        self.assertEqual(done.returncode, 0, done.stderr)
        trained, evaluated = re.findall(r"^(?:test )?accuracy ([0-9.]+)", done.stdout, re.MULTILINE)
        self.assertEqual(trained, evaluated)
        self.assertGreater(float(evaluated), 0.93)
        guesses = re.findall(r"^\S+/\d+_(\d)\.png  (\d) ", done.stdout, re.MULTILINE)
        self.assertEqual(len(guesses), 5)
        self.assertGreaterEqual(sum(digit == guess for digit, guess in guesses), 4)
        self.assertIn("adapter_model.safetensors", done.stdout)


if __name__ == "__main__":
    main()
