// Image folders: `train|val|test/<class>/**/*.jpg|jpeg|png`. Classes are the folder names in byte order; images are
// sorted by folder, then by name. Both orders are those of torchvision's ImageFolder.
//
// Subfolders of a class belong to it. Links are followed, but each folder is read only once per class, so circular
// links are harmless. Other files, hidden files and folders, and folders created by systems (@eaDir, __MACOSX) are
// ignored. Notes list what was ignored.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "data/dataset.h"

namespace lorikeet {

/// One split of an image folder.
struct FolderSplit {
  /// Null if the split is empty or its images have no labels.
  std::shared_ptr<const Dataset> images;
  /// One sentence each: what was ignored, classes without images.
  std::vector<std::string> notes;
};

/// Reads `root/split/<class>/…`, or `root/<class>/…` if `split` is empty. `classes` are those known to training. If
/// empty, the split defines the classes, and each must have an image. Throws Error for a class that is not in
/// `classes`, or without images in a split that defines the classes; if there are other classes, both are added to
/// `faults` instead where that is not null.
FolderSplit read_image_folder(const std::filesystem::path& root, const std::string& split,
                              const std::vector<std::string>& classes, Exif exif = Exif::kApply,
                              std::vector<std::string>* faults = nullptr);

/// Whether files with this extension, in lower case with its dot, are read as images.
bool is_image_extension(const std::string& lower);

/// Whether a folder in `root` has images, in it or below it.
bool has_class_folders(const std::filesystem::path& root);

/// The images in `folder` and its subfolders, sorted by folder, then by name, and those of formats that are not read.
struct FoundImages {
  std::vector<std::filesystem::path> images, others;
};
FoundImages images_in(const std::filesystem::path& folder);

/// Whether `root` has a folder for that split.
bool has_split(const std::filesystem::path& root, const std::string& split);

/// Returns which of `names`, alternative folder names of one split, exists in `root`. Throws Error if several do.
std::optional<std::string> find_split(const std::filesystem::path& root, const std::vector<std::string>& names);

/// Returns the names of the folders in `folder` in byte order, without hidden ones and those created by systems.
std::vector<std::string> folders_in(const std::filesystem::path& folder);

}  // namespace lorikeet
