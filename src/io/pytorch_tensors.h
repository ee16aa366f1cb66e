// Converts the tree of a state dict's pickle to tensors by interpreting the calls and persistent ids of torch.save. The
// container (io/pytorch_file.cpp) provides the position of each storage in the file.
#pragma once

#include <c10/core/ScalarType.h>

#include <cstdint>
#include <map>
#include <string>

#include "base/file.h"
#include "io/named_tensors.h"
#include "io/pickle.h"

namespace lorikeet {

/// The content of a storage's persistent id.
struct PytorchStorage {
  std::string key;
  at::ScalarType type;  // kByte if untyped
  bool untyped;
  std::uint64_t bytes;
};

/// Parses the persistent id ('storage', type, key, location, number of elements[, None]). Throws Error, starting with
/// `where`, for any other value.
PytorchStorage parse_storage(const Pickle& pickle, const PickleValue& value, const std::string& where);

/// Position of the bytes of each storage in the file, by key.
struct Extent {
  std::uint64_t offset;
  std::uint64_t bytes;
};
using Extents = std::map<std::string, Extent>;

/// Returns the tensors of the state dict in `pickle`, as described for read_pytorch_file. Each storage is read at most
/// once, when a tensor needs it. REQUIRES: the extents are inside the file and do not overlap.
NamedTensors read_state_dict(const InputFile& file, const Pickle& pickle, const Extents& extents);

}  // namespace lorikeet
