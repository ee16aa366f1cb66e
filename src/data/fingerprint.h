// Hashes that tell whether data is the same, wherever it is: over the order, labels and stored bytes of its images, not
// over their paths.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "data/dataset.h"

namespace lorikeet {

/// Returns a hash of the classes, and of each image's label, size in bytes and content. The content is all bytes if
/// those of `datasets` are at most `most_bytes`, and otherwise an equal share of `most_bytes` at the end of each image.
/// `datasets` may have nulls. Throws Error if an image cannot be read.
std::string content_fingerprint(const std::vector<std::shared_ptr<const Dataset>>& datasets,
                                std::uint64_t most_bytes = 1ULL << 30);

/// Returns a hash of the classes, and of each image's label and size in bytes. Reads no images.
std::string size_fingerprint(const std::shared_ptr<const Dataset>& dataset);

}  // namespace lorikeet
