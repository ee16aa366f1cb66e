#include "loading/model_files.h"

#include <doctest/doctest.h>

#include "lorikeet/error.h"
#include "refusal.h"
#include "temporary_folder.h"

using namespace lorikeet;
namespace fs = std::filesystem;

namespace {

std::string files_refusal(const fs::path& folder) {
  return ::refusal<Error>([&] { find_model_files(folder); });
}

constexpr const char* kIndex =
    R"({"metadata": {"total_size": 2}, "weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors",
        "c": "model-1.safetensors"}})";

}  // namespace

TEST_CASE("the files of a model's folder, in the order in which they are preferred") {
  const TemporaryFolder folder;
  const fs::path& root = folder.path;
  CHECK_FALSE(is_model_folder(root));
  CHECK(files_refusal(root) == has("got no config.json, expected a model as transformers or timm saves it"));
  put(root / "config.json", "{}");
  CHECK(is_model_folder(root));
  CHECK(files_refusal(root) == has("got no weights, expected model.safetensors or pytorch_model.bin"));

  put(root / "pytorch_model.bin.index.json", R"({"weight_map": {"a": "pytorch_model-1.bin"}})");
  CHECK(files_refusal(root) ==
        has("got no pytorch_model-1.bin, expected it, because pytorch_model.bin.index.json names it"));
  put(root / "pytorch_model-1.bin", "");
  CHECK(find_model_files(root).weights == std::vector{root / "pytorch_model-1.bin"});
  put(root / "pytorch_model.bin", "");
  CHECK(find_model_files(root).weights == std::vector{root / "pytorch_model.bin"});
  put(root / "model.safetensors.index.json", kIndex);
  put(root / "model-1.safetensors", "");
  put(root / "model-2.safetensors", "");
  CHECK(find_model_files(root).weights == std::vector{root / "model-1.safetensors", root / "model-2.safetensors"});
  put(root / "model.safetensors", "");
  CHECK(find_model_files(root).weights == std::vector{root / "model.safetensors"});
  CHECK_FALSE(find_model_files(root).preprocessor.has_value());
  put(root / "preprocessor_config.json", "{}");
  CHECK(find_model_files(root).preprocessor == root / "preprocessor_config.json");
  CHECK(find_model_files(root).config == root / "config.json");
  put(root / "adapter_config.json", "{}");
  CHECK_FALSE(is_model_folder(root));
}

TEST_CASE("an index names files of its folder only") {
  const TemporaryFolder folder;
  put(folder.path / "config.json", "{}");
  const auto with = [&](const std::string& index) {
    put(folder.path / "model.safetensors.index.json", index);
    return files_refusal(folder.path);
  };
  for (const char* file : {"../model-1.safetensors", "/etc/passwd", "sub/model.safetensors", "..", ""}) {
    CAPTURE(file);
    CHECK(with(std::string(R"({"weight_map": {"a": ")") + file + "\"}}") ==
          has("expected the name of a file in the same folder"));
  }
  CHECK(with(R"({"weight_map": {"a": 1}})") == has("tensor 'a': got the number 1, expected the name of a file"));
  for (const char* index : {"{}", "[]", R"({"weight_map": {}})", R"({"weight_map": []})"})
    CHECK(with(index) == has("got no \"weight_map\""));
  CHECK(with("{") != "no error");
}

TEST_CASE("links of a model's folder lead into it, or into the blobs of the Hub's cache") {
  const TemporaryFolder folder;
  const fs::path snapshot = folder.path / "models--org--net/snapshots/abc";
  fs::create_directories(snapshot);
  fs::create_directories(folder.path / "models--org--net/blobs");
  put(folder.path / "models--org--net/blobs/1", "{}");
  put(folder.path / "secret", "{}");
  fs::create_symlink("../../blobs/1", snapshot / "config.json");
  fs::create_symlink("../../blobs/1", snapshot / "model.safetensors");
  CHECK(is_model_folder(snapshot));
  CHECK(find_model_files(snapshot).weights.size() == 1);
  fs::create_symlink("../../../secret", snapshot / "preprocessor_config.json");
  CHECK(files_refusal(snapshot) == has("got a link to a file outside its folder"));
}
