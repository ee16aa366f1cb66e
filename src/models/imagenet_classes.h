// The class names of ImageNet-1k.
#pragma once

#include <string>
#include <vector>

namespace lorikeet {

const std::vector<std::string>& imagenet_classes();

}  // namespace lorikeet
