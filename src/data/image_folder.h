// A folder of one's own images: `train|val|test/<class>/*.jpg|jpeg|png`. Classes are the folders' names in byte order,
// as torchvision's ImageFolder numbers them; every split has the classes of `train`.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "data/dataset.h"

namespace lorikeet {

/// `root/split/<class>/…`. Throws Error where a split has no images, or a class that `classes` lacks (unless it is
/// empty).
std::shared_ptr<const Dataset> read_image_folder(const std::filesystem::path& root, const std::string& split,
                                                 const std::vector<std::string>& classes);

/// Whether `root` has a folder of that split.
bool has_split(const std::filesystem::path& root, const std::string& split);

/// The names of the classes in `root/split`.
std::vector<std::string> folder_classes(const std::filesystem::path& root, const std::string& split);

}  // namespace lorikeet
