// Initialises a new adapter with the values of a trained one.
#pragma once

#include <filesystem>

#include "adapters/adapt.h"
#include "engine/network.h"

namespace lorikeet {

/// Copies the tensors of the adapter in `path`, the folder of an adapter or a run. Throws UsageError if there is none
/// and Error if it does not fit `adaptation`.
void start_from(const std::filesystem::path& path, const Adaptation& adaptation, Network& network);

}  // namespace lorikeet
