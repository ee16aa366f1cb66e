// Resolves a name given by a user: a model of the table, a weights file, an adapter, or a run with its adapter.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

namespace lorikeet {

enum class NameKind { kModel, kWeightsFile, kAdapter };

struct ResolvedName {
  NameKind kind = NameKind::kModel;
  /// The file, or the adapter's folder (`adapter` in a run's); empty for a model's name.
  std::filesystem::path path = {};
};

/// What `name` refers to. If nothing exists there, it is a model's name, known or not. Throws Error for a folder
/// without an adapter and for a path to nothing.
ResolvedName resolve_name(const std::string& name);

/// The adapter's folder that `name` means: itself, or `adapter` in a run's folder; nothing where it is neither.
std::optional<std::filesystem::path> adapter_path(const std::filesystem::path& name);

/// The same. Throws Error where `name` is neither.
std::filesystem::path find_adapter(const std::filesystem::path& name);

}  // namespace lorikeet
