"""The Hub's cache beside its own client, huggingface_hub: each finds what the other stored, by the same requests."""
import json
import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "tests/e2e"))
from hub_server import COMMIT, HubServer  # noqa: E402

BINARY = os.environ.get("LORIKEET_BIN", str(ROOT / "build/bin/lorikeet"))
FILES = {
    "config.json": b'{"model_type": "resnet"}',
    "preprocessor_config.json": b"{}",
    "model.safetensors": bytes(range(250)) * 400,
}


class HubTest(unittest.TestCase):
    def setUp(self):
        temporary = tempfile.TemporaryDirectory(prefix="lorikeet-hub-")
        self.addCleanup(temporary.cleanup)
        self.folder = Path(temporary.name)
        self.server = self.enterContext(HubServer({"org/net": dict(FILES)}, token="hf_abc"))

    def environment(self, home, **changes):
        return {**os.environ, **self.server.environment(self.folder / home), **changes}

    def client(self, home, code, **changes):
        """What `code` prints, with huggingface_hub imported as `hub`."""
        done = subprocess.run(
            [sys.executable, "-c", f"import huggingface_hub as hub\n{code}"],
            capture_output=True,
            text=True,
            env=self.environment(home, **changes),
        )
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout.strip()

    def lorikeet(self, home, *arguments, **changes):
        done = subprocess.run(
            [BINARY, *arguments], capture_output=True, text=True, env=self.environment(home, **changes)
        )
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout.strip()

    def download(self, home, **changes):
        # As transformers does: the first file pins the commit.
        return self.client(
            home,
            f"""for i, name in enumerate({list(FILES)}):
    print(hub.hf_hub_download("org/net", name, revision="{COMMIT}" if i else "main"))""",
            **changes,
        ).splitlines()

    def tree(self, home):
        """What the cache holds: {path: content, or the target of a link}; without the locks."""
        root = self.folder / home / "hub"
        return {
            str(path.relative_to(root)): os.readlink(path) if path.is_symlink() else path.read_bytes()
            for path in root.rglob("*")
            if (path.is_symlink() or path.is_file()) and ".locks" not in path.parts
        }

    def test_same_requests_and_same_cache(self):
        theirs = self.download("theirs")
        asked, self.server.requests[:] = list(self.server.requests), []
        ours = self.lorikeet("ours", "models", "get", "org/net")
        self.assertEqual(sorted(self.server.requests), sorted(asked))
        self.assertEqual(len(asked), 6)
        for host, _, _, token in asked:
            self.assertEqual(token, "hf_abc" if host == "hub" else "")
        self.assertEqual(self.tree("ours"), self.tree("theirs"))
        self.assertEqual(ours.replace("/ours/", "/theirs/"), str(Path(theirs[0]).parent))
        locks = [sorted(p.name for p in (self.folder / h / "hub/.locks").rglob("*.lock")) for h in ("ours", "theirs")]
        self.assertEqual(locks[0], locks[1])

    def test_the_client_finds_ours(self):
        snapshot = self.lorikeet("home", "models", "get", "org/net")
        self.server.requests.clear()
        code = f"""import json
found = [(hub.try_to_load_from_cache("org/net", name), hub.hf_hub_download("org/net", name, local_files_only=True))
         for name in {list(FILES)}]
print(json.dumps(found))"""
        found = json.loads(self.client("home", code))
        self.assertEqual(found, [[f"{snapshot}/{name}"] * 2 for name in FILES])
        code = 'print(hub.snapshot_download("org/net", local_files_only=True))'
        self.assertEqual(self.client("home", code), snapshot)
        # A scan for what can be deleted counts each blob once and finds nothing wrong.
        code = "info = hub.scan_cache_dir(); print(info.size_on_disk, len(info.repos), len(info.warnings))"
        self.assertEqual(self.client("home", code), f"{sum(map(len, FILES.values()))} 1 0")
        self.assertEqual(self.server.requests, [])

    def test_we_find_theirs(self):
        paths = self.download("home")
        self.server.requests.clear()
        snapshot = str(Path(paths[0]).parent)
        self.assertEqual(self.lorikeet("home", "models", "get", "org/net"), snapshot)
        self.assertEqual(self.server.paths(), [("hub", "HEAD", "/org/net/resolve/main/config.json")])
        self.server.requests.clear()
        self.assertEqual(self.lorikeet("home", "models", "get", "org/net", HF_HUB_OFFLINE="1"), snapshot)
        self.assertEqual(self.lorikeet("home", "models", "get", "org/net", "--revision", COMMIT), snapshot)
        self.assertEqual(self.lorikeet("home", "models", "path", "org/net"), snapshot)
        self.assertEqual(self.server.requests, [])

    def test_missing_files_are_known_to_both(self):
        del self.server.repositories["org/net"]["preprocessor_config.json"]
        self.lorikeet("home", "models", "get", "org/net")
        code = 'print(hub.try_to_load_from_cache("org/net", "preprocessor_config.json") is hub._CACHED_NO_EXIST)'
        self.assertEqual(self.client("home", code), "True")


if __name__ == "__main__":
    unittest.main(verbosity=2)
