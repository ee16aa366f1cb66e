// A new adapter that starts with the values of a trained one.
#pragma once

#include <filesystem>

#include "adapters/adapt.h"
#include "engine/network.h"

namespace lorikeet {

/// Copies in the tensors of the adapter in `path`, an adapter's or a run's folder. Throws UsageError where there is
/// none, Error where it does not fit `adaptation`.
void start_from(const std::filesystem::path& path, const Adaptation& adaptation, Network& network);

}  // namespace lorikeet
