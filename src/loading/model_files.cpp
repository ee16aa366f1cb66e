#include "loading/model_files.h"

#include <algorithm>
#include <array>
#include <functional>

#include "adapters/adapter_folder.h"
#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "base/text.h"

namespace fs = std::filesystem;

namespace lorikeet {
namespace {

constexpr const char* kConfig = "config.json";
constexpr const char* kPreprocessor = "preprocessor_config.json";
constexpr std::array kWeights{"model.safetensors", "pytorch_model.bin"};
constexpr std::uint64_t kMaxIndex = 64 << 20;
constexpr std::size_t kMaxShards = 1000;

// Finds a file of a folder or a repository.
using FindFile = std::function<std::optional<fs::path>(const std::string&)>;

// Returns the unique file names in {"weight_map": {"TENSOR": "FILE", …}}.
std::vector<std::string> shards_of(const fs::path& index) {
  const Json json = parse_json(read_file(index, kMaxIndex), index.string());
  const auto map = json.is_object() ? json.find("weight_map") : json.end();
  if (!json.is_object() || map == json.end() || !map->is_object() || map->empty())
    fail(index.string(), ": got no \"weight_map\", expected an object of tensors and the files that hold them.");
  std::vector<std::string> out;
  for (const auto& [tensor, file] : map->items()) {
    const std::string name = file.is_string() ? file.get<std::string>() : "";
    // Both libraries write only names in the same folder.
    if (!is_plain_path(name) || name.find('/') != std::string::npos) {
      fail(index.string(), ": tensor '", printable(tensor), "': got ",
           name.empty() ? json_kind(file) : cat("the file '", printable(name), "'"),
           ", expected the name of a file in the same folder.");
    }
    if (std::find(out.begin(), out.end(), name) == out.end()) out.push_back(name);
    if (out.size() > kMaxShards) fail(index.string(), ": got more than ", kMaxShards, " files, expected fewer.");
  }
  return out;
}

ModelFiles find_files(const FindFile& find, const std::string& where, bool with_weights) {
  ModelFiles out;
  const auto config = find(kConfig);
  if (!config) fail(where, ": got no ", kConfig, ", expected a model as transformers or timm saves it.");
  out.config = *config;
  out.folder = config->parent_path();
  out.preprocessor = find(kPreprocessor);
  if (!with_weights) return out;
  for (const std::string name : kWeights) {
    if (const auto file = find(name)) {
      out.weights = {*file};
      return out;
    }
    const auto index = find(name + ".index.json");
    if (!index) continue;
    for (const auto& shard : shards_of(*index)) {
      const auto file = find(shard);
      if (!file) fail(where, ": got no ", printable(shard), ", expected it, because ", name, ".index.json names it.");
      out.weights.push_back(*file);
    }
    return out;
  }
  fail(where, ": got no weights, expected ", kWeights[0], " or ", kWeights[1], " (or their .index.json).");
}

}  // namespace

bool is_model_folder(const fs::path& path) {
  std::error_code ignored;
  return fs::is_regular_file(path / kConfig, ignored) && !is_adapter_folder(path);
}

ModelFiles find_model_files(const fs::path& folder, bool with_weights) {
  const auto find = [&](const std::string& name) -> std::optional<fs::path> {
    std::error_code ignored;
    if (!fs::exists(fs::symlink_status(folder / name, ignored))) return std::nullopt;
    return path_inside(folder, name);
  };
  return find_files(find, folder.string(), with_weights);
}

ModelFiles fetch_model_files(HubRepository& repository, bool with_weights) {
  try {
    const auto find = [&](const std::string& name) { return repository.find(name); };
    return find_files(find, repository.repository(), with_weights);
  } catch (const Error& error) {
    if (repository.offline_reason().empty()) throw;
    throw Error(cat(error.what(), " Only the cache was looked at, because ", repository.offline_reason(), "."));
  }
}

}  // namespace lorikeet
