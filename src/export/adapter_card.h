// Creates the model card of an adapter from the adapter and the model table.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "adapters/adapter_folder.h"
#include "loading/adapter_start.h"

namespace lorikeet {

/// Returns the folder's README.md; empty for an adapter without metadata.
std::string adapter_card(const AdapterFolder& folder);

/// Calls write_adapter_folder with the model card included.
void write_adapter_with_card(const std::filesystem::path& path, AdapterFolder& folder);

/// Writes the adapter over its base to `path`: as one file in the given precision if the name has its ending, otherwise
/// as write_adapter_with_card does. Returns the bytes of the file, or of adapter_model.safetensors.
std::uint64_t save_adapter(const std::filesystem::path& path, AdapterFolder& folder, const BaseView& base,
                           const StoredPrecision& precision = {});

}  // namespace lorikeet
