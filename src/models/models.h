// The table of models: the graph and the official weights of each name. Each family's file has its entries.
#pragma once

#include <string>
#include <vector>

#include "models/model_entry.h"

namespace lorikeet {

const std::vector<ModelEntry>& models();

/// Returns the entry of a model or one of its weights: "resnet50", "resnet50.v1", "timm/convnext_tiny". Throws
/// UsageError, with the known families, if there is none.
const ModelEntry& find_model(const std::string& name);
/// Also throws UsageError if the model has no official weights.
const WeightsEntry& find_weights(const std::string& name);
/// Whether `find_weights` finds them.
bool has_weights(const std::string& name);
/// The preprocessing of the weights of that name, or of the model.
const Preprocessing& default_preprocessing(const std::string& name);
/// Whether `find_model` finds it.
bool is_model_name(const std::string& name);

}  // namespace lorikeet
