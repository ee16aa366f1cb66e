// The safetensors format (github.com/huggingface/safetensors, format version 0.x):
//
//   file   := length (u64, little-endian)  header (JSON, `length` bytes, padded with spaces)  data
//   header := {"__metadata__"?: {text: text}, NAME: {"dtype": D, "shape": [n, …], "data_offsets": [begin, end]}, …}
//
// Offsets are relative to `data`. The tensors cover it completely, without gaps or overlaps. Reading checks all of this
// before allocating any tensor.
#pragma once

#include <filesystem>

#include "base/file.h"
#include "io/named_tensors.h"

namespace lorikeet {

/// Returns the tensors in the order of their data. Throws Error, naming the tensor, if the file does not follow the
/// grammar.
NamedTensors read_safetensors(const std::filesystem::path& path);
NamedTensors read_safetensors(const InputFile& file);

/// Writes the tensors atomically in the given order, as the Python package does for a single dtype.
void write_safetensors(const std::filesystem::path& path, const NamedTensors& tensors);

}  // namespace lorikeet
