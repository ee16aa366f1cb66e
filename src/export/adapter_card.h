// What the model card of an adapter says, from the adapter and the tables of models.
#pragma once

#include <filesystem>
#include <string>

#include "adapters/adapter_folder.h"

namespace lorikeet {

/// README.md of the folder; empty for an adapter without metadata, of which there is too little to tell.
std::string adapter_card(const AdapterFolder& folder);

/// write_adapter_folder with the card that belongs to it.
void write_adapter_with_card(const std::filesystem::path& path, AdapterFolder& folder);

}  // namespace lorikeet
