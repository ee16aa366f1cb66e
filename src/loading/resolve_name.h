// Resolves a name given by a user: a known model, a model folder of transformers or timm, a model of the Hub, a weights
// file, an adapter, or a run or a search with its adapter.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

namespace lorikeet {

enum class NameKind { kModel, kModelFolder, kHubModel, kWeightsFile, kAdapter };

struct ResolvedName {
  NameKind kind = NameKind::kModel;
  /// The weights file, the folder or file of the adapter (`adapter` in a run's folder, `winner.lorikeet` in a
  /// search's), or the folder of the model; empty for a model's name.
  std::filesystem::path path = {};
};

/// Resolves `name`. If no such path exists, it is ORG/NAME of the Hub, unless there is a folder ORG, or else a model's
/// name, known or not. Throws Error for a folder without an adapter or a model, and for a path that does not exist.
ResolvedName resolve_name(const std::string& name);

/// Returns the adapter's folder or file: `name`, or `adapter` in the run folder `name`, or `winner.lorikeet` in the
/// search's folder `name`. Empty if it is none of them.
std::optional<std::filesystem::path> adapter_path(const std::filesystem::path& name);

/// The same, but throws Error if `name` is none of them.
std::filesystem::path find_adapter(const std::filesystem::path& name);

}  // namespace lorikeet
