// A dataset of image files with labels.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "data/dataset.h"

namespace lorikeet {

struct ImageFile {
  std::filesystem::path path;
  std::int64_t label = 0;
};

/// The images in that order. Files are read when an image is. REQUIRES: labels from 0 to classes − 1.
std::shared_ptr<const Dataset> image_files(std::vector<ImageFile> files, std::vector<std::string> classes,
                                           Exif exif = Exif::kApply);

}  // namespace lorikeet
