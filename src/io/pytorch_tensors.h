// From the tree of a state dict's pickle to tensors: what the calls and persistent ids of torch.save mean. The
// container (io/pytorch_file.cpp) says where in the file each storage lies.
#pragma once

#include <c10/core/ScalarType.h>

#include <cstdint>
#include <map>
#include <string>

#include "base/file.h"
#include "io/named_tensors.h"
#include "io/pickle.h"

namespace lorikeet {

/// What a persistent id says of a storage.
struct PytorchStorage {
  std::string key;
  at::ScalarType type;  // kByte where it is untyped
  bool untyped;
  std::uint64_t bytes;
};

/// The persistent id ('storage', type, key, location, number of elements[, None]). Throws Error, beginning with
/// `where`, for any other value.
PytorchStorage parse_storage(const Pickle& pickle, const PickleValue& value, const std::string& where);

/// Where the bytes of each storage lie in the file, by key.
struct Extent {
  std::uint64_t offset;
  std::uint64_t bytes;
};
using Extents = std::map<std::string, Extent>;

/// The tensors of the state dict in `pickle`, as read_pytorch_file describes them. Storages are read when a tensor
/// needs them, once. REQUIRES: the extents lie inside the file and do not overlap.
NamedTensors read_state_dict(const InputFile& file, const Pickle& pickle, const Extents& extents);

}  // namespace lorikeet
