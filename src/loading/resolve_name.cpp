#include "loading/resolve_name.h"

#include "adapters/adapter_file.h"
#include "base/error.h"
#include "base/text.h"
#include "fetch/hub.h"
#include "loading/model_files.h"
#include "models/models.h"

namespace fs = std::filesystem;

namespace lorikeet {

std::optional<fs::path> adapter_path(const fs::path& name) {
  if (is_adapter(name)) return name;
  if (is_adapter_folder(name / "adapter")) return name / "adapter";
  if (is_adapter_file(name / "winner.lorikeet")) return name / "winner.lorikeet";
  return std::nullopt;
}

namespace {

// A pipe or a device is not read: it may have no end.
void require_no_special_file(const fs::path& name) {
  std::error_code ignored;
  if (fs::is_other(name, ignored)) fail(printable(name.string()), ": not a regular file, expected a file or a folder.");
}

}  // namespace

fs::path find_adapter(const fs::path& name) {
  if (auto path = adapter_path(name)) return *std::move(path);
  require_no_special_file(name);
  fail(printable(name.string()),
       ": got no adapter, expected the folder or file of an adapter, or the folder of a run or a search.");
}

ResolvedName resolve_name(const std::string& name) {
  if (auto adapter = adapter_path(name)) return {NameKind::kAdapter, *std::move(adapter)};
  std::error_code ignored;
  if (is_model_folder(name)) return {NameKind::kModelFolder, name};
  if (fs::is_directory(name, ignored)) {
    fail(printable(name),
         ": got a folder without adapter_config.json or config.json, expected the folder of an adapter, a run or a "
         "model.");
  }
  if (fs::is_regular_file(name, ignored)) return {NameKind::kWeightsFile, name};
  require_no_special_file(name);
  if (is_model_name(name)) return {NameKind::kModel};
  if (has_adapter_file_ending(name)) fail(printable(name), ": not found, expected the file of an adapter.");
  const std::size_t slash = name.find('/');
  // A missing path in an existing folder is a mistake rather than a Hub name.
  const bool is_path = slash != std::string::npos && fs::is_directory(name.substr(0, slash), ignored);
  if (const auto hub = parse_hub_name(name); hub && !is_path) return {NameKind::kHubModel};
  if (slash != std::string::npos) {
    fail(printable(name),
         ": not found, expected the folder of an adapter, a run or a model, an adapter's file, or a weights file.");
  }
  return {NameKind::kModel};
}

}  // namespace lorikeet
