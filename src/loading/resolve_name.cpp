#include "loading/resolve_name.h"

#include "adapters/adapter_folder.h"
#include "base/error.h"
#include "base/text.h"

namespace fs = std::filesystem;

namespace lorikeet {

std::optional<fs::path> adapter_path(const fs::path& name) {
  if (is_adapter_folder(name)) return name;
  if (is_adapter_folder(name / "adapter")) return name / "adapter";
  return std::nullopt;
}

fs::path find_adapter(const fs::path& name) {
  if (auto path = adapter_path(name)) return *std::move(path);
  fail(printable(name.string()), ": got no adapter there, expected an adapter's or a run's folder.");
}

ResolvedName resolve_name(const std::string& name) {
  if (auto adapter = adapter_path(name)) return {NameKind::kAdapter, *std::move(adapter)};
  std::error_code ignored;
  if (fs::is_directory(name, ignored)) {
    fail(printable(name), ": got a folder without adapter_config.json, expected an adapter or a run's folder.");
  }
  if (fs::is_regular_file(name, ignored)) return {NameKind::kWeightsFile, name};
  if (name.find('/') != std::string::npos) {
    fail(printable(name), ": got nothing there, expected an adapter's folder, a run's folder, or a weights file.");
  }
  return {NameKind::kModel};
}

}  // namespace lorikeet
