"""What other tests need: MNIST and two EfficientNets in $LORIKEET_TEST_HOME, and ResNet weights from ../shared."""
import os
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared"
REFERENCE_PYTHON = ROOT / "tests/reference/.venv/bin/python"

environment = {**os.environ, "LORIKEET_HOME": os.environ["LORIKEET_TEST_HOME"]}
for what in ("data get mnist", "models get efficientnet_lite0", "models get efficientnet_lite2"):
    subprocess.run([os.environ["LORIKEET_BIN"], *what.split()], env=environment, check=True)

weights = Path(os.environ["LORIKEET_TEST_WEIGHTS"])
if not (SHARED / "weights").is_dir() or not REFERENCE_PYTHON.exists():
    print("no ../shared or no reference packages: tests with ResNet weights are skipped")
elif not (weights / "complete").exists():
    weights.mkdir(parents=True, exist_ok=True)
    subprocess.run([REFERENCE_PYTHON, SHARED / "weights/make_weights.py", weights], check=True)
    (weights / "complete").touch()
