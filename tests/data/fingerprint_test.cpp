#include "data/fingerprint.h"

#include <ATen/Functions.h>
#include <doctest/doctest.h>

#include <set>
#include <string>

#include "base/file.h"
#include "data/image_files.h"
#include "data/made_dataset.h"
#include "refusal.h"
#include "temporary_folder.h"

using namespace lorikeet;
namespace fs = std::filesystem;

TEST_CASE("the fingerprint of data depends on every image, its label and the classes") {
  const auto made = [](std::int64_t size, std::int64_t odd, std::int64_t label, std::int64_t classes = 3) {
    const auto data = std::make_shared<MadeDataset>(size, classes, [=](std::int64_t i) {
      return Sample{at::full({3, 4, 4}, i == odd ? 1 : 0, at::kByte), label};
    });
    return content_fingerprint({data, nullptr});
  };
  CHECK(made(9, 1, 0) == made(9, 1, 0));
  std::set<std::string> others{made(9, -1, 0), made(10, -1, 0), made(9, -1, 1), made(9, -1, 0, 4), made(1, -1, 0)};
  for (std::int64_t odd = 0; odd < 9; ++odd) others.insert(made(9, odd, 0));
  CHECK(others.size() == 14);
}

TEST_CASE("the fingerprint of files is over their content, not their paths") {
  const TemporaryFolder folder;
  const auto files = [&](const std::string& in, const std::string& second) {
    fs::create_directories(folder.path / in);
    write_file(folder.path / in / "1", "0123456789");
    write_file(folder.path / in / "2", second);
    return image_files({{folder.path / in / "1", 0}, {folder.path / in / "2", 1}}, {"a", "b"});
  };
  const auto data = files("x", "abcdefghij"), copy = files("y", "abcdefghij"), start = files("z", "Abcdefghij"),
             end = files("w", "abcdefghiJ"), longer = files("v", "abcdefghijk");
  const std::string known = content_fingerprint({data});
  CHECK(content_fingerprint({copy}) == known);
  for (const auto& other : {start, end, longer}) CHECK(content_fingerprint({other}) != known);
  CHECK(content_fingerprint({nullptr, data}) != content_fingerprint({data, nullptr}));

  // Past the limit, 5 bytes at the end of each.
  const std::string sampled = content_fingerprint({data}, 10);
  CHECK(content_fingerprint({copy}, 10) == sampled);
  CHECK(content_fingerprint({start}, 10) == sampled);
  for (const auto& other : {end, longer}) CHECK(content_fingerprint({other}, 10) != sampled);

  CHECK(size_fingerprint(copy) == size_fingerprint(data));
  CHECK(size_fingerprint(longer) != size_fingerprint(data));
  fs::remove(folder.path / "x/2");
  CHECK(refusal([&] { content_fingerprint({data}); }) == has("x/2: "));
}
