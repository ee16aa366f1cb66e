// State dicts as torch.save writes them, read and written without Python; what the file says is never run
// (io/pickle.h).
//
//   zip (since PyTorch 1.6)   NAME/data.pkl, the tree of tensors; NAME/data/KEY, one storage each; NAME/byteorder
//   legacy                    pickles: magic number, protocol version, system, tree, [KEY …]; then for each KEY its
//                             number of elements (i64) and the elements
//
// A tensor in the tree is (storage, offset, shape, strides); storages may be shared. Every number is checked against
// the storage, and the storage against the file, before anything is allocated.
#pragma once

#include <filesystem>

#include "base/file.h"
#include "io/named_tensors.h"

namespace lorikeet {

/// The tensors of a state dict, contiguous, in the order of the file. The dict is the file's top level or, in a
/// checkpoint, what it has under a usual key: averaged weights ("state_dict_ema", "model_ema" …) before plain ones
/// ("state_dict", "model", "model_state_dict", "net" …), or under another key where that is the only one. Wrappers'
/// prefixes ("module.", "_orig_mod." …) are removed where all names have them. Tensors that share a storage in the file
/// may share memory here. Objects of Python beside the tensors are skipped; `notes` says what was chosen and skipped.
/// Throws Error where the file is anything else.
NamedTensors read_pytorch_file(const std::filesystem::path& path);
NamedTensors read_pytorch_file(const InputFile& file);

/// A plain dict of the tensors, in their order, in the zip format, which torch.load(weights_only=True) reads. Each is
/// contiguous and alone in its storage. Written whole or not at all.
void write_pytorch_file(const std::filesystem::path& path, const NamedTensors& tensors);

}  // namespace lorikeet
