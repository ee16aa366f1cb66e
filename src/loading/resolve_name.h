// Resolves a name given by a user: a model of the table, a folder that transformers or timm saved, a model of the Hub,
// a weights file, an adapter, or a run with its adapter.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

namespace lorikeet {

enum class NameKind { kModel, kModelFolder, kHubModel, kWeightsFile, kAdapter };

struct ResolvedName {
  NameKind kind = NameKind::kModel;
  /// The file, or the adapter's or the model's folder (`adapter` in a run's); empty for a model's name.
  std::filesystem::path path = {};
};

/// What `name` refers to. If nothing exists there, it is ORG/NAME of the Hub, unless there is a folder ORG, or else a
/// model's name, known or not. Throws Error for a folder without an adapter or a model and for a path to nothing.
ResolvedName resolve_name(const std::string& name);

/// The adapter's folder that `name` means: itself, or `adapter` in a run's folder; nothing where it is neither.
std::optional<std::filesystem::path> adapter_path(const std::filesystem::path& name);

/// The same. Throws Error where `name` is neither.
std::filesystem::path find_adapter(const std::filesystem::path& name);

}  // namespace lorikeet
