#include "data/dataset.h"

#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>
#include <doctest/doctest.h>

#include <array>
#include <cmath>
#include <memory>
#include <set>
#include <stdexcept>
#include <thread>

#include "base/error.h"
#include "base/file.h"
#include "data/image_folder.h"
#include "data/made_dataset.h"
#include "image/encode.h"
#include "image/transform.h"
#include "refusal.h"
#include "temporary_folder.h"

using namespace lorikeet;

namespace {

// Ten images of 12 × 16, image i full of ramps that begin at i, label i % 4.
std::shared_ptr<const Dataset> ten() {
  return std::make_shared<MadeDataset>(10, 4, [](std::int64_t i) {
    return Sample{
        at::arange(i, i + 192).remainder(251).to(at::kByte).reshape({1, 12, 16}).expand({3, 12, 16}).contiguous(),
        i % 4};
  });
}

}  // namespace

TEST_CASE("a subset gives the images asked for, in the order asked for") {
  const auto all = ten();
  const auto some = subset(all, {7, 2, 2});
  CHECK(some->size() == 3);
  CHECK(some->classes() == all->classes());
  CHECK(some->get(0).label == 3);
  CHECK(at::equal(some->get(0).image, all->get(7).image));
  CHECK(at::equal(some->get(2).image, all->get(2).image));
  CHECK(some->describe(0) == "made/7");
  CHECK(subset(some, {1})->describe(0) == "made/2");
  CHECK(subset(all, {})->size() == 0);
}

TEST_CASE("a limit takes each class in its proportion, or all images for 0") {
  CHECK(stratified(ten(), 0)->size() == 10);
  CHECK(stratified(ten(), 10)->size() == 10);
  CHECK(stratified(ten(), 1'000'000)->size() == 10);
  // Sorted by class as a folder is: 60, 30 and 10 images.
  const auto sorted = std::make_shared<MadeDataset>(100, 3, [](std::int64_t i) {
    return Sample{at::full({3, 1, 1}, i, at::kByte), i < 60 ? 0 : i < 90 ? 1 : 2};
  });
  const auto pixel = [](const auto& dataset, std::int64_t i) {
    return dataset->get(i).image[0][0][0].template item<int>();
  };
  std::set<std::string> before;
  for (const std::int64_t limit : {3, 10, 20, 50, 99}) {
    CAPTURE(limit);
    const auto some = stratified(sorted, limit);
    CHECK(some->size() == limit);
    std::array<std::int64_t, 3> counts{};
    std::set<std::string> names;
    for (std::int64_t i = 0; i < limit; ++i) {
      ++counts[static_cast<std::size_t>(some->label(i))];
      names.insert(some->describe(i));
      if (i > 0) CHECK(pixel(some, i - 1) < pixel(some, i));
      CHECK(some->describe(i) == stratified(sorted, limit)->describe(i));
    }
    for (std::size_t c = 0; c < 3; ++c)
      CHECK(std::abs(static_cast<double>(counts[c] * 100) - static_cast<double>(std::array{60, 30, 10}[c] * limit)) <=
            100);
    CHECK(std::includes(names.begin(), names.end(), before.begin(), before.end()));
    before = names;
  }
}

TEST_CASE("images that cannot be read are left out") {
  const TemporaryFolder folder;
  std::filesystem::create_directories(folder.path / "train/a");
  for (int i = 0; i < 9; ++i) write_png(at::full({3, 40, 40}, i, at::kByte), folder.path / cat("train/a/", i, ".png"));
  const auto open = [&] { return read_image_folder(folder.path, "train", {}).images; };
  const auto all = open();
  CHECK(readable_images(all)->images == all);
  CHECK(readable_images(all)->problems.empty());
  std::string damaged = read_file(folder.path / "train/a/4.png", 1 << 20);  // its start and end are intact
  damaged[damaged.size() / 2] ^= 1;
  write_file(folder.path / "train/a/4.png", damaged);
  write_file(folder.path / "train/a/7.png", "");
  const ReadableImages found = readable_images(open()).value();
  CHECK(found.images->size() == 7);
  CHECK(found.images->get(4).image[0][0][0].item<int>() == 5);
  REQUIRE(found.problems.size() == 2);
  CHECK(found.problems[0] == has("a/4.png: got a PNG that is corrupt"));
  CHECK(found.problems[1] == has("a/7.png: got an empty file"));

  const auto caller = std::this_thread::get_id();
  std::int64_t calls = 0;
  CHECK(readable_images(open(), [&](std::int64_t done, std::int64_t total) {
    CHECK(std::this_thread::get_id() == caller);
    CHECK(done <= total);
    CHECK(total == 9);
    return ++calls > 0;
  }));
  CHECK(calls > 0);
  CHECK_FALSE(readable_images(open(), [](std::int64_t, std::int64_t) { return false; }));
  CHECK_THROWS_AS(readable_images(open(), [](std::int64_t, std::int64_t) -> bool { throw std::runtime_error("stop"); }),
                  std::runtime_error);
}

TEST_CASE("image files without an end are named in a note") {
  const TemporaryFolder folder;
  std::filesystem::create_directories(folder.path / "train/a");
  for (int i = 0; i < 3; ++i) write_png(at::full({3, 40, 40}, i, at::kByte), folder.path / cat("train/a/", i, ".png"));
  const auto open = [&] { return read_image_folder(folder.path, "train", {}).images; };
  CHECK(note_of_missing_ends({open(), nullptr}).empty());
  const std::string whole = read_file(folder.path / "train/a/0.png", 1 << 20);
  write_file(folder.path / "train/a/0.png", whole + "appended");
  CHECK(note_of_missing_ends({open()}).empty());
  write_file(folder.path / "train/a/1.png", whole.substr(0, whole.size() - 12));
  CHECK(check_images({open()}) == note_of_missing_ends({open()}));
  const std::string path = (folder.path / "train/a/1.png").string();
  for (const auto& dataset : {open(), subset(open(), {1, 2}), prepared(open(), {})})
    CHECK(note_of_missing_ends({dataset}) ==
          "1 image file has no end mark. All pixels are there, but the file may have been cut: " + path);
  CHECK(note_of_missing_ends({subset(open(), {0, 2})}).empty());
  // A BMP of one pixel, whose row lacks its padding.
  const std::string bmp = std::string("BM\x3a\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0\x01\0\0\0\x01\0\0\0\x01\0\x18\0", 30) +
                          std::string(24, '\0') + std::string("\x01\x02\x03\0", 4);
  write_file(folder.path / "train/a/1.png", bmp);
  CHECK_NOTHROW(check_images({open()}));
  CHECK(note_of_missing_ends({open()}).empty());
  write_file(folder.path / "train/a/1.png", bmp.substr(0, 57));
  CHECK_NOTHROW(check_images({open()}));
  CHECK(note_of_missing_ends({open()}) == has("1 image file has no end mark"));
}

TEST_CASE("prepared images are resized and cropped, and keep label and source") {
  const auto all = ten();
  const Preprocessing eval{.resize = 8, .crop = 6};
  const auto ready = prepared(subset(all, {5, 6}), eval);
  CHECK(ready->size() == 2);
  CHECK(ready->classes() == all->classes());
  CHECK(ready->describe(1) == "made/6");
  const Sample sample = ready->get(1);
  CHECK(sample.label == 2);
  CHECK(sample.image.sizes() == at::IntArrayRef({3, 6, 6}));
  CHECK(at::equal(sample.image, prepare(all->get(6).image, eval)));
  CHECK(at::equal(prepared(all, {})->get(4).image, all->get(4).image));  // 0 and 0: as they are
}

TEST_CASE("augmented images depend on seed, view and index alone") {
  const Preprocessing eval{.resize = 8, .crop = 6};
  const Augmentation augmentation{.resized_crop = {0.3, 1}, .horizontal_flip = 0.5};
  const auto image = [&](std::uint64_t seed, std::int64_t view, std::int64_t index) {
    const auto some = augmented(ten(), eval, augmentation, seed, view);
    CHECK(some->get(3).label == 3);
    return some->get(index).image;
  };
  const at::Tensor one = image(1, 2, 3);
  CHECK(one.sizes() == at::IntArrayRef({3, 6, 6}));
  CHECK(at::equal(one, image(1, 2, 3)));
  CHECK_FALSE(at::equal(one, image(2, 2, 3)));
  CHECK_FALSE(at::equal(one, image(1, 1, 3)));
  // The same draws for each image would be seen in the ramps: image 4 is image 3, one brighter.
  CHECK_FALSE(at::equal(one + 1, image(1, 2, 4)));
  CHECK(at::equal(augmented(ten(), eval, {}, 0, 0)->get(4).image, prepared(ten(), eval)->get(4).image));
  // The other transforms.
  for (const Augmentation& other :
       {Augmentation{.rand_augment = {2, 9}}, Augmentation{.trivial_augment_wide = true},
        Augmentation{.color_jitter = {0.4, 0.4, 0.4, 0.1}}, Augmentation{.random_erasing = 1}}) {
    const Preprocessing larger{.resize = 32, .crop = 30};
    int changed = 0;
    for (std::int64_t view = 0; view < 10; ++view) {
      const at::Tensor some = augmented(ten(), larger, other, 1, view)->get(3).image;
      CHECK(some.sizes() == at::IntArrayRef({3, 30, 30}));
      CHECK(at::equal(some, augmented(ten(), larger, other, 1, view)->get(3).image));
      if (!at::equal(some, prepared(ten(), larger)->get(3).image)) ++changed;
    }
    CHECK(changed >= 5);
  }
}

TEST_CASE("all unreadable images are named together") {
  const TemporaryFolder folder;
  const auto open = [&] { return read_image_folder(folder.path, "train", {}).images; };
  std::filesystem::create_directories(folder.path / "train/a");
  for (int i = 0; i < 20; ++i)
    write_png(at::randint(256, {3, 9, 9}, at::kByte), folder.path / cat("train/a/", 10 + i, ".png"));
  CHECK_NOTHROW(check_images({open(), nullptr}));
  const std::string whole = read_file(folder.path / "train/a/10.png", 1 << 20);

  write_file(folder.path / "train/a/13.png", "<html>403");
  CHECK(refusal([&] { check_images({open()}); }) ==
        (folder.path / "train/a/13.png").string() + ": got HTML or XML, expected a JPEG, PNG, WebP, GIF, TIFF or BMP.");
  write_file(folder.path / "train/a/17.png", whole.substr(0, whole.size() / 2));
  write_file(folder.path / "train/a/18.png", whole + "appended, but whole");
  write_file(folder.path / "train/a/21.png", "");
  for (const auto& dataset : {open(), subset(open(), {11, 7, 3, 0}), prepared(open(), {})}) {
    const std::string message = refusal([&] { check_images({dataset}); });
    CHECK(message.starts_with("data: got 3 images that cannot be read, expected none. Replace or remove them: "));
    for (const char* name :
         {"a/13.png: got HTML", "a/17.png: got a PNG that is corrupt or truncated", "a/21.png: got an empty"})
      CHECK(message == has(name));
    CHECK(message.find('\n') == std::string::npos);
  }
  CHECK_NOTHROW(check_images({subset(open(), {0, 1, 2})}));  // only what is used
}
