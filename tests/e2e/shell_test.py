"""Completion scripts in the real shells, man pages, and the JSON Schema of recipes. Missing programs are skipped."""
import json
import re
import shutil
import subprocess
import unittest
from pathlib import Path

from command import BINARY, CommandTest, environment, main


def has(program):
    return unittest.skipUnless(shutil.which(program), f"needs {program}")


class Shell(CommandTest):
    def script(self, shell):
        path = self.folder / f"lorikeet.{shell}"
        path.write_text(self.lorikeet("completion", shell))
        return path

    def sh(self, *command, **options):
        env = environment(PATH=f"{Path(BINARY).parent}:/usr/bin:/bin", HOME=str(self.folder))
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, env=env, **options)
        self.assertEqual((done.returncode, done.stderr), (0, ""), command)
        return done.stdout

    def test_bash(self):
        script = self.script("bash")
        self.sh("bash", "-n", str(script))

        def complete(line):
            code = f'source {script}; COMP_LINE="$1" COMP_POINT=${{#1}}; _lorikeet; printf "%s\\n" "${{COMPREPLY[@]}}"'
            return self.sh("bash", "--norc", "-c", code, "bash", line, cwd=self.folder).split()

        (self.folder / "my recipe.yaml").write_text("")
        self.assertEqual(complete("lorikeet tra"), ["train"])
        self.assertIn("completion", complete("lorikeet co"))
        self.assertEqual(complete("lorikeet data s"), ["sample"])
        self.assertIn("--json", complete("lorikeet eval --"))
        self.assertEqual(complete("lorikeet eval x --preprocess n"), ["normalise"])
        self.assertEqual(complete("lorikeet eval x --preprocess=n"), ["normalise"])
        self.assertIn("epochs=", complete("lorikeet train r.yaml ep"))
        self.assertEqual(complete("lorikeet train r.yaml optimizer=s"), ["sgd"])
        self.assertEqual(complete("lorikeet train r.yaml use_dora="), ["true", "false"])
        self.assertEqual(complete("lorikeet train m")[-2:], ["my", "recipe.yaml"])
        self.assertIn("recipe.yaml", complete("lorikeet predict m"))

    @has("zsh")
    def test_zsh(self):
        script = self.script("zsh")
        self.sh("zsh", "-f", "-n", str(script))
        # A terminal of zsh's own, in which the line is typed and completed.
        code = f"""
zmodload zsh/zpty
zpty shell zsh -f -i
zpty -w shell "autoload -U compinit; compinit -D -u; source {script}; PS1=; zstyle ':completion:*' list-colors ''"
zpty -w shell "bindkey '^I' complete-word; LISTMAX=0; lorikeet() {{ print -r -- GOT: \\$@ END }}; print RE''ADY"
zpty -r shell line '*READY*'
for typed in 'tra' 'eval --preproc' 'train r.yaml optimizer=sg'; do
  zpty -w -n shell "lorikeet $typed"$'\\t'
  sleep 1
  zpty -w -n shell $'\\n'
  zpty -r shell line '*GOT:*END*'
  out+=$line
done
print -r -- $out
"""
        out = self.sh("zsh", "-f", "-c", code)
        for words in "GOT: train END", "GOT: eval --preprocess END", "GOT: train r.yaml optimizer=sgd END":
            self.assertIn(words, out)

    @has("fish")
    def test_fish(self):
        script = self.script("fish")

        def complete(line):
            out = self.sh("fish", "--no-config", "-c", f"source {script}; complete -C '{line}'")
            return [entry.split("\t")[0] for entry in out.splitlines()]

        self.assertIn("train", complete("lorikeet tra"))
        self.assertIn("sample", complete("lorikeet data s"))
        self.assertIn("--json", complete("lorikeet eval --"))
        self.assertEqual(complete("lorikeet eval x --preprocess n"), ["normalise"])
        self.assertIn("optimizer=sgd", complete("lorikeet train r.yaml optimizer=s"))

    def test_unknown_shell(self):
        self.assert_refused(2, ["shell"], "completion", "tcsh")

    def test_man_pages_of_all_commands(self):
        self.lorikeet("man", "--out", self.folder / "man1")
        pages = {p.stem for p in (self.folder / "man1").glob("*.1")}
        commands = re.findall(r"^  (\w+)[ ,]", self.lorikeet("--help").split("Subcommands:")[1], re.MULTILINE)
        self.assertGreater(len(commands), 12)
        self.assertEqual(pages, {"lorikeet", *(f"lorikeet-{name}" for name in commands)})
        self.assertEqual((self.folder / "man1/lorikeet-train.1").read_text(), self.lorikeet("man", "train"))
        self.assert_refused(2, ["trian", "train"], "man", "trian")
        self.assert_refused(2, ["'chekc': got an unknown command of 'lorikeet data'.", "check"], "man", "data", "chekc")
        self.assert_refused(2, ["'x': got an unknown command of 'lorikeet train'.\n"], "man", "train", "x")

    def test_man_pages_of_commands_in_commands(self):
        page = self.lorikeet("man", "data", "check")
        self.assertRegex(page, r"^\.TH LORIKEET\\-DATA\\-CHECK 1 ")
        for words in "\\-\\-split\\-seed", ".BR lorikeet\\-data (1)":
            self.assertIn(words, page)
        self.assertNotIn("\\-\\-count", page)  # of data sample

    @has("groff")
    def test_man_pages_format_without_warnings(self):
        for command in "lorikeet", "train", "data", "data check", "eval":
            page = self.lorikeet("man", *command.split())
            groff = "groff", "-k", "-man", "-Tutf8", "-ww", "-b", "-rLL=100n"
            done = subprocess.run(groff, input=page, capture_output=True, text=True, timeout=60)
            self.assertEqual((done.returncode, done.stderr), (0, ""), command)
            text = re.sub(r"\x1b\[[0-9;]*m|.\x08", "", done.stdout)
            self.assertIn("SYNOPSIS", text)
        self.assertIn("--preprocess", text)

    @has("mandoc")
    def test_mandoc_finds_no_errors(self):
        for command in "lorikeet", "train", "models", "models get":
            page = self.folder / "page.1"
            page.write_text(self.lorikeet("man", *command.split()))
            done = subprocess.run(["mandoc", "-Tlint", "-Werror", page], capture_output=True, text=True, timeout=60)
            self.assertEqual((done.returncode, done.stdout), (0, ""), command)

    def test_schema(self):
        schema = json.loads(self.lorikeet("schema"))
        help_text = self.lorikeet("train", "--help")
        keys = re.findall(r"^  ([a-z0-9_]+) ", help_text.split("Keys of a recipe")[1], re.MULTILINE)
        self.assertEqual(sorted(keys), sorted(schema["properties"]))
        for key, property in schema["properties"].items():
            self.assertTrue(property.get("description"), key)
            self.assertTrue({"type", "enum", "anyOf"} & property.keys(), key)
        self.assertEqual(schema["properties"]["epochs"]["minimum"], 1)
        self.assertEqual(schema["properties"]["optimizer"]["enum"], ["adamw", "sgd"])
        self.assertEqual(schema["properties"]["optimizer"]["default"], "adamw")


if __name__ == "__main__":
    main()
