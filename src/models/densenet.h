// DenseNet (Huang et al., 2017, arXiv:1608.06993) as torchvision builds it.
#pragma once

#include <vector>

#include "models/model_entry.h"

namespace lorikeet {

std::vector<ModelEntry> densenet_models();

}  // namespace lorikeet
