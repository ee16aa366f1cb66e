// RegNetY (Radosavovic et al., 2020, arXiv:2003.13678) as torchvision builds it.
#pragma once

#include <vector>

#include "models/model_entry.h"

namespace lorikeet {

std::vector<ModelEntry> regnet_models();

}  // namespace lorikeet
