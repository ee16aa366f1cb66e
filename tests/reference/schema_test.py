"""The JSON Schema of recipes: the real validator accepts the project's recipes and refuses what the reader refuses."""
import json
import subprocess
import tempfile
import unittest
from pathlib import Path

import jsonschema
import yaml
from reference import BINARY, ROOT, lorikeet


class Schema(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.schema = json.loads(lorikeet("schema"))
        jsonschema.Draft7Validator.check_schema(cls.schema)
        cls.validator = jsonschema.Draft7Validator(cls.schema)

    def test_defaults_are_valid(self):
        defaults = {key: value["default"] for key, value in self.schema["properties"].items() if "default" in value}
        self.assertGreater(len(defaults), 50)
        self.assertEqual([str(error) for error in self.validator.iter_errors(defaults)], [])

    def test_recipes_of_the_project(self):
        files = sorted((ROOT / "recipes").rglob("*.yaml"))
        self.assertGreater(len(files), 4)
        for file in files:
            recipe = yaml.safe_load(file.read_text())
            for key in "learning_rate", "eps":  # PyYAML reads YAML 1.1, where 1e-3 is a text
                if key in recipe:
                    recipe[key] = float(recipe[key])
            errors = [error.message for error in self.validator.iter_errors(recipe)]
            self.assertEqual(errors, [], file)

    def test_refuses_what_the_reader_refuses(self):
        for wrong in (
            {"epochs": 0},
            {"epochs": "many"},
            {"optimizer": "adam"},
            {"betas": [0.9]},
            {"head": 512},
            {"lora_dropout": 1.5},
            {"rank_pattern": {"a": "b"}},
            {"reference": {"titel": "x"}},
            {"learning_rte": 0.1},
            {"use_dora": "perhaps"},
        ):
            with self.subTest(wrong), tempfile.TemporaryDirectory() as folder:
                self.assertFalse(self.validator.is_valid(wrong))
                path = Path(folder) / "recipe.yaml"
                recipe = {"model": "resnet18", "data": "mnist", "modules_to_save": ["fc"], **wrong}
                path.write_text(yaml.safe_dump(recipe))
                done = subprocess.run([BINARY, "train", path, f"run={folder}/run"], capture_output=True, text=True)
                self.assertEqual(done.returncode, 1, done.stderr)
                self.assertIn(next(iter(wrong)), done.stderr)


if __name__ == "__main__":
    unittest.main(verbosity=2)
