// MNIST (LeCun, Cortes, Burges) and datasets in its format: two IDX files a split, images (N, H, W) and labels (N,).
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "data/dataset.h"

namespace lorikeet {

/// Reads `images` and `labels`, gzipped or not. Grey becomes three equal channels. Throws Error if their counts
/// differ, a label is not below the number of classes, or there is no image.
std::shared_ptr<const Dataset> read_mnist(const std::filesystem::path& images, const std::filesystem::path& labels,
                                          std::vector<std::string> classes);

}  // namespace lorikeet
