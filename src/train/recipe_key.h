// Which key of a recipe is meant by a name that is none: misspelt, or another program's.
#pragma once

#include <string>
#include <vector>

namespace lorikeet {

/// The one of `keys` that `name` is or means, "" where none is near. Dashes count as underscores, so that an option's
/// name can be given: "batch-size".
std::string meant_key(const std::string& name, const std::vector<std::string>& keys);

}  // namespace lorikeet
