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
/// checkpoint, what it has under "state_dict", "model", "model_state" or "state_dict_ema" (the first that is there).
/// The prefix "module." of DataParallel is removed where all names have it. Tensors that share a storage in the file
/// may share memory here. Throws Error where the file is anything else, or names anything but tensors and plain values.
NamedTensors read_pytorch_file(const std::filesystem::path& path);
NamedTensors read_pytorch_file(const InputFile& file);

/// A plain dict of the tensors, in their order, in the zip format, which torch.load(weights_only=True) reads. Each is
/// contiguous and alone in its storage. Written whole or not at all.
void write_pytorch_file(const std::filesystem::path& path, const NamedTensors& tensors);

}  // namespace lorikeet
