// Creates a LoRA adapter from explicit matrices for each layer instead of patterns; used by combine and extract.
#pragma once

#include <string>
#include <vector>

#include "adapters/adapt.h"
#include "adapters/adapter_folder.h"
#include "adapters/factorise.h"

namespace lorikeet {

/// A layer and its matrices, with scale 1.
struct ExplicitLayer {
  std::string name;
  Factors factors;
};

/// Adds to `folder` the tensors of these layers and a configuration that targets exactly them, each with its rank.
/// Existing modules_to_save and tensors stay. `graph` is the base's.
void put_layers(const std::vector<ExplicitLayer>& layers, const Graph& graph, AdapterFolder& folder);

}  // namespace lorikeet
