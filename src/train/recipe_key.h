// Suggests the recipe key for an unknown name: a misspelling or the name in another program.
#pragma once

#include <string>
#include <vector>

namespace lorikeet {

/// Returns the one of `keys` that `name` means, or "" if none is near. Dashes count as underscores, so option names
/// such as "batch-size" are accepted.
std::string meant_key(const std::string& name, const std::vector<std::string>& keys);

}  // namespace lorikeet
