// Creates the model card of an adapter from the adapter and the model table.
#pragma once

#include <filesystem>
#include <string>

#include "adapters/adapter_folder.h"

namespace lorikeet {

/// Returns the folder's README.md; empty for an adapter without metadata.
std::string adapter_card(const AdapterFolder& folder);

/// Calls write_adapter_folder with the model card included.
void write_adapter_with_card(const std::filesystem::path& path, AdapterFolder& folder);

}  // namespace lorikeet
