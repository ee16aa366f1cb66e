#include <doctest/doctest.h>

#include <algorithm>
#include <fstream>
#include <numeric>

#include "base/file.h"
#include "base/json.h"
#include "base/random.h"
#include "base/sha256.h"
#include "base/text.h"
#include "lorikeet/error.h"
#include "temporary_folder.h"

using namespace lorikeet;

TEST_CASE("near misses are found and far names are not") {
  const std::vector<std::string> names{"epochs", "batch_size", "learning_rate"};
  CHECK(nearest("epoch", names) == std::vector<std::string>{"epochs"});
  CHECK(nearest("zzzzzz", names).empty());
  CHECK(did_you_mean("batchsize", names) == " Did you mean 'batch_size'?");
  CHECK(edit_distance("kitten", "sitting") == 3);
}

TEST_CASE("numbers read as people write them") {
  CHECK(with_commas(2714610) == "2,714,610");
  CHECK(with_commas(-1234) == "-1,234");
  CHECK(with_commas(999) == "999");
  CHECK(human_bytes(8274640) == "7.89 MiB");
  CHECK(clock(4000) == "1:06:40");
  CHECK(printable("a\nb") == "a\\x0ab");
}

TEST_CASE("a file is written whole or not at all") {
  const TemporaryFolder folder;
  const auto path = folder.path / "sub" / "file.txt";
  write_file(path, "first");
  {
    AtomicFile file(path);
    file.write("half of the sec");
  }  // not committed
  CHECK(read_file(path, 100) == "first");
  CHECK(std::distance(std::filesystem::directory_iterator(path.parent_path()), {}) == 1);
  CHECK_THROWS_AS(read_file(path, 3), Error);
  CHECK_THROWS_AS(read_file(folder.path, 3), Error);
}

TEST_CASE("a folder is replaced whole, and kept where filling the new one fails") {
  const TemporaryFolder folder;
  const auto target = folder.path / "adapter";
  replace_folder(target, [](const auto& in) { write_file(in / "a", "1"); });
  CHECK_THROWS(replace_folder(target, [](const auto& in) {
    write_file(in / "b", "2");
    throw Error("no");
  }));
  CHECK(std::filesystem::exists(target / "a"));
  CHECK_FALSE(std::filesystem::exists(target / "b"));
  replace_folder(target, [](const auto& in) { write_file(in / "b", "2"); });
  CHECK_FALSE(std::filesystem::exists(target / "a"));
  CHECK(std::filesystem::exists(target / "b"));
  CHECK(std::distance(std::filesystem::directory_iterator(folder.path), {}) == 1);
}

TEST_CASE("JSON is strict") {
  CHECK(parse_json(R"({"b":1,"a":2})", "x").dump() == R"({"b":1,"a":2})");
  CHECK_THROWS_WITH_AS(parse_json(R"({"a":1,"a":2})", "x"), doctest::Contains("twice"), Error);
  CHECK_THROWS_WITH_AS(parse_json("{} {}", "x"), doctest::Contains("broken JSON"), Error);
  CHECK_THROWS_WITH_AS(parse_json("\"\xff\"", "x"), doctest::Contains("broken JSON"), Error);
  CHECK_THROWS_WITH_AS(parse_json(std::string(10000, '['), "x"), doctest::Contains("nested"), Error);
}

TEST_CASE("SHA-256 of a file") {
  const TemporaryFolder folder;
  write_file(folder.path / "abc", "abc");
  CHECK(sha256_of_file(folder.path / "abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");  // FIPS 180-2, B.1
}

TEST_CASE("shuffling is a permutation that depends on the seed alone") {
  std::vector<int> items(1000);
  std::iota(items.begin(), items.end(), 0);
  auto a = items;
  auto b = items;
  auto c = items;
  Random(1).shuffle(a);
  Random(1).shuffle(b);
  Random(2).shuffle(c);
  CHECK(a == b);
  CHECK(a != c);
  CHECK(a != items);
  std::sort(a.begin(), a.end());
  CHECK(a == items);
}
