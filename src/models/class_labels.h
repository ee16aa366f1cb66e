// The names of a model's classes, from its config.json.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "models/config_values.h"

namespace lorikeet {

/// transformers' "id2label": {"0": "tench", …}; without it LABEL_0 … of "num_labels", which is 2 by default. Throws
/// Error, beginning with the key, unless there is one label for each number from 0 on.
std::vector<std::string> transformers_labels(const ConfigValues& config);

/// timm's "label_names" (a list, or an object by number), with the texts of "label_descriptions" where there are some;
/// empty where there are no names. `config` is pretrained_cfg.
std::vector<std::string> timm_labels(const ConfigValues& config);

}  // namespace lorikeet
