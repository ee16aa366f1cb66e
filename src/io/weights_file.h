// Weights in any format that we read, told apart by content: the ending of the name says nothing, but for what is
// written.
#pragma once

#include <filesystem>
#include <string>

#include "base/file.h"
#include "io/named_tensors.h"

namespace lorikeet {

enum class WeightsFormat {
  kSafetensors,
  kZip,     // torch.save's present format, or any other zip archive
  kPickle,  // torch.save's legacy format, or any other pickle
  kOther,
};

/// What the first bytes say. A guess: the readers check the rest.
WeightsFormat weights_format(const InputFile& file);

/// What the first bytes say, for messages: "a gzip file", "an HTML page" …
std::string describe_content(const InputFile& file);

/// The tensors of a safetensors file (io/safetensors.h) or of a state dict of PyTorch (io/pytorch_file.h), without a
/// wrapper's prefix.
NamedTensors read_weights_file(const std::filesystem::path& path);

/// Throws UsageError unless `path` ends in ".safetensors" or ".pth".
void check_weights_name(const std::filesystem::path& path);

/// Writes the format that the name's ending says. Throws UsageError as check_weights_name does.
void write_weights_file(const std::filesystem::path& path, const NamedTensors& tensors);

}  // namespace lorikeet
