// Image folders: `train|val|test/<class>/**/*.jpg|jpeg|png`. Classes are the names of the folders in
// byte order; images are ordered by folder, then by name. Both are the order of torchvision's ImageFolder.
//
// Sub-folders of a class belong to it. Links are followed, but no folder is read twice for a class, so that links
// cannot loop. Files that are no images, hidden files, hidden folders and folders that systems make (@eaDir, __MACOSX)
// do not count; what was ignored is said in notes.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "data/dataset.h"

namespace lorikeet {

/// One split as it was read.
struct FolderSplit {
  /// Null where the split can be neither learned from nor judged on: it is empty, or its images have no labels.
  std::shared_ptr<const Dataset> images;
  /// One sentence each, for people: what was ignored, which classes have no images.
  std::vector<std::string> notes;
};

/// `root/split/<class>/…`, where `classes` are those that training knows. Where that is empty the split itself defines
/// them, and each needs an image. Throws Error for a class that `classes` lacks, and where a split that defines the
/// classes lacks images of one.
FolderSplit read_image_folder(const std::filesystem::path& root, const std::string& split,
                              const std::vector<std::string>& classes);

/// Whether `root` has a folder of that split.
bool has_split(const std::filesystem::path& root, const std::string& split);

/// Which of `names`, folders for the same split, is in `root`. Throws Error where two of them are.
std::optional<std::string> find_split(const std::filesystem::path& root, const std::vector<std::string>& names);

/// The folders in `folder`, by name, in byte order; without hidden ones and those that systems make.
std::vector<std::string> folders_in(const std::filesystem::path& folder);

}  // namespace lorikeet
