// The table of models: which graph a name stands for, and its official weights. One file a family holds the lines.
#pragma once

#include <string>
#include <vector>

#include "models/model_entry.h"

namespace lorikeet {

const std::vector<ModelEntry>& models();

/// The entry of a model or of one of its weights: "resnet50", "resnet50.v1", "timm/convnext_tiny". Throws UsageError,
/// with the families there are, if there is none.
const ModelEntry& find_model(const std::string& name);
/// Throws UsageError if the model has no official weights, too.
const WeightsEntry& find_weights(const std::string& name);
/// Whether `find_weights` would find them.
bool has_weights(const std::string& name);
/// Of the weights of that name, or else of the model.
const Preprocessing& default_preprocessing(const std::string& name);
/// Whether `find_model` would find it.
bool is_model_name(const std::string& name);

}  // namespace lorikeet
