#include <doctest/doctest.h>
#include <sys/stat.h>

#include <algorithm>
#include <fstream>
#include <numeric>
#include <span>

#include "base/file.h"
#include "base/json.h"
#include "base/random.h"
#include "base/sha256.h"
#include "base/text.h"
#include "lorikeet/error.h"
#include "refusal.h"
#include "temporary_folder.h"

using namespace lorikeet;

TEST_CASE("near misses are found and far names are not") {
  const std::vector<std::string> names{"epochs", "batch_size", "learning_rate"};
  CHECK(nearest("epoch", names) == std::vector<std::string>{"epochs"});
  CHECK(nearest("zzzzzz", names).empty());
  CHECK(did_you_mean("batchsize", names) == " Did you mean 'batch_size'?");
  CHECK(did_you_mean("anything", {}).empty());
  CHECK(edit_distance("kitten", "sitting") == 3);
}

TEST_CASE("numbers read as people write them") {
  CHECK(with_commas(2714610) == "2,714,610");
  CHECK(with_commas(-1234) == "-1,234");
  CHECK(with_commas(999) == "999");
  CHECK(counted(1, "class") == "1 class");
  CHECK(counted(0, "class") == "0 classes");
  CHECK(counted(2400, "training image") == "2,400 training images");
  CHECK(counted(2, "entry") == "2 entries");
  CHECK(counted(2, "key") == "2 keys");
  CHECK(counted(2, "batch") == "2 batches");
  CHECK(counted(2, "epoch") == "2 epochs");
  CHECK(counted(~std::uint64_t{0}, "byte") == "18,446,744,073,709,551,615 bytes");
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

TEST_CASE("a folder is named with a slash at its end, by a link, or with a name of the greatest length") {
  const TemporaryFolder folder;
  const auto fill = [](const char* name) {
    return [=](const std::filesystem::path& in) { write_file(in / name, "1"); };
  };
  for (const char* name : {"a", "b"}) {  // new, then replaced
    replace_folder(folder.path / "slash/", fill(name));
    CHECK(std::filesystem::exists(folder.path / "slash" / name));
    CHECK(std::distance(std::filesystem::directory_iterator(folder.path), {}) == 1);
  }
  std::filesystem::create_directory_symlink("slash", folder.path / "link");
  replace_folder(folder.path / "link", fill("c"));
  CHECK(std::filesystem::is_symlink(folder.path / "link"));
  CHECK(std::filesystem::exists(folder.path / "slash" / "c"));
  const std::string longest(255, 'x');
  replace_folder(folder.path / longest, fill("a"));
  CHECK(std::filesystem::exists(folder.path / longest / "a"));
  write_file(folder.path / "file", "1");
  CHECK(refusal([&] { replace_folder(folder.path / "file", fill("a")); }) ==
        has("/file: got a file, expected a folder"));
  CHECK(read_file(folder.path / "file", 10) == "1");
  CHECK(refusal([&] { replace_folder("/", fill("a")); }) == has("/: got no folder name"));
}

TEST_CASE("permissions are those that the umask leaves, of files and of folders") {
  const TemporaryFolder folder;
  const mode_t before = ::umask(027);
  write_file(folder.path / "file", "1");
  replace_folder(folder.path / "folder", [](const auto& in) { write_file(in / "file", "1"); });
  ::umask(before);
  const auto mode = [&](const char* name) {
    return static_cast<unsigned>(std::filesystem::status(folder.path / name).permissions());
  };
  CHECK(mode("file") == 0640);
  CHECK(mode("folder") == 0750);
  CHECK(mode("folder/file") == 0640);
}

TEST_CASE("bytes in memory are read like a file") {
  const std::string content = "0123456789";
  const InputFile file("name", std::as_bytes(std::span(content)));
  CHECK(file.size() == 10);
  CHECK(file.path() == "name");
  std::string part(4, ' ');
  file.read(3, std::as_writable_bytes(std::span(part)));
  CHECK(part == "3456");
  CHECK_THROWS_WITH_AS(file.read(8, std::as_writable_bytes(std::span(part))),
                       "name: got its end at byte 10, expected 2 bytes more. The file is truncated.", Error);
  CHECK_THROWS_AS(file.read(UINT64_MAX, std::as_writable_bytes(std::span(part))), Error);
  file.read(10, {});
}

TEST_CASE("a named pipe is refused, without waiting for a writer") {
  const TemporaryFolder folder;
  const auto pipe = folder.path / "pipe";
  REQUIRE(::mkfifo(pipe.c_str(), 0600) == 0);
  CHECK_THROWS_WITH_AS(InputFile{pipe}, doctest::Contains("got something that is not a regular file"), Error);
  CHECK_THROWS_WITH_AS(write_file(pipe, "1"), doctest::Contains("got a device or a pipe"), Error);
  CHECK(std::filesystem::is_fifo(pipe));
}

TEST_CASE("links that lead out of a folder are refused, others are followed") {
  const TemporaryFolder folder;
  const auto inside = folder.path / "adapter";
  write_file(folder.path / "secret", "1");
  write_file(inside / "real", "2");
  const auto link = [&](const char* name, const std::filesystem::path& target) {
    std::filesystem::create_symlink(target, inside / name);
    return name;
  };
  const auto refused = [&](const char* name, const char* because) {
    CHECK_THROWS_WITH_AS(path_inside(inside, name), doctest::Contains(because), Error);
    CHECK_THROWS_WITH_AS(path_inside(inside, name), doctest::Contains((inside / name).c_str()), Error);
  };
  CHECK(path_inside(inside, "real") == inside / "real");
  CHECK(path_inside(inside, "absent") == inside / "absent");
  CHECK(path_inside(inside, link("near", "real")) == inside / "near");
  CHECK(path_inside(inside, link("round", "../adapter/real")) == inside / "round");
  refused(link("relative", "../secret"), "outside its folder");
  refused(link("absolute", "/etc/passwd"), "outside its folder, /etc/passwd");
  refused(link("second", "relative"), "outside its folder");
  refused(link("sibling", folder.path / "adapter2"), "broken link");
  write_file(folder.path / "adapter2" / "x", "3");  // whose name begins like the folder's
  std::filesystem::remove(inside / "sibling");
  refused(link("sibling", folder.path / "adapter2" / "x"), "outside its folder");
  refused(link("loop", "loop"), "broken link");
  std::filesystem::create_directory_symlink(inside, folder.path / "link");  // the folder itself may be one
  CHECK(path_inside(folder.path / "link", "near") == folder.path / "link" / "near");
}

TEST_CASE("a snapshot in the Hub's cache may link to the blobs of that cache, and nowhere else") {
  const TemporaryFolder folder;
  const auto cache = folder.path / "models--somebody--something";
  const auto snapshot = cache / "snapshots" / "0123abc";
  write_file(cache / "blobs" / "hash", "1");
  write_file(cache / "refs" / "main", "2");
  write_file(folder.path / "other" / "blobs" / "hash", "3");
  std::filesystem::create_directories(snapshot / "adapter");
  const auto link = [&](const std::string& name, const std::filesystem::path& target) {
    std::filesystem::create_symlink(target, snapshot / name);
    return name;
  };
  const auto refused = [&](const std::string& name, const char* because) {
    CHECK_THROWS_WITH_AS(path_inside(snapshot, name), doctest::Contains(because), Error);
  };
  CHECK(path_inside(snapshot, link("a", "../../blobs/hash")) == snapshot / "a");
  link("adapter/a", "../../../blobs/hash");
  CHECK(path_inside(snapshot / "adapter", "a") == snapshot / "adapter" / "a");
  std::filesystem::create_directory_symlink(snapshot, folder.path / "link");  // the folder itself may be one
  CHECK(path_inside(folder.path / "link", "a") == folder.path / "link" / "a");

  refused(link("b", "../../blobs/absent"), "broken link");
  refused(link("c", "../../refs/main"), "outside its folder");
  refused(link("d", "../../../other/blobs/hash"), "outside its folder");
  refused(link("e", "/etc/passwd"), "outside its folder");
  std::filesystem::create_symlink("/etc/passwd", cache / "blobs" / "passwd");
  refused(link("f", "../../blobs/passwd"), "outside its folder, /etc/passwd");
  // A folder that is no snapshot has no blobs.
  std::filesystem::create_directories(cache / "adapter");
  std::filesystem::create_symlink("../blobs/hash", cache / "adapter" / "a");
  CHECK_THROWS_WITH_AS(path_inside(cache / "adapter", "a"), doctest::Contains("outside its folder"), Error);
}

TEST_CASE("text that is not UTF-8 is told, and written as replacement characters") {
  CHECK(is_utf8("żółć 🦜"));
  CHECK(is_utf8(""));
  for (const char* text : {"caf\xe9", "\xc0\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xe2\x82"}) {
    CHECK_FALSE(is_utf8(text));
    CHECK(is_utf8(to_utf8(text)));
  }
  CHECK(to_utf8("caf\xe9 ż") == "caf\xef\xbf\xbd ż");
  CHECK(json_text({{"path", "caf\xe9"}}) == "{\"path\":\"caf\xef\xbf\xbd\"}");
  CHECK(json_text({{"n", 1}}, 2) == "{\n  \"n\": 1\n}");
}

TEST_CASE("JSON is strict") {
  CHECK(parse_json(R"({"b":1,"a":2})", "x").dump() == R"({"b":1,"a":2})");
  CHECK_THROWS_WITH_AS(parse_json(R"({"a":1,"a":2})", "x"), doctest::Contains("twice"), Error);
  CHECK_THROWS_WITH_AS(parse_json("{} {}", "x"), doctest::Contains("broken JSON"), Error);
  CHECK_THROWS_WITH_AS(parse_json("\"\xff\"", "x"), doctest::Contains("broken JSON"), Error);
  CHECK_THROWS_WITH_AS(parse_json(std::string(10000, '['), "x"), doctest::Contains("nested"), Error);
  CHECK_THROWS_WITH_AS(parse_json(R"([{"a":{"b":1,"c":[{"b":1,"b":2}]}}])", "x"), doctest::Contains("'b' twice"),
                       Error);
  CHECK_THROWS_WITH_AS(parse_json("[1e999]", "x"), doctest::Contains("broken JSON"), Error);
  CHECK_THROWS_WITH_AS(parse_json("", "x"), doctest::Contains("broken JSON"), Error);
  CHECK(parse_json(R"([{"b":[{"a":[]},1],"a":"x"},null,true,-1,1.5])", "x").dump() ==
        R"([{"b":[{"a":[]},1],"a":"x"},null,true,-1,1.5])");
  CHECK(parse_json("7", "x") == 7);
  const std::string deepest = std::string(32, '[') + std::string(32, ']');
  CHECK(parse_json(deepest, "x").dump() == deepest);
  CHECK_THROWS_WITH_AS(parse_json("[" + deepest + "]", "x"), doctest::Contains("deeper than 32"), Error);
}

TEST_CASE("huge JSON is refused by its number of values, and many keys take little time") {
  std::string values = "[0";
  for (std::size_t i = 0; i < kMaxJsonValues; ++i) values += ",0";
  CHECK_THROWS_WITH_AS(parse_json(values + "]", "x"), "x: got JSON of more than 1000000 values, expected fewer.",
                       Error);
  values.resize(2 * (kMaxJsonValues - 1));
  CHECK(parse_json(values + "]", "x").size() == kMaxJsonValues - 1);

  std::string keys = "{";
  for (int i = 0; i < 400'000; ++i)
    keys += (i > 0 ? ",\"" : "\"") + std::to_string(i) + "\":0";  // minutes, were each sought among all before
  CHECK(parse_json(keys + "}", "x").size() == 400'000);
}

TEST_CASE("SHA-256 of a file") {
  const TemporaryFolder folder;
  write_file(folder.path / "abc", "abc");
  CHECK(sha256_of_file(folder.path / "abc") ==
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");  // FIPS 180-2, B.1
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

TEST_CASE("the first of many are named, and how many others there are") {
  const std::vector<std::string> names{"a", "b", "c"};
  CHECK(join_first({}, 2) == "");
  CHECK(join_first(names, 3) == "a, b, c");
  CHECK(join_first(names, 2) == "a, b and 1 more");
}

TEST_CASE("integers and blocks are read from text") {
  CHECK(to_integer("-12") == -12);
  CHECK(to_integer("9223372036854775807") == INT64_MAX);
  for (const char* text : {"", " 1", "1 ", "+1", "1.0", "9223372036854775808", "x"}) CHECK_FALSE(to_integer(text));
  CHECK(block_of("layer4.1.conv2") == "layer4");
  CHECK(block_of("blocks.11.attn.qkv") == "blocks.11");
  CHECK(block_of("blocks.0") == "blocks.0");
  CHECK(block_of("patch_embed.proj").empty());
  CHECK(block_of("").empty());
}
