// CIFAR-10 and CIFAR-100 in their authors' binary format (Krizhevsky, 2009; cs.toronto.edu/~kriz/cifar.html):
// data_batch_1.bin … and test_batch.bin with records of a label and 3072 bytes, or train.bin and test.bin with records
// of a coarse label, a fine label and 3072 bytes; the pixels are a 32 × 32 red plane, then green and blue. The classes
// are the lines of batches.meta.txt or fine_label_names.txt, else the labels' numbers.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "data/splits.h"

namespace lorikeet {

/// Returns the folder with CIFAR's files: `folder`, or the one that its archive holds (cifar-10-batches-bin,
/// cifar-100-binary).
std::optional<std::filesystem::path> find_cifar(const std::filesystem::path& folder);

/// Whether `folder`, or the one that its archive holds, has the files of CIFAR's Python version, pickles, which are not
/// read.
bool is_python_cifar(const std::filesystem::path& folder);

/// Reads the files of a folder that find_cifar returned. Throws Error if a size is not
/// that of complete records or a label has no name.
Splits open_cifar(const std::filesystem::path& folder, const OpenOptions& options);

}  // namespace lorikeet
