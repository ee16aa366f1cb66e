#include "data/datasets.h"

#include <ATen/Functions.h>
#include <doctest/doctest.h>

#include <algorithm>
#include <string>

#include "data/idx_files.h"
#include "fetch/environment.h"
#include "image/encode.h"
#include "lorikeet/error.h"
#include "refusal.h"

using namespace lorikeet;
namespace fs = std::filesystem;

namespace {

void put_idx(const fs::path& folder, bool packed = false) {
  for (const auto& [name, content] : idx_dataset())
    write_file(folder / (packed ? name + ".gz" : name), packed ? gzip(content) : content);
}

Splits open(const fs::path& folder, const std::vector<std::string>& classes = {}) {
  return open_dataset(folder.string(), {}, {.classes = classes});
}

}  // namespace

TEST_CASE("a folder of IDX files is opened with classes named by its labels") {
  for (const bool packed : {false, true}) {
    const TemporaryFolder folder;
    put_idx(folder.path, packed);
    const Splits splits = open(folder.path);
    CHECK(splits.train->size() == 3);
    CHECK(splits.validation == nullptr);
    CHECK(splits.test->size() == 2);
    CHECK(splits.train->classes() == std::vector<std::string>{"0", "1", "2"});
    CHECK(splits.train->get(1).label == 2);
    CHECK(splits.test->get(1).image[2].equal(at::tensor({'q', 'r', 's', 't'}).to(at::kByte).reshape({2, 2})));
    CHECK(open(folder.path, {"a", "b", "c", "d"}).test->classes().size() == 4);
    CHECK(refusal([&] { open(folder.path, {"a", "b"}); }) == has("got label 2 for image 1, expected 0 to 1."));
  }
}

TEST_CASE("a dataset known by name is opened from where it is kept") {
  const TemporaryFolder home;
  const ScopedEnvironment kept("LORIKEET_HOME", home.path.string());
  const DatasetEntry& entry = find_dataset("fashion-mnist");
  CHECK(dataset_path(entry) == home.path / "data" / "fashion-mnist");
  put_idx(dataset_path(entry));
  CHECK(has_dataset(entry));
  const Splits splits = open_dataset("fashion-mnist", {});
  CHECK(splits.train->size() == 3);
  CHECK(splits.test->classes() == entry.classes);

  for (const auto& known : datasets()) {
    CAPTURE(known.name);
    CHECK(known.classes.size() == 10);
    CHECK(known.files.size() == 4);
    for (const auto& file : known.files) CHECK(file.sha256.size() == 64);
  }
}

TEST_CASE("a folder of images is opened with the splits that it has, all with the classes of train") {
  const TemporaryFolder folder;
  const auto image = [&](const std::string& name) {
    fs::create_directories((folder.path / name).parent_path());
    write_png(at::zeros({3, 2, 2}, at::kByte), folder.path / name);
  };
  image("train/a/1.png");
  image("train/b/1.png");
  image("val/b/1.png");
  const Splits splits = open(folder.path);
  CHECK(splits.train->size() == 2);
  CHECK(splits.validation->size() == 1);
  CHECK(splits.test == nullptr);
  CHECK(splits.validation->get(0).label == 1);
  CHECK(open(folder.path, {"z", "b", "a"}).train->get(0).label == 2);  // the order that an adapter knows
  CHECK(splits.notes.size() == 1);
  CHECK(splits.notes.front() == has("val: no images of 1 class of 2: a"));
  image("test/aa/1.png");
  CHECK(refusal([&] { open(folder.path); }) == has("test/aa: got a class unknown to training"));
}

TEST_CASE("the validation split may be called val, valid or validation, one of them") {
  for (const std::string name : {"val", "valid", "validation"}) {
    const TemporaryFolder folder;
    for (const std::string& split : {std::string("train"), name}) {
      fs::create_directories(folder.path / split / "a");
      write_png(at::zeros({3, 2, 2}, at::kByte), folder.path / split / "a/1.png");
    }
    const Splits splits = open(folder.path);
    CHECK(splits.validation->size() == 1);
    CHECK(splits.notes.empty());
    fs::create_directories(folder.path / (name == "val" ? "valid" : "val"));
    CHECK(refusal([&] { open(folder.path); }) == has("got both val/ and " + (name == "val" ? "valid" : name) + "/"));
  }
}

TEST_CASE("evaluation reads the test split alone, or the validation split where it has no labels") {
  const TemporaryFolder folder;
  const auto image = [&](const std::string& name) {
    fs::create_directories((folder.path / name).parent_path());
    write_png(at::zeros({3, 2, 2}, at::kByte), folder.path / name);
  };
  const auto evaluation = [&] {
    return open_dataset(folder.path.string(), {}, {.classes = {"a", "b"}, .use = DatasetUse::kEvaluation});
  };
  image("train/unknown/1.png");
  image("valid/a/1.png");
  image("test/1.png");
  Splits splits = evaluation();
  CHECK(splits.train == nullptr);
  CHECK(splits.test == nullptr);
  CHECK(splits.validation->size() == 1);
  CHECK(splits.notes.size() == 2);  // no labels in test/, no images of b
  image("test/b/1.png");
  image("valid/unknown/1.png");
  splits = evaluation();
  CHECK(splits.validation == nullptr);
  CHECK(splits.test->get(0).label == 1);
  fs::remove_all(folder.path / "test");
  fs::remove_all(folder.path / "valid");
  CHECK((!evaluation().test && !evaluation().validation));
  put_idx(folder.path);
  fs::remove(folder.path / idx_dataset()[0].name);
  const OpenOptions how{.classes = {"0", "1", "2"}, .use = DatasetUse::kEvaluation};
  CHECK(open_dataset(folder.path.string(), {}, how).test->size() == 2);
}

TEST_CASE("what lies beside the splits, and splits without labels, are said") {
  const TemporaryFolder folder;
  const auto image = [&](const std::string& name) {
    fs::create_directories((folder.path / name).parent_path());
    write_png(at::zeros({3, 2, 2}, at::kByte), folder.path / name);
  };
  image("test/1.png");
  CHECK(refusal([&] { open(folder.path, {"a"}); }) == has("got no labelled images, expected some. "));
  CHECK(refusal([&] { open(folder.path); }) == has("test: got no folders beside 1 image without a class"));
  image("train/a/1.png");
  image("more/a/1.png");
  image(".git/a/1.png");
  image("@eaDir/a/1.png");
  const Splits splits = open(folder.path);
  CHECK(splits.train->size() == 1);
  CHECK(splits.test == nullptr);
  REQUIRE(splits.notes.size() == 2);
  CHECK(splits.notes[0] == has("test: ignored, because it has no class folders"));
  CHECK(splits.notes[1] == folder.path.string() + ": ignored more: splits are train, val and test");
  fs::rename(folder.path / "train", folder.path / "Train");
  fs::rename(folder.path / "test", folder.path / "Testing");
  CHECK(open(folder.path).train->size() == 1);
  for (const char* name : {"Train/a", "more/a", "Testing/1.png"}) fs::remove_all(folder.path / name);
  fs::rename(folder.path / "Train", folder.path / "x");
  fs::rename(folder.path / "Testing", folder.path / "y");
  CHECK(refusal([&] { open(folder.path); }) == has(" It holds more, x, y."));
}

TEST_CASE("splits have other names, which are never classes silently") {
  const TemporaryFolder folder;
  const auto image = [&](const std::string& name) {
    fs::create_directories((folder.path / name).parent_path());
    write_png(at::zeros({3, 2, 2}, at::kByte), folder.path / name);
  };
  for (const char* name : {"train/a/1.png", "train/b/1.png", "dev/a/1.png", "holdout/a/1.png"}) image(name);
  CHECK(open(folder.path).validation->size() == 1);
  CHECK(open(folder.path).test->size() == 1);
  // Beside test/, holdout/ is something else.
  image("test/a/1.png");
  image("test/a/2.png");
  CHECK(open(folder.path).test->size() == 2);
  CHECK(open(folder.path).notes.back() == has("ignored holdout: splits are train, val and test"));
  fs::remove_all(folder.path / "test");
  fs::rename(folder.path / "holdout", folder.path / "Eval");
  CHECK(open(folder.path).test->size() == 1);

  const auto other = folder.path / "other";
  for (const char* name : {"other/one/a/1.png", "other/one/b/1.png", "other/two/a/1.png", "other/two/b/1.png"})
    image(name);
  CHECK(open(other).train->classes() == std::vector<std::string>{"one", "two"});
  CHECK(open(other).notes.back() == has("one, two are taken as classes, but each holds a, b. If they are splits"));
}

TEST_CASE("archives and CIFAR's Python version are named as what to unpack") {
  const TemporaryFolder folder;
  const auto opened = [&](const std::string& name) {
    return refusal([&] { open_dataset((folder.path / name).string(), {}); });
  };
  for (const char* name : {"a.tar.gz", "a.ZIP", "a.tgz", "a.tar.bz2", "a.7z"}) {
    write_file(folder.path / name, "x");
    CHECK(opened(name) == has("', an archive, expected the folder or the file that it holds. Unpack it first."));
  }
  write_file(folder.path / "cifar-10-python.tar.gz", "x");
  CHECK(opened("cifar-10-python.tar.gz") == has("the Python version of CIFAR, expected its binary version, unpacked"));
  CHECK(opened("") == has(" Unpack a.7z, a.ZIP, a.tar.bz2, a.tar.gz, a.tgz and 1 more."));
  write_file(folder.path / "b/cifar-10-batches-py/batches.meta", "x");
  write_file(folder.path / "b/cifar-10-batches-py/data_batch_1", "x");
  CHECK(opened("b") == has("b: got the Python version of CIFAR"));
  CHECK(opened("b/cifar-10-batches-py") == has("got the Python version of CIFAR"));
}

TEST_CASE("faults of a folder's structure may be collected, and the rest is read") {
  const TemporaryFolder folder;
  const auto image = [&](const std::string& name) {
    fs::create_directories((folder.path / name).parent_path());
    write_png(at::zeros({3, 2, 2}, at::kByte), folder.path / name);
  };
  std::vector<std::string> faults;
  const auto collected = [&] { return open_dataset(folder.path.string(), {}, {.faults = &faults}); };
  image("train/a/1.png");
  fs::create_directories(folder.path / "train/b");
  image("test/a/1.png");
  image("test/c/1.png");
  const Splits splits = collected();
  CHECK(splits.train->classes() == std::vector<std::string>{"a", "b"});
  CHECK(splits.test->size() == 1);
  REQUIRE(faults.size() == 2);
  CHECK(faults[0] == has("train: got no images of b"));
  CHECK(faults[1] == has("test/c: got a class unknown to training"));

  // Class folders beside test/.
  faults.clear();
  fs::remove_all(folder.path / "test/c");
  fs::rename(folder.path / "train/a", folder.path / "a");
  fs::remove_all(folder.path / "train");
  CHECK(collected().test->size() == 1);
  REQUIRE(faults.size() == 1);
  CHECK(faults[0] == has("got a beside folders of splits, expected them in train/. They are ignored."));
}

TEST_CASE("the split of data without splits is that of the same data only, and says what it holds out") {
  const TemporaryFolder folder;
  for (int i = 0; i < 10; ++i) {
    fs::create_directories(folder.path / "a");
    write_png(at::zeros({3, 2, 2}, at::kByte), folder.path / "a" / (std::to_string(i) + ".png"));
  }
  const auto opened = [&](OpenOptions how) { return open_dataset(folder.path.string(), {}, how); };
  OpenOptions how{.split = SplitOptions{0, 0.2, 1}};
  CHECK(opened(how).test->size() == 2);
  CHECK(opened(how).whole->size() == 10);
  CHECK(opened(how).notes.front() == has("of each class, 20 % are held out for testing"));
  CHECK(opened(how).notes.front() == has("split_seed 1): images: 8 training, 2 test"));
  how.split_applies = [](const std::shared_ptr<const Dataset>& whole) { return whole->size() == 9; };
  CHECK(opened(how).test->size() == 10);
  CHECK(opened(how).notes.front() == has("all its images are used (10)"));
}

TEST_CASE("what is no dataset is refused with what it should be") {
  const TemporaryFolder folder;
  CHECK(refusal([&] { open(folder.path); }) == has("got neither train/, val/ nor test/ in it, nor MNIST's files"));
  write_file(folder.path / "t10k-images-idx3-ubyte", idx_dataset()[2].content);
  CHECK(refusal([&] { open(folder.path); }) == has("-ubyte (or .gz), expected MNIST's four files."));
  CHECK(refusal<UsageError>([&] { open(folder.path / "none"); }) ==
        has("none', which does not exist, expected a folder, a manifest"));
  write_file(folder.path / "a.csv.gz", "");
  CHECK(refusal<UsageError>([&] { open(folder.path / "a.csv.gz"); }) ==
        has("a.csv.gz', an archive, expected the folder or the file that it holds. Unpack it first."));
  CHECK(refusal<UsageError>([] { open("mnits"); }) ==
        "data: got 'mnits', which is neither a folder nor a known dataset. Did you mean 'mnist'?");
  CHECK(refusal<UsageError>([] { find_dataset("imagenet-1k"); }) == has(" Choose one of: mnist, fashion-mnist."));
}
