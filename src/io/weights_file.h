// Weights files of any supported format, detected from the content. Only for writing does the file name's ending
// determine the format.
#pragma once

#include <filesystem>
#include <string>

#include "base/file.h"
#include "io/named_tensors.h"

namespace lorikeet {

enum class WeightsFormat {
  kSafetensors,
  kZip,     // torch.save's current format, or any other zip archive
  kPickle,  // torch.save's legacy format, or any other pickle
  kOther,
};

/// Guesses the format from the first bytes. The readers check the rest.
WeightsFormat weights_format(const InputFile& file);

/// Describes the content by its first bytes, for messages: "a gzip file", "an HTML page" …
std::string describe_content(const InputFile& file);

/// Reads a safetensors file (io/safetensors.h) or a PyTorch state dict (io/pytorch_file.h), without wrapper prefixes.
NamedTensors read_weights_file(const std::filesystem::path& path);

/// Throws UsageError unless `path` ends in ".safetensors" or ".pth".
void check_weights_name(const std::filesystem::path& path);

/// Writes the format given by the file name's ending. Throws UsageError as check_weights_name does.
void write_weights_file(const std::filesystem::path& path, const NamedTensors& tensors);

}  // namespace lorikeet
