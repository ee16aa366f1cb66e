#include "train/checkpoint.h"

#include <algorithm>
#include <string_view>
#include <utility>

#include "base/error.h"
#include "base/json.h"
#include "base/text.h"
#include "io/safetensors.h"

namespace fs = std::filesystem;

namespace lorikeet {
namespace {

constexpr const char* kMetadataKey = "lorikeet";
constexpr std::string_view kPrefix = "step-";
constexpr std::string_view kEnding = ".safetensors";

struct CheckpointFile {
  std::int64_t step = 0;
  fs::path path;
};

std::optional<std::int64_t> step_of(std::string_view name) {
  if (!name.starts_with(kPrefix) || !name.ends_with(kEnding)) return std::nullopt;
  name.remove_prefix(kPrefix.size());
  name.remove_suffix(kEnding.size());
  const auto step = to_integer(name);
  return step && *step >= 0 ? step : std::nullopt;
}

// The latest first.
std::vector<CheckpointFile> checkpoint_files(const fs::path& folder) {
  std::vector<CheckpointFile> out;
  std::error_code missing;
  for (fs::directory_iterator it(folder, missing), end; !missing && it != end; it.increment(missing)) {
    if (const auto step = step_of(it->path().filename().string())) out.push_back({*step, it->path()});
  }
  std::sort(out.begin(), out.end(), [](const auto& a, const auto& b) { return a.step > b.step; });
  return out;
}

Checkpoint read_checkpoint(const fs::path& path) {
  NamedTensors tensors = read_safetensors(path);
  const auto text = tensors.metadata.find(kMetadataKey);
  if (text == tensors.metadata.end()) fail(path.string(), ": got no metadata '", kMetadataKey, "', expected it.");
  Json json = parse_json(text->second, path.string());
  Checkpoint out;
  try {
    json.at("recipe").get_to(out.recipe);
    json.at("base_sha256").get_to(out.base_sha256);
    json.at("data").get_to(out.data);
    json.at("metrics_bytes").get_to(out.metrics_bytes);
    tensors.metadata.clear();
    out.state = parse_training_state({std::move(json.at("state")), std::move(tensors)}, path.string());
  } catch (const Json::exception& error) {
    fail(path.string(), ": got an invalid checkpoint: ", error.what(), ".");
  }
  return out;
}

}  // namespace

void write_checkpoint(const fs::path& folder, const Checkpoint& checkpoint) {
  SerializedState serialized = serialize(checkpoint.state);
  const Json json{{"recipe", checkpoint.recipe},
                  {"base_sha256", checkpoint.base_sha256},
                  {"data", checkpoint.data},
                  {"metrics_bytes", checkpoint.metrics_bytes},
                  {"state", std::move(serialized.json)}};
  serialized.tensors.metadata[kMetadataKey] = json_text(json);
  const std::int64_t step = checkpoint.state.step;
  write_safetensors(folder / cat(kPrefix, step, kEnding), serialized.tensors);
  bool has_predecessor = false;
  for (const CheckpointFile& file : checkpoint_files(folder)) {
    if (file.step == step || (file.step < step && !std::exchange(has_predecessor, true))) continue;
    std::error_code ignored;
    fs::remove(file.path, ignored);
  }
}

std::optional<Checkpoint> read_last_checkpoint(const fs::path& folder, std::vector<std::string>& notes) {
  const auto files = checkpoint_files(folder);
  for (const CheckpointFile& file : files) {
    try {
      return read_checkpoint(file.path);
    } catch (const Error& error) {
      notes.push_back(cat(error.what(), " The checkpoint is ignored."));
    }
  }
  if (!files.empty()) {
    fail(folder.string(), ": got no readable checkpoint, expected one. ", notes.front(),
         " Train again with --force, or start from the run's adapter with start_from.");
  }
  return std::nullopt;
}

}  // namespace lorikeet
