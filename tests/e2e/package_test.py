"""The library as other projects use it: installed and found by find_package, and as a subdirectory.

LORIKEET_BUILD is the build folder, in which all targets are built. As a subdirectory, a sample of the library is
compiled, and with LORIKEET_LONG=1 all of it, for a program that uses it.
"""
import os
import re
import shutil
import subprocess
import unittest
from pathlib import Path

from command import ROOT, CommandTest, environment, main

BUILD = Path(os.environ.get("LORIKEET_BUILD", str(ROOT / "build")))
LONG = os.environ.get("LORIKEET_LONG") == "1"
CONSUMER = ROOT / "tests/e2e/package"
HEADERS = sorted(path.name for path in (ROOT / "include/lorikeet").glob("*.h"))


def cached(variable):
    """A variable of the build's cache."""
    found = re.search(rf"^{variable}:\w+=(.*)$", (BUILD / "CMakeCache.txt").read_text(), re.MULTILINE)
    return found[1] if found else ""


def checked(*command, **options):
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, **options)
    if done.returncode != 0:
        raise AssertionError(f"{' '.join(map(str, command))}: {done.returncode}: {done.stdout}{done.stderr}")
    return done.stdout


def configure(build, *definitions):
    return checked(
        "cmake",
        "-S",
        CONSUMER,
        "-B",
        build,
        "-G",
        "Ninja",
        f"-DCMAKE_CXX_COMPILER={cached('CMAKE_CXX_COMPILER')}",
        *definitions,
    )


class Package(CommandTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        if cached("LORIKEET_SANITIZE"):
            raise unittest.SkipTest("a program that links a sanitized library must be sanitized itself")
        cls.prefix = cls.shared / "installed"
        checked("cmake", "--install", BUILD, "--prefix", cls.prefix)

    def assert_consumer_works(self, program):
        image = self.digits(1)[0]
        done = subprocess.run([program, "efficientnet_lite0", image], env=environment(), capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertRegex(
            done.stdout, r"\Alorikeet \d+\.\d+\.\d+, libtorch \d.*\nrefused: .*resnet5O.*\nindex \d+ of 1000\n\Z"
        )
        index = int(re.search(r"index (\d+)", done.stdout)[1])
        self.assertEqual(self.json("predict", "efficientnet_lite0", image)[0]["predictions"][0]["index"], index)

    def test_what_is_installed(self):
        libraries = next(self.prefix.glob("lib*"))
        self.assertTrue(next(self.prefix.glob("lib*/**/liblorikeet.so")).resolve().is_file(), libraries)
        self.assertEqual(sorted(p.name for p in (self.prefix / "include/lorikeet").iterdir()), HEADERS)
        for name in ("mnist_fast.yaml", "article/case2.yaml"):
            self.assertEqual(
                (self.prefix / "share/lorikeet/recipes" / name).read_bytes(), (ROOT / "recipes" / name).read_bytes()
            )
        self.assertTrue((self.prefix / "share/doc/lorikeet/LICENSE").is_file())
        self.assertEqual(checked(self.prefix / "bin/lorikeet", "--version"), self.lorikeet("--version"))

    def test_headers_stand_alone(self):
        """With the standard library only, whatever is included first."""
        text = "".join(f"#include <lorikeet/{name}>\n" for name in reversed(HEADERS))
        for source in [text] + [f"#include <lorikeet/{name}>\n" for name in HEADERS]:
            with self.subTest(source.splitlines()[0]):
                checked(
                    cached("CMAKE_CXX_COMPILER"),
                    "-std=c++20",
                    "-Wall",
                    "-Wextra",
                    "-Wpedantic",
                    "-Werror",
                    "-fsyntax-only",
                    "-I",
                    self.prefix / "include",
                    "-x",
                    "c++",
                    "-",
                    input=source,
                )

    def test_only_the_public_interface_is_exported(self):
        public = " ".join((ROOT / "include/lorikeet" / name).read_text() for name in HEADERS)
        library = next(self.prefix.glob("lib*/**/liblorikeet.so"))
        exported = [line.split(" ", 2)[2] for line in checked("nm", "-D", "--defined-only", "-C", library).splitlines()]
        ours = [name for name in exported if re.match(r"(?:(?:vtable|typeinfo|typeinfo name) for )?lorikeet::", name)]
        self.assertIn("lorikeet::version()", ours)
        self.assertIn("typeinfo for lorikeet::Error", ours)
        for name in ours:
            first = re.search(r"lorikeet::(\w+)", name)[1]
            self.assertRegex(public, rf"\b{first}\b", f"{name} is exported")

    def test_find_package(self):
        build = self.folder / "build"
        # Where libtorch and the rest lie need not be known.
        configure(build, f"-DCMAKE_PREFIX_PATH={self.prefix}")
        checked("cmake", "--build", build)
        self.assert_consumer_works(build / "consumer")

    def test_another_version_is_refused(self):
        source = self.folder / "source"
        shutil.copytree(CONSUMER, source)
        lists = source / "CMakeLists.txt"
        lists.write_text(lists.read_text().replace("Lorikeet 0.1 ", "Lorikeet 0.2 "))
        done = subprocess.run(
            ["cmake", "-S", source, "-B", self.folder / "build", "-G", "Ninja", f"-DCMAKE_PREFIX_PATH={self.prefix}"],
            capture_output=True,
            text=True,
        )
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("0.2", done.stderr)

    def test_subdirectory(self):
        build = BUILD / "package-test"  # kept, so that only what changed is compiled again
        log = configure(
            build,
            f"-DLORIKEET_SOURCE={ROOT}",
            f"-DTorch_DIR={cached('Torch_DIR')}",
            "-DCMAKE_UNITY_BUILD=ON",
            f"-DCMAKE_CXX_COMPILER_LAUNCHER={cached('CCACHE')}".replace("CCACHE-NOTFOUND", ""),
        )
        for variable in (
            "CMAKE_RUNTIME_OUTPUT_DIRECTORY",
            "CMAKE_CXX_VISIBILITY_PRESET",
            "CMAKE_BUILD_TYPE",
            "COMPILE_OPTIONS",
        ):
            self.assertIn(f"consumer: {variable}=''", log)
        checked(
            "cmake",
            "--build",
            build,
            "--target",
            "consumer" if LONG else "lorikeet_base",
            env=environment(CCACHE_SLOPPINESS="pch_defines,time_macros"),
        )
        if LONG:
            self.assert_consumer_works(build / "consumer")
        targets = checked("cmake", "--build", build, "--target", "help")
        for name in ("test_base", "adapter_set", "doctor", "unit_tests"):
            self.assertNotRegex(targets, rf"\b{name}:", "only the library is built")


if __name__ == "__main__":
    main()
