// What happens to images before a model of the Hub, from its files: preprocessor_config.json of transformers (its image
// processors as of version 5, over PIL), and `pretrained_cfg` in timm's config.json (its evaluation transform).
//
// All functions throw Error, beginning with the key, for values of another type and for steps that image/transform.h
// does not have. What is left out or replaced is appended to `notes`, one line each.
#pragma once

#include <string>
#include <vector>

#include "base/json.h"
#include "image/preprocessing.h"

namespace lorikeet {

/// `json` is the content of preprocessor_config.json. Keys that are missing have the defaults of the class that
/// "image_processor_type" or "feature_extractor_type" names, or else of the class that `model_type` has in
/// transformers.
Preprocessing transformers_preprocessing(const Json& json, const std::string& model_type,
                                         std::vector<std::string>& notes);

/// `json` is `pretrained_cfg`: input_size, crop_pct, crop_mode, interpolation, mean and std.
Preprocessing timm_config_preprocessing(const Json& json, std::vector<std::string>& notes);

}  // namespace lorikeet
