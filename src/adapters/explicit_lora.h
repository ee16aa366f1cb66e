// A LoRA adapter from the matrices themselves, layer by layer, instead of from patterns: what combining and extracting
// give.
#pragma once

#include <string>
#include <vector>

#include "adapters/adapt.h"
#include "adapters/adapter_folder.h"
#include "adapters/factorise.h"

namespace lorikeet {

/// A layer and its matrices, whose scale is 1.
struct ExplicitLayer {
  std::string name;
  Factors factors;
};

/// Puts a configuration that names just these layers, each with its rank, and their tensors into `folder`, beside the
/// modules_to_save and tensors that are there. `graph` is the base's.
void put_layers(const std::vector<ExplicitLayer>& layers, const Graph& graph, AdapterFolder& folder);

}  // namespace lorikeet
