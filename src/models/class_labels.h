// The names of a model's classes, from its config.json or a file of names.
#pragma once

#include <cstdint>
#include <filesystem>
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

/// The class names in a file: one a line, a JSON list, an object by number ({"0": "tench", …}), or a config.json with
/// "id2label". Throws Error, beginning with `path`, for an empty name, a name given twice, or none.
std::vector<std::string> read_class_file(const std::filesystem::path& path);

}  // namespace lorikeet
