// The sets of layers that a search adapts, by the structure of the network. Its stages are the blocks of its modules'
// names (block_of, base/text.h): "layer4" of a ResNet, "blocks.0" of a vision transformer.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "adapters/adapter_config.h"
#include "graph/graph.h"

namespace lorikeet {

struct Stage {
  std::string name;
  /// In graph order.
  std::vector<std::string> modules;
};

/// The layers that `method` can adapt, by stage: of a transformer those of target_modules: auto; of another network its
/// 1×1 convolutions or, if those are less than half, its convolutions; without the few on shortcuts, and without what
/// precedes the stages. Of LN_TUNING the normalisations. In graph order.
std::vector<Stage> stages_of(const Graph& graph, PeftType method);

/// Names of places: `last`, the last quarter of the stages; `half`, the last half; `middle`, the half in
/// the middle; `all`; `gradient`, the half of the stages with the largest gradients. Shares are rounded up.
const std::vector<std::string>& place_names();

/// The stages of a place. `gradients` has a number for each module of stages_of(graph, LORA), which `gradient` compares
/// by their means; the stages stay in graph order. REQUIRES: one of place_names().
std::vector<Stage> stages_at(const std::string& place, const std::vector<Stage>& stages,
                             const std::map<std::string, double>& gradients);

/// The mean of the modules' gradients.
double mean_gradient(const std::vector<Stage>& stages, const std::map<std::string, double>& gradients);

/// target_modules for exactly the modules of these stages: a short expression where there is one, which takes few bytes
/// in an adapter's file, otherwise their names. As YAML.
std::string targets_yaml(const Graph& graph, const std::vector<Stage>& stages);

}  // namespace lorikeet
