// What a name that a user gives means: a model of the table, a weights file, an adapter, or a run with its adapter.
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

/// What there is under `name`; where nothing is, a model's name, which need not be known. Throws Error for a folder
/// without an adapter and for a path to nothing.
ResolvedName resolve_name(const std::string& name);

/// The adapter's folder that `name` means: itself, or `adapter` in a run's folder; nothing where it is neither.
std::optional<std::filesystem::path> adapter_path(const std::filesystem::path& name);

/// The same. Throws Error where `name` is neither.
std::filesystem::path find_adapter(const std::filesystem::path& name);

}  // namespace lorikeet
