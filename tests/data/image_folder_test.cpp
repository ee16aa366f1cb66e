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
  void file(const std::string& name, const std::string& content = "text") const {
    fs::create_directories((root / name).parent_path());
    write_file(root / name, content);
  }
  FolderSplit read(const std::string& split, const std::vector<std::string>& classes = {}) const {
    return read_image_folder(root, split, classes);
  }
  // The images, relative to the split.
  std::vector<std::string> listed(const std::string& split) const {
    const auto dataset = read(split).images;
    std::vector<std::string> out;
    for (std::int64_t i = 0; i < dataset->size(); ++i)
      out.push_back(fs::path(dataset->describe(i)).lexically_relative(root / split).string());
    return out;
  }
  // The notes, without the split's path.
  std::vector<std::string> notes(const std::string& split, const std::vector<std::string>& classes = {}) const {
    std::vector<std::string> out;
    const std::string where = (root / split).string() + ": ";
    for (const std::string& note : read(split, classes).notes) {
      REQUIRE(note.starts_with(where));
      out.push_back(note.substr(where.size()));
    }
    return out;
  }
  std::string refused(const std::string& split, const std::vector<std::string>& classes = {}) const {
    return refusal([&] { read_image_folder(root, split, classes); });
  }
};

using Strings = std::vector<std::string>;

}  // namespace

TEST_CASE("classes are folders in byte order, images files in byte order within them") {
  const Photos photos;
  // Python's sorted(), which torchvision's ImageFolder uses: '10' before '9', 'Zebra' before 'ant', 'é' after all
  // ASCII.
  for (const char* name : {"é", "ant", "9", "10", "Zebra", "a b"})
    photos.image("train/" + std::string(name) + "/x.png");
  const std::vector<std::string> classes{"10", "9", "Zebra", "a b", "ant", "é"};
  CHECK(folders_in(photos.root / "train") == classes);

  photos.image("train/10/b.png", 2);
  photos.image("train/10/B.png", 1);
  CHECK(photos.notes("train").empty());
  const auto dataset = photos.read("train").images;
  CHECK(dataset->size() == 8);
  CHECK(dataset->classes() == classes);
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
  const auto dataset = photos.read("train").images;
  CHECK(dataset->classes() == std::vector<std::string>{"a", "b"});
  CHECK(dataset->size() == 5);
  CHECK(dataset->get(1).image.size(2) == 4);  // known by content: no extension is believed
}

TEST_CASE("a class whose name is not UTF-8 is refused, an image is not") {
  const Photos photos;
  photos.image("train/dog/caf\xe9.png");
  CHECK(read_image_folder(photos.root, "train", {}).images->size() == 1);
  photos.image("train/caf\xe9/a.png");
  CHECK(photos.refused("train") == has("caf\\xe9: got a class whose name is not UTF-8"));
}

TEST_CASE("another split has the classes of train") {
  const Photos photos;
  const std::vector<std::string> classes{"cat", "dog", "owl"};
  photos.image("val/owl/1.png");
  photos.image("val/cat/1.png");
  const auto dataset = photos.read("val", classes).images;
  CHECK(dataset->classes() == classes);
  CHECK(dataset->get(0).label == 0);
  CHECK(dataset->get(1).label == 2);

  photos.image("val/dgo/1.png");
  CHECK(photos.refused("val", classes) ==
        has("val/dgo: got a class unknown to training, expected one of its 3 classes. Did you mean 'dog'?"));
}

TEST_CASE("a split without images is refused, a broken image when it is read") {
  const Photos photos;
  CHECK_FALSE(has_split(photos.root, "train"));
  CHECK(photos.refused("train") == has("train: cannot be read: "));
  write_file(photos.root / "val", "a file");
  CHECK_FALSE(has_split(photos.root, "val"));
  fs::create_directories(photos.root / "train");
  CHECK(has_split(photos.root, "train"));
  CHECK(photos.refused("train") == has("train: got no folders, expected one per class"));
  write_file(photos.root / "train/cat/notes.txt", "text");
  CHECK(photos.refused("train") == has("train: got no images, expected *.jpg, *.png or similar"));
  write_file(photos.root / "train/cat/broken.png", "text");
  photos.image("train/cat/whole.png");
  const auto dataset = photos.read("train").images;
  CHECK(refusal([&] { dataset->get(0); }) == has("cat/broken.png: "));
  CHECK(dataset->check(0).problem ==
        has("cat/broken.png: got something that starts with 'text', expected a JPEG, PNG, WebP"));
  CHECK(dataset->check(1).problem.empty());
}

TEST_CASE("sub-folders of a class belong to it, in the order of torchvision's ImageFolder") {
  const Photos photos;
  // As Python's sorted(os.walk(folder)): folders by their whole path, in which '-' comes before '/'; files within them.
  for (const char* name : {"cat/z.png", "cat/winter/x/1.png", "cat/winter/2.png", "cat/winter-2/1.png", "cat/a/1.png",
                           "cat/10.png", "dog/deep/er/1.png"})
    photos.image("train/" + std::string(name));
  CHECK(photos.listed("train") == Strings{"cat/10.png", "cat/z.png", "cat/a/1.png", "cat/winter/2.png",
                                          "cat/winter-2/1.png", "cat/winter/x/1.png", "dog/deep/er/1.png"});
  CHECK(photos.read("train").images->classes() == Strings{"cat", "dog"});
  CHECK(photos.notes("train").empty());
}

TEST_CASE("links to folders are followed, and cannot loop") {
  const Photos photos;
  photos.image("train/cat/real/1.png");
  photos.image("elsewhere/2.png");
  fs::create_directory_symlink("..", photos.root / "train/cat/real/up");
  fs::create_directory_symlink("real", photos.root / "train/cat/again");  // sorts before what it leads to
  fs::create_directory_symlink(photos.root / "elsewhere", photos.root / "train/cat/link");
  fs::create_directory_symlink(photos.root / "elsewhere", photos.root / "train/dog");
  fs::create_directory_symlink("nowhere", photos.root / "train/cat/broken");
  fs::create_directory_symlink("nowhere", photos.root / "train/owl");
  CHECK(photos.listed("train") == Strings{"cat/link/2.png", "cat/real/1.png", "dog/2.png"});
  CHECK(photos.notes("train") == Strings{"ignored 2 links to what does not exist: owl, cat/broken"});
}

TEST_CASE("folders that no one made for a class are passed over, with a note") {
  const Photos photos;
  photos.image("train/cat/1.png");
  for (const char* name : {"@eaDir", "__MACOSX", ".cache", "cat/@eaDir"})
    photos.image("train/" + std::string(name) + "/thumb.png");
  CHECK(photos.listed("train") == Strings{"cat/1.png"});
  CHECK(photos.notes("train") ==
        Strings{"ignored 4 folders (hidden, empty or created by a system): .cache, @eaDir, __MACOSX, cat/@eaDir"});
}

TEST_CASE("a class without images is refused where the classes are defined, and named elsewhere") {
  const Photos photos;
  photos.image("train/cat/1.png");
  photos.image("train/dog/1.png");
  fs::create_directories(photos.root / "train/bird");
  photos.file("train/fish/1.mp4");
  photos.file("train/fish/deep/2.mp4");
  CHECK(photos.refused("train") == has("train: got no images of bird, fish (but 2 other files, such as fish/1.mp4), "
                                       "expected *.jpg, *.png or similar in the folder of each class."));
  const Strings known{"bird", "cat", "dog", "fish"};
  CHECK(photos.read("train", known).images->size() == 2);
  CHECK(photos.notes("train", known) == Strings{"no images of 2 classes of 4: bird, fish"});
  photos.image("test/cat/1.png");
  fs::create_directories(photos.root / "test/unknown");
  CHECK(photos.notes("test", known) == Strings{"ignored 1 folder (hidden, empty or created by a system): unknown",
                                               "no images of 3 classes of 4: bird, dog, fish"});
}

TEST_CASE("images without a class are said: those beside the classes, and a split that has no others") {
  const Photos photos;
  photos.image("train/cat/1.png");
  photos.image("train/2.png");
  photos.image("train/3.png");
  CHECK(photos.notes("train") == Strings{"ignored 2 images outside the class folders, such as 2.png"});
  photos.image("test/1.png");
  const Strings cat{"cat"};
  CHECK(photos.read("test", cat).images == nullptr);
  CHECK(photos.notes("test", cat) ==
        Strings{"ignored, because it has no class folders, so that its 1 image has no label"});
  CHECK(photos.refused("test") == has("test: got no folders beside 1 image without a class, expected one per class"));
  fs::create_directories(photos.root / "val");
  CHECK(photos.read("val", cat).images == nullptr);
  CHECK(photos.notes("val", cat) == Strings{"ignored, because it has no images"});
  photos.image("test/unknown/1.png");
  CHECK(photos.refused("test", cat) == has("test/unknown: got a class unknown to training"));
  CHECK(photos.refused("test", cat) == has("Images without labels belong directly into test/."));
}

TEST_CASE("images of a format that is not read are said") {
  const Photos photos;
  photos.image("train/cat/1.png");
  photos.image("train/cat/2.jfif");
  for (const char* name : {"cat/3.heic", "cat/4.PPM", "cat/notes.txt", "cat/Thumbs.db"})
    photos.file("train/" + std::string(name));
  CHECK(photos.listed("train") == Strings{"cat/1.png", "cat/2.jfif"});
  CHECK(photos.notes("train") == Strings{"ignored 2 images of other formats: cat/3.heic, cat/4.PPM"});
  CHECK(images_in(photos.root / "train").images.size() == 2);
  CHECK(images_in(photos.root / "train").others.size() == 2);
}

TEST_CASE("a folder whose path is too long is refused") {
  const Photos photos;
  photos.image("train/cat/1.png");
  const fs::path before = fs::current_path();
  fs::current_path(photos.root / "train/cat");
  for (int i = 0; i < 20; ++i) {  // past 4,096 bytes, which only relative paths can make
    const std::string name(250, 'd');
    fs::create_directory(name);
    fs::current_path(name);
  }
  fs::current_path(before);
  CHECK(photos.refused("train") == has("cannot be read: File name too long."));
}
