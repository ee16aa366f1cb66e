// Initialises a new adapter with the values of a trained one.
#pragma once

#include <filesystem>

#include "adapters/adapt.h"
#include "engine/network.h"
#include "loading/adapter_start.h"

namespace lorikeet {

/// Copies the tensors of the adapter in `path`, the folder or file of an adapter or the folder of a run, to `network`,
/// that of `adaptation` over `base`. Throws UsageError if there is none and Error if it does not fit.
void start_from(const std::filesystem::path& path, const BaseView& base, const Adaptation& adaptation,
                Network& network);

}  // namespace lorikeet
