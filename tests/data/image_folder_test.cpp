#include "data/image_folder.h"

#include <ATen/Functions.h>
#include <doctest/doctest.h>

#include <string>

#include "base/file.h"
#include "image/encode.h"
#include "refusal.h"
#include "temporary_folder.h"

using namespace lorikeet;
namespace fs = std::filesystem;

namespace {

struct Photos {
  TemporaryFolder folder;
  const fs::path& root = folder.path;

  // An image whose pixels all are `grey`.
  void image(const std::string& name, int grey = 0) const {
    fs::create_directories((root / name).parent_path());
    write_png(at::full({3, 2, 4}, grey, at::kByte), root / name);
  }
  std::string refused(const std::string& split, const std::vector<std::string>& classes = {}) const {
    return refusal([&] { read_image_folder(root, split, classes); });
  }
};

}  // namespace

TEST_CASE("classes are folders in byte order, images files in byte order within them") {
  const Photos photos;
  // Python's sorted(), which torchvision's ImageFolder uses: '10' before '9', 'Zebra' before 'ant', 'é' after all
  // ASCII.
  for (const char* name : {"é", "ant", "9", "10", "Zebra", "a b"})
    photos.image("train/" + std::string(name) + "/x.png");
  CHECK(folder_classes(photos.root, "train") == std::vector<std::string>{"10", "9", "Zebra", "a b", "ant", "é"});

  photos.image("train/10/b.png", 2);
  photos.image("train/10/B.png", 1);
  const auto dataset = read_image_folder(photos.root, "train", {});
  CHECK(dataset->size() == 8);
  CHECK(dataset->classes() == folder_classes(photos.root, "train"));
  CHECK(dataset->describe(0) == (photos.root / "train/10/B.png").string());
  CHECK(dataset->get(0).image[0][0][0].item<int>() == 1);
  CHECK(dataset->get(1).image[0][0][0].item<int>() == 2);
  CHECK(dataset->get(2).image.sizes() == at::IntArrayRef({3, 2, 4}));
  for (const auto& [index, label] : {std::pair(0, 0), {2, 0}, {3, 1}, {7, 5}})
    CHECK(dataset->get(index).label == label);
}

TEST_CASE("only images count: hidden files, other files and folders are passed over") {
  const Photos photos;
  for (const char* name : {"a/1.png", "a/2.PNG", "a/3.Jpg", "a/4.JPEG", "a/.5.png", ".git/6.png", "b/7.jpg"})
    photos.image("train/" + std::string(name));
  for (const char* name : {"a/notes.txt", "a/Thumbs.db", "a/png", "README.png"})
    write_file(photos.root / "train" / name, "text");
  fs::create_directories(photos.root / "train/a/folder.png");
  fs::create_symlink("itself.png", photos.root / "train/a/itself.png");
  fs::create_symlink("itself", photos.root / "train/itself");
  const auto dataset = read_image_folder(photos.root, "train", {});
  CHECK(dataset->classes() == std::vector<std::string>{"a", "b"});
  CHECK(dataset->size() == 5);
  CHECK(dataset->get(1).image.size(2) == 4);  // known by content: no extension is believed
}

TEST_CASE("another split has the classes of train") {
  const Photos photos;
  const std::vector<std::string> classes{"cat", "dog", "owl"};
  photos.image("val/owl/1.png");
  photos.image("val/cat/1.png");
  const auto dataset = read_image_folder(photos.root, "val", classes);
  CHECK(dataset->classes() == classes);
  CHECK(dataset->get(0).label == 0);
  CHECK(dataset->get(1).label == 2);

  photos.image("val/dgo/1.png");
  CHECK(photos.refused("val", classes) ==
        has("val/dgo: got a class that training does not know, expected one of its 3 classes. Did you mean 'dog'?"));
}

TEST_CASE("a split without images is refused, a broken image when it is read") {
  const Photos photos;
  CHECK_FALSE(has_split(photos.root, "train"));
  CHECK(photos.refused("train") == has("train: cannot be read: "));
  write_file(photos.root / "val", "a file");
  CHECK_FALSE(has_split(photos.root, "val"));
  fs::create_directories(photos.root / "train");
  CHECK(has_split(photos.root, "train"));
  CHECK(photos.refused("train") == has("train: got no folders, expected one for each class"));
  write_file(photos.root / "train/cat/notes.txt", "text");
  CHECK(photos.refused("train") == has("train: got no images, expected *.jpg, *.jpeg or *.png"));
  write_file(photos.root / "train/cat/broken.png", "text");
  const auto dataset = read_image_folder(photos.root, "train", {});
  CHECK(refusal([&] { dataset->get(0); }) == has("cat/broken.png: "));
}
