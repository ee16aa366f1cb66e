"""Includes point down only (docs/architecture.md), and what prints or exits lies in cli/."""
import re
import unittest
from pathlib import Path

SRC = Path(__file__).resolve().parents[1] / "src"

# What each directory may include besides itself.
BELOW = {
    "base": set(),
    "report": {"base"},
    "fetch": {"base"},
    "io": {"base"},
    "image": {"base"},
    "data": {"base", "fetch", "io", "image"},
    "ops": {"base"},
    "graph": {"base", "io", "ops"},
    "models": {"base", "fetch", "io", "image", "ops", "graph"},
    "adapters": {"base", "io", "image", "ops", "graph"},
    "kernels": {"base", "ops", "graph"},
    "engine": {"base", "io", "ops", "graph", "adapters", "kernels"},
    "loading": {"base", "fetch", "io", "image", "ops", "graph", "models", "adapters", "engine"},
    "export": {"base", "io", "image", "report", "ops", "graph", "models", "adapters", "engine", "loading"},
}
BELOW["train"] = set(BELOW) - {"train"}
BELOW["search"] = set(BELOW) - {"search"}
BELOW["api"] = set(BELOW) - {"api", "search"}
BELOW["cli"] = set(BELOW) - {"cli"}
# Reads and writes files that the engine knows nothing of: it runs networks, whatever the source of their tensors.
FORBIDDEN = {"engine": {"adapters/adapter_folder.h"}}
WITHOUT_TENSORS = {"base", "report", "fetch", "cli"}


def sources():
    return [path for path in sorted(SRC.rglob("*")) if path.suffix in (".h", ".cpp")]


class Architecture(unittest.TestCase):
    def test_includes_point_down(self):
        self.assertGreater(len(sources()), 50)
        for path in sources():
            directory = path.relative_to(SRC).parts[0]
            for included in re.findall(r'#include "([^"]+)"', path.read_text()):
                target = included.split("/")[0]
                if target in (directory, "lorikeet"):
                    continue
                self.assertIn(target, BELOW[directory], f"{path.relative_to(SRC)} includes {included}")
                self.assertNotIn(included, FORBIDDEN.get(directory, ()), f"{path.relative_to(SRC)} includes {included}")

    def test_directories_without_tensors(self):
        for path in sources():
            directory = path.relative_to(SRC).parts[0]
            if directory in WITHOUT_TENSORS:
                self.assertNotRegex(
                    path.read_text(), r"#include <(ATen|c10|torch)/", f"{path.relative_to(SRC)} includes libtorch"
                )

    def test_only_the_command_prints_and_exits(self):
        for path in sources():
            if path.relative_to(SRC).parts[0] != "cli":
                found = re.search(r"std::(printf|puts|cout|cerr|exit|abort)\b|\bstderr\b", path.read_text())
                self.assertIsNone(found, f"{path.relative_to(SRC)}: {found and found[0]}")

    def test_every_file_says_what_it_is(self):
        for path in sources():
            if path.suffix == ".h":
                self.assertTrue(path.read_text().startswith("// "), f"{path.relative_to(SRC)} has no comment on top")


if __name__ == "__main__":
    unittest.main(verbosity=2)
