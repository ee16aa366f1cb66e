#include "fetch/package.h"

#include <doctest/doctest.h>

#include <fstream>
#include <string>

#include "base/file.h"
#include "fetch/child_process.h"
#include "fetch/environment.h"
#include "lorikeet/error.h"
#include "refusal.h"
#include "temporary_folder.h"

using namespace lorikeet;
namespace fs = std::filesystem;

namespace {

// A machine whose only clients are the scripts given here (and what those need themselves).
struct Machine {
  TemporaryFolder folder;
  fs::path bin = folder.path / "bin";
  fs::path packages = folder.path / "home" / "packages";
  ScopedEnvironment path{"PATH", bin.string()};

  Machine() { fs::create_directories(bin); }

  void client(const std::string& name, const std::string& script) const {
    std::ofstream(bin / name) << "#!/bin/sh\nPATH=/usr/bin:/bin\n" << script << "\n";
    fs::permissions(bin / name, fs::perms::owner_all);
  }
  std::size_t left() const {
    if (!fs::exists(packages)) return 0;
    return static_cast<std::size_t>(std::distance(fs::directory_iterator(packages), fs::directory_iterator()));
  }
};

std::string refusal(PackageRegistry registry, const std::string& name, const std::string& version,
                    const fs::path& folder) {
  return ::refusal<Error>([&] { fetch_package(registry, name, version, folder); });
}

}  // namespace

TEST_CASE("packages are fetched by the registries' clients") {
  const Machine machine;
  machine.client("python3", R"(printf '%s\n' "$@" > "${0%/*}/seen"
while [ "$1" != -d ]; do shift; done
echo wheel > "$2/a-1.0-py3-none-any.whl")");
  machine.client("npm", R"(printf '%s\n' "$@" > "${0%/*}/seen"
while [ "$1" != --pack-destination ]; do shift; done
echo tgz > "$2/a-1.0.tgz"; echo a-1.0.tgz; echo notice >&2)");
  machine.client("apt-get", R"(printf '%s\n' "$@" > "${0%/*}/seen"
echo deb > ./a_1.0_all.deb; mkdir partial; ln -s /etc/passwd link)");
  const auto seen = [&] { return read_file(machine.bin / "seen", 4096); };

  const fs::path wheel = fetch_package(PackageRegistry::kPypi, "a", "1.0", machine.packages);
  CHECK(wheel == machine.packages / "a-1.0-py3-none-any.whl");
  CHECK(read_file(wheel, 10) == "wheel\n");
  CHECK(seen() == has("-m\npip\ndownload\n--no-deps\n"));
  CHECK(seen() == has("\na==1.0\n"));
  CHECK(fetch_package(PackageRegistry::kPypi, "a", "1.0", machine.packages) == wheel);  // again, in its place

  CHECK(read_file(fetch_package(PackageRegistry::kNpm, "@s/a", "1.0", machine.packages), 10) == "tgz\n");
  CHECK(seen() == has("pack\n@s/a@1.0\n"));
  CHECK(read_file(fetch_package(PackageRegistry::kDebian, "a", "", machine.packages), 10) == "deb\n");
  CHECK(seen() == "download\na\n");
  CHECK(machine.left() == 3);
}

TEST_CASE("a client that fails is quoted") {
  const Machine machine;
  machine.client("python3", "echo looking; printf 'ERROR: no \\033[31m such thing.\\n\\n' >&2; exit 3");
  CHECK(refusal(PackageRegistry::kPypi, "a", "1.0", machine.packages) ==
        "PyPI package a: python3 failed with status 3: ERROR: no \\x1b[31m such thing. Check the network and the "
        "client's settings.");
  machine.client(
      "npm", "echo 'npm error 404 Not found'; echo 'npm error A complete log of this run can be found in: /x'; exit 1");
  CHECK(refusal(PackageRegistry::kNpm, "a", "", machine.packages) == has("status 1: npm error 404 Not found. "));
  machine.client("apt-get", "kill -9 $$");
  CHECK(refusal(PackageRegistry::kDebian, "a", "", machine.packages) ==
        has("status 137: nothing. Run 'apt-get update'"));
  CHECK(machine.left() == 0);
}

TEST_CASE("a client that is missing or gives no file is an Error") {
  const Machine machine;
  CHECK(refusal(PackageRegistry::kNpm, "a", "1", machine.packages) == has("npm package a: got no npm on this machine"));
  machine.client("npm", "echo done");
  CHECK(refusal(PackageRegistry::kNpm, "a", "1", machine.packages) ==
        has("got 0 files from npm, expected 1; its last line: done."));
  CHECK(machine.left() == 0);
}

TEST_CASE("names and versions that a client could misread are refused") {
  const Machine machine;
  for (const char* program : {"python3", "npm", "apt-get"}) machine.client(program, "touch \"${0%/*}/ran\"");
  const std::string bad_names[] = {"",    "-a", "--index-url=x", "a b",   "a;b",    "a\nb", "../a", "./a", "/a",
                                   "a/b", "@a", "@a/",           "@-a/b", "@a/b/c", "a@b",  "é"};
  for (const auto& name : bad_names) {
    for (const auto registry : {PackageRegistry::kPypi, PackageRegistry::kNpm, PackageRegistry::kDebian}) {
      CHECK_THROWS_AS(fetch_package(registry, name, "1", machine.packages), UsageError);
    }
  }
  CHECK_THROWS_AS(fetch_package(PackageRegistry::kPypi, "@s/a", "1", machine.packages), UsageError);
  for (const std::string version : {"-1", "../1", "1 2", "1/2", "$(x)"}) {
    CHECK_THROWS_AS(fetch_package(PackageRegistry::kNpm, "a", version, machine.packages), UsageError);
  }
  CHECK_FALSE(fs::exists(machine.bin / "ran"));
}

TEST_CASE("a child process is limited in time and output") {
  const Machine machine;
  machine.client("slow", "echo started; sleep 3 & sleep 3");
  const ChildResult slow =
      run_child({.arguments = {"slow"}, .working_folder = "/", .timeout = std::chrono::milliseconds(300)});
  CHECK(slow.timed_out);
  CHECK(slow.output == "started\n");

  machine.client("leaves", "sleep 3 & echo gone; exit 4");
  const ChildResult leaves =
      run_child({.arguments = {"leaves"}, .working_folder = "/", .timeout = std::chrono::seconds(60)});
  CHECK_FALSE(leaves.timed_out);
  CHECK(leaves.status == 4);
  CHECK(leaves.output == "gone\n");

  machine.client("talks",
                 "i=0; while [ $i -lt 3000 ]; do echo 0123456789012345678901234567890123456789012345678901234567890; "
                 "i=$((i+1)); done; "
                 "pwd; cat; echo end");
  const ChildResult talks = run_child({.arguments = {"talks"}, .working_folder = "/usr"});
  CHECK(talks.output.size() == 1 << 16);
  CHECK(talks.output.ends_with("0\n/usr\nend\n"));

  CHECK(run_child({.arguments = {"no-such-program"}, .working_folder = "/"}).missing);
}
