// MNIST (LeCun, Cortes, Burges) and datasets in its format: two IDX files per split, images (N, H, W) and labels (N,).
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "data/dataset.h"

namespace lorikeet {

/// The files of a dataset in MNIST's format; those that are missing are empty.
struct MnistFiles {
  std::filesystem::path train_images, train_labels, test_images, test_labels;
  /// What precedes "train" in the names: "emnist-letters-", or nothing.
  std::string prefix;
};

/// Finds the files under the names that are around: train-images-idx3-ubyte, train-images.idx3-ubyte,
/// emnist-letters-test-labels-idx1-ubyte …, each also with .gz, or in a folder of the same name, as Kaggle's archives
/// have them. "t10k" and "test" mean the test split. Returns nothing if there are none. Throws Error if the folder has
/// more than one such dataset.
std::optional<MnistFiles> find_mnist(const std::filesystem::path& folder);

/// Reads `images` and `labels`, gzipped or not. Grey images become three equal channels. `first_label` is the label of
/// the first class: 1 for EMNIST Letters. Throws Error if the numbers of images and labels differ, a label is out of
/// range, or there are no images.
std::shared_ptr<const Dataset> read_mnist(const std::filesystem::path& images, const std::filesystem::path& labels,
                                          std::vector<std::string> classes, int first_label = 0);

}  // namespace lorikeet
