// State dicts as torch.save writes them, read without Python and without running what the file says (see io/pickle.h).
//
//   zip (since PyTorch 1.6)   NAME/data.pkl, the tree of tensors; NAME/data/KEY, one storage each; NAME/byteorder
//   legacy                    pickles: magic number, protocol version, system, tree, [KEY …]; then for each KEY its
//                             number of elements (i64) and the elements
//
// A tensor in the tree is (storage, offset, shape, strides); storages may be shared. Every number is checked against the
// storage, and the storage against the file, before anything is allocated.
#pragma once

#include <filesystem>

#include "base/file.h"
#include "io/named_tensors.h"

namespace lorikeet {

/// The tensors of a state dict, contiguous, in the order of the file. The dict is the file's top level or, in a
/// checkpoint, what it has under "state_dict", "model", "model_state" or "state_dict_ema" (the first that is there). The
/// prefix "module." of DataParallel is removed where all names have it. Tensors that share a storage in the file may
/// share memory here. Throws Error where the file is anything else, or names anything but tensors and plain values.
NamedTensors read_pytorch_file(const std::filesystem::path& path);
NamedTensors read_pytorch_file(const InputFile& file);

}  // namespace lorikeet
