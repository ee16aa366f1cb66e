#include "data/web_dataset.h"

#include <ATen/Functions.h>
#include <doctest/doctest.h>

#include <array>
#include <cstdio>
#include <string>
#include <vector>

#include "base/file.h"
#include "data/datasets.h"
#include "image/encode.h"
#include "refusal.h"
#include "temporary_folder.h"

using namespace lorikeet;

namespace {

struct Shard {
  TemporaryFolder folder;
  std::string image;

  Shard() {
    write_png(at::zeros({3, 2, 2}, at::kByte), folder.path / "1.png");
    image = read_file(folder.path / "1.png", 1 << 20);
  }

  // A ustar header and the content, padded.
  static std::string member(const std::string& name, const std::string& content) {
    std::string header(512, '\0');
    header.replace(0, name.size(), name);
    std::array<char, 12> size{};
    std::snprintf(size.data(), size.size(), "%011zo", content.size());
    header.replace(124, 11, size.data());
    header[156] = '0';
    header.replace(257, 5, "ustar");
    header.replace(263, 2, "00");
    header.replace(148, 8, 8, ' ');
    unsigned sum = 0;
    for (const char c : header) sum += static_cast<unsigned char>(c);
    std::snprintf(size.data(), size.size(), "%06o", sum);
    header.replace(148, 7, std::string(size.data()) + '\0');
    return header + content + std::string((512 - content.size() % 512) % 512, '\0');
  }
  std::string sample(const std::string& key, const std::string& label) const {
    return member(key + ".png", image) + member(key + ".cls", label);
  }
  static std::string end() { return std::string(1024, '\0'); }

  Splits open(const std::string& bytes) const {
    write_file(folder.path / "a.tar", bytes);
    return open_shards({folder.path / "a.tar"}, {.split = {}}, "shards", folder.path);
  }
  std::string refused(const std::string& bytes) const {
    return refusal([&] { open(bytes); });
  }
};

}  // namespace

TEST_CASE("a sample of a shard has one file with each extension") {
  const Shard shard;
  const std::string twice = shard.sample("a", "0") + shard.sample("z", "0") + shard.sample("z", "1") + Shard::end();
  CHECK(shard.refused(twice) ==
        has("a.tar: got z.png and z.png in one sample, expected one file with each extension."));
  CHECK(shard.refused(shard.sample("a", "0") + Shard::member("a.CLS", "1") + Shard::end()) ==
        has("got a.cls and a.CLS in one sample"));
  CHECK(shard.open(shard.sample("a", "0") + shard.sample("b", "0") + shard.sample("a", "1") + Shard::end())
            .test->size() == 3);
}

TEST_CASE("no sample of a shard is lost silently") {
  const Shard shard;
  const std::string a = shard.sample("a", "0"), b = shard.sample("b", "1");
  const auto notes = [&](const std::string& bytes) { return shard.open(bytes).notes.size(); };
  CHECK(notes(a + b + Shard::end()) == 1);  // that it has no splits
  CHECK(shard.open(a + b).test->size() == 2);
  CHECK(shard.open(a + b).notes.front() == has("a.tar: has no end mark, so it may be truncated"));
  for (const std::size_t cut : {100, 512, 600})
    CHECK(shard.refused(a + b.substr(0, cut)) == has("a.tar: got an archive"));

  // Archives one after the other, as by cat, with GNU tar's padding.
  const Splits both = shard.open(a + Shard::end() + std::string(8192, '\0') + b + Shard::end());
  REQUIRE(both.test->size() == 2);
  CHECK(both.test->get(1).label == 1);
  CHECK(both.notes.size() == 1);

  std::string damaged = a + b + Shard::end();
  damaged[a.size()] ^= 1;
  CHECK(shard.refused(damaged) == has("Damaged tar archive"));
}

TEST_CASE("only folders below the data decide the split of a shard") {
  const Shard shard;
  const auto data = shard.folder.path / "test-run";
  const std::string bytes = shard.sample("a", "0") + shard.sample("b", "1") + Shard::end();
  for (const char* name : {"x/train/0.tar", "x/val/0.tar", "y/0.tar"}) {
    std::filesystem::create_directories((data / name).parent_path());
    write_file(data / name, bytes);
  }
  const auto open = [&](const std::string& name) { return open_dataset((data / name).string(), {}, {}); };
  CHECK(open("x").train->size() == 2);
  CHECK(open("x").validation->size() == 2);
  CHECK(open("x/{train,val}/0.tar").validation->size() == 2);
  for (const char* whole : {"y", "y/0.tar", "y/{0..0}.tar", "x/val/0.tar", "x/train"}) {
    CHECK(open(whole).whole != nullptr);
    CHECK(open(whole).notes.front() == has("has no splits"));
  }
}

TEST_CASE("a shard's images have the extensions of those in folders") {
  const Shard shard;
  for (const char* extension : {".png", ".JPE", ".jfif", ".tiff"})
    CHECK(shard.open(Shard::member(std::string("a") + extension, shard.image) + Shard::member("a.cls", "0"))
              .test->size() == 1);
  CHECK(shard.refused(Shard::member("a.heic", shard.image) + Shard::member("a.cls", "0")) ==
        has("ignored 1 sample without an image"));
  CHECK(shard.refused(Shard::member("x/cat/1.png", shard.image) + Shard::end()) ==
        has("If it is an archive of a folder, unpack it."));
}

TEST_CASE("numbers that cannot be indices of classes are refused") {
  const Shard shard;
  CHECK(shard.refused(shard.sample("a", "0") + shard.sample("b", "999999") + Shard::end()) ==
        has("got the label 999999 in 2 samples, expected indices of classes below 1200."));
  CHECK(shard.open(shard.sample("a", "999") + Shard::end()).test->classes().size() == 1000);
}
