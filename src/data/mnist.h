// MNIST (LeCun, Cortes, Burges) and datasets in its format: two IDX files per split, images (N, H, W) and labels (N,).
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "data/dataset.h"

namespace lorikeet {

/// Reads `images` and `labels`, gzipped or not. Grey images become three equal channels. Throws Error if the numbers of
/// images and labels differ, a label is too large, or there are no images.
std::shared_ptr<const Dataset> read_mnist(const std::filesystem::path& images, const std::filesystem::path& labels,
                                          std::vector<std::string> classes);

}  // namespace lorikeet
