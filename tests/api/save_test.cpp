#include <doctest/doctest.h>

#include <string>

#include "api/fixture.h"
#include "base/file.h"
#include "lorikeet/adapter_set.h"
#include "refusal.h"

using namespace lorikeet;
namespace fs = std::filesystem;

TEST_CASE("save: what is loaded answers as what was saved") {
  const Fixture& fixture = Fixture::get();
  const TemporaryFolder folder;
  Model model = fixture.trained();
  model.save(folder.path / "adapter");
  model.save(folder.path / "adapter");  // replaces
  for (const auto name : {"adapter_config.json", "adapter_model.safetensors", "lorikeet.json", "README.md"})
    CHECK(fs::exists(folder.path / "adapter" / name));
  Model loaded = load((folder.path / "adapter").string(), {.weights = fixture.weights()});
  CHECK(loaded.logits(fixture.test_images()).values == model.logits(fixture.test_images()).values);
}

TEST_CASE("save as one file: lossless in float32, near it in int8, for a Model and in a set") {
  const Fixture& fixture = Fixture::get();
  const TemporaryFolder folder;
  Model model = fixture.trained();
  const auto file = folder.path / "a.lorikeet", small = folder.path / "small.lorikeet";
  model.save(file);
  model.save(small);
  model.save(small, FilePrecision::kInt8);  // replaces
  CHECK(fs::file_size(small) < fs::file_size(file) / 2);
  const auto expected = model.logits(fixture.test_images()).values;
  Model loaded = load(file.string(), {.weights = fixture.weights()});
  CHECK(loaded.classes() == model.classes());
  CHECK(loaded.logits(fixture.test_images()).values == expected);
  const auto near = load(small.string(), {.weights = fixture.weights()}).logits(fixture.test_images()).values;
  CHECK(near != expected);
  CHECK(largest_difference(near, expected) < 0.2);
  AdapterSet set("resnet18", {.weights = fixture.weights()});
  set.add("a", file);
  CHECK(set.logits({{fixture.test_images().front(), "a"}}).front().size() == model.classes().size());
  loaded.save(folder.path / "again.lorikeet");
  CHECK(read_file(folder.path / "again.lorikeet", 1 << 24) == read_file(file, 1 << 24));
  CHECK(refusal<UsageError>([&] { model.save(folder.path / "x", FilePrecision::kInt8); }) ==
        has("save: got int8 for a folder"));
  put(folder.path / "mine.lorikeet", "text");
  CHECK(refusal([&] { model.save(folder.path / "mine.lorikeet"); }) == has("not an adapter's"));
  CHECK(read_file(folder.path / "mine.lorikeet", 100) == "text");
}

TEST_CASE("save refuses, and writes nothing") {
  const Fixture& fixture = Fixture::get();
  const TemporaryFolder folder;
  const Model base = fixture.base();
  CHECK(refusal<UsageError>([&] { base.save(folder.path / "x"); }) == has("save: got resnet18 without an adapter"));
  const Model model = fixture.trained();
  CHECK(refusal<UsageError>([&] { model.save(""); }) == has("save: got an empty path"));
  put(folder.path / "file", "text");
  CHECK(refusal([&] { model.save(folder.path / "file/adapter"); }) == has("file"));
  CHECK(refusal<UsageError>([&] { model.save(folder.path / "file"); }) ==
        has("file: got a file, expected a new folder"));
  CHECK(refusal<UsageError>([&] { model.save(folder.path); }) == has("got a folder with other files"));
  CHECK(read_file(folder.path / "file", 100) == "text");
  CHECK_FALSE(fs::exists(folder.path / "x"));
}

TEST_CASE("merge: a plain model with the adapter in its weights") {
  const Fixture& fixture = Fixture::get();
  const TemporaryFolder folder;
  Model base = fixture.base();
  AdapterOptions options{
      .target_modules = {"conv2"}, .r = 2, .init_lora_weights = "gaussian", .classes = base.classes()};
  base.adapt(options);
  for (const auto name : {"merged.safetensors", "merged.pth"}) {
    const MergeResult merged = base.merge(folder.path / name);
    CHECK(merged.tensors == 122);  // torchvision's resnet18().state_dict()
    CHECK(merged.bytes > 4 * 11'000'000u);
    CHECK(merged.head.empty());
    Model loaded = load((folder.path / name).string(), {.model = "resnet18"});
    CHECK_FALSE(loaded.is_adapted());
    CHECK(largest_difference(loaded.logits(fixture.test_images()).values, base.logits(fixture.test_images()).values) <
          1e-3);
  }
  Model headed = fixture.base();
  headed.adapt({.head = {{4}}, .classes = {"a", "b"}});
  CHECK(headed.merge(folder.path / "head.pth").head == (std::vector<std::string>{"head.0", "head.1"}));
}

TEST_CASE("merge and export refuse, and write nothing") {
  const TemporaryFolder folder;
  const Model model = Fixture::get().trained();
  CHECK(refusal<UsageError>([&] { model.merge(folder.path / "x.txt"); }) == has("x.txt"));
  CHECK(refusal([&] { model.merge(""); }) != "no error");
  CHECK(refusal([&] { model.merge("/proc/no/x.pth"); }) == has("/proc/no"));
  CHECK(refusal<UsageError>([&] { model.export_onnx(""); }) == has("export_onnx: got an empty path"));
  CHECK(refusal<UsageError>([&] { model.export_onnx(folder.path / "x.onnx", {.size = -1}); }) == has("size: got -1"));
  CHECK(refusal<UsageError>([&] { model.export_onnx(folder.path / "x.onnx", {.size = 5000}); }) ==
        has("size: got 5000"));
  CHECK(refusal([&] { model.export_onnx("/proc/no/x.onnx"); }) == has("/proc/no"));
  CHECK(fs::is_empty(folder.path));
  model.export_onnx(folder.path / "x.onnx", {.preprocess = Preprocess::kEval, .softmax = true, .size = 64});
  CHECK(fs::file_size(folder.path / "x.onnx") > 40'000'000);
}
