#include "data/manifest.h"

#include <ATen/Functions.h>
#include <doctest/doctest.h>

#include <string>

#include "base/file.h"
#include "image/encode.h"
#include "refusal.h"
#include "temporary_folder.h"

using namespace lorikeet;

TEST_CASE("a header whose columns are not known is refused with the names that are") {
  const TemporaryFolder folder;
  write_png(at::zeros({3, 2, 2}, at::kByte), folder.path / "1.png");
  const auto refused = [&](const std::string& content) {
    write_file(folder.path / "a.csv", content);
    return refusal([&] { open_manifest(folder.path / "a.csv", {}); });
  };
  for (const std::string header : {"photo,animal", "id,label", "img,Class", "photo,animal,split"}) {
    CAPTURE(header);
    const std::string row = header.ends_with("split") ? "\n1.png,cat,train\n" : "\n1.png,cat\n";
    CHECK(refused(header + row) == has("line 1: got " + header + ", which looks like a header"));
    CHECK(refused(header + row) == has("Those of the path: path, image, file, filename"));
  }
  CHECK(refused("photo,animal,width,height\n1.png,cat,2,2\n") == has("got 4 fields, expected path,label"));
  // A label may have a column's name.
  write_file(folder.path / "a.csv", "1.png,target\nx.png,cat\n");
  CHECK(open_manifest(folder.path / "a.csv", {.split = {}}).test->classes().back() == "target");
}

TEST_CASE("a .tsv is split at tabs only") {
  CHECK(parse_manifest("a.png\tdog, big\nb.png\tcat; small\n", "a.tsv")[0].label == "dog, big");
  CHECK(parse_manifest("a,1.png\tdog\n", "a.TSV")[0].path == "a,1.png");
  CHECK(refusal([] { parse_manifest("a.png,dog\n", "a.tsv"); }) == has("line 1: got 1 field"));
}

TEST_CASE("a split in JSON Lines is a name") {
  const auto refused = [](const std::string& split) {
    return refusal([&] { parse_manifest(R"({"path": "a.png", "label": 1, "split": )" + split + "}", "a.jsonl"); });
  };
  CHECK(refused("0") == has("line 1: split: got the number 0, expected train, val or test."));
  CHECK(refused("[\"train\"]") == has("split: got a list"));
  CHECK(refused("\"unknown\"") == has("got the split 'unknown'"));
  CHECK(parse_manifest(R"({"path": "a.png", "split": null})", "a.jsonl")[0].split.empty());
}
