// The JSON Schema of recipes, generated from their keys, with which editors complete and check recipes.
#pragma once

#include "base/json.h"

namespace lorikeet {

/// Draft 7, which the editors' YAML language server reads: types, ranges, choices, defaults and meanings of all keys.
Json recipe_schema();

}  // namespace lorikeet
