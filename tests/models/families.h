// A small model of each family, for tests that take too long over the table of models.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "models/models.h"

namespace lorikeet {

/// The model with the fewest parameters of each family and library.
inline std::vector<const ModelEntry*> smallest_models() {
  std::map<std::pair<std::string, Library>, std::pair<std::int64_t, const ModelEntry*>> smallest;
  for (const ModelEntry& model : models()) {
    std::int64_t count = 0;
    for (const auto& parameter : model.build().parameters()) count += parameter.count();
    auto& entry = smallest[{model.family, model.library}];
    if (entry.second == nullptr || count < entry.first) entry = {count, &model};
  }
  std::vector<const ModelEntry*> out;
  for (const auto& [key, entry] : smallest) out.push_back(entry.second);
  return out;
}

}  // namespace lorikeet
