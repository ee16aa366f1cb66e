// Reads and writes state dicts in torch.save's format without Python. Code in the file is never run (io/pickle.h).
//
//   zip (since PyTorch 1.6)   NAME/data.pkl, the tree of tensors; NAME/data/KEY, one storage each; NAME/byteorder
//   legacy                    pickles: magic number, protocol version, system, tree, [KEY …]; then for each KEY its
//                             number of elements (i64) and the elements
//
// A tensor in the tree is (storage, offset, shape, strides). Storages may be shared. Every number is checked against
// the storage, and the storage against the file, before anything is allocated.
#pragma once

#include <filesystem>

#include "base/file.h"
#include "io/named_tensors.h"

namespace lorikeet {

/// Returns the tensors of a state dict, contiguous, in file order. The dict is the top level of the file or, in a
/// checkpoint, is stored under a common key: averaged weights ("state_dict_ema", "model_ema" …) take precedence over
/// plain ones ("state_dict", "model", "model_state_dict", "net" …); a single dict may have any key. Wrapper prefixes
/// ("module.", "_orig_mod." …) common to all names are removed. Tensors that share a storage in the file may share
/// memory. Other Python objects are skipped. `notes` lists what was chosen and skipped. Throws Error for any other
/// content.
NamedTensors read_pytorch_file(const std::filesystem::path& path);
NamedTensors read_pytorch_file(const InputFile& file);

/// Writes a plain dict of the tensors, in their order, in the zip format, which torch.load(weights_only=True) reads.
/// Each tensor is contiguous and has its own storage. The file is written atomically.
void write_pytorch_file(const std::filesystem::path& path, const NamedTensors& tensors);

}  // namespace lorikeet
