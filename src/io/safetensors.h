// The safetensors format (github.com/huggingface/safetensors, format version 0.x):
//
//   file   := length (u64, little-endian)  header (JSON, `length` bytes, padded with spaces)  data
//   header := {"__metadata__"?: {text: text}, NAME: {"dtype": D, "shape": [n, …], "data_offsets": [begin, end]}, …}
//
// Offsets are relative to `data`; the tensors cover it wholly, without gap or overlap. Reading checks all of it
// before any tensor is allocated.
#pragma once

#include <filesystem>

#include "base/file.h"
#include "io/named_tensors.h"

namespace lorikeet {

/// Names in file order of their data. Throws Error, naming the tensor, if the file is not as the grammar says.
NamedTensors read_safetensors(const std::filesystem::path& path);
NamedTensors read_safetensors(const InputFile& file);

/// Tensors in the order given, as the Python package lays them out for one dtype. Written completely or not at all.
void write_safetensors(const std::filesystem::path& path, const NamedTensors& tensors);

}  // namespace lorikeet
