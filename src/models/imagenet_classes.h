// The names of ImageNet-1k's classes.
#pragma once

#include <string>
#include <vector>

namespace lorikeet {

const std::vector<std::string>& imagenet_classes();

}  // namespace lorikeet
