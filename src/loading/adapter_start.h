// The tensors of a new network to which an adapter's file refers (adapters/adapter_file.h).
#pragma once

#include <cstdint>
#include <filesystem>

#include "adapters/adapter_file.h"
#include "engine/network.h"

namespace lorikeet {

/// The tensors of has_start in a network of `adaptation` over `base_weights`, which they share where they are the
/// base's. A network is created only where a method computes some of them.
NamedTensors start_tensors(const Adaptation& adaptation, const NamedTensors& base_weights);
/// The same with a network that was just created.
NamedTensors start_tensors(const Adaptation& adaptation, const NamedTensors& base_weights, const Network& fresh);

/// A base for which adapters' files are read and written.
struct BaseView {
  const Graph& graph;
  const NamedTensors& weights;
};

/// Encodes the adapter over its base, as the content of a file.
EncodedAdapter encode_adapter(const AdapterFolder& folder, const BaseView& base, const StoredPrecision& precision);

/// Writes the same atomically. Throws Error before writing if check_adapter_file_destination does.
EncodedAdapter write_adapter_file(const std::filesystem::path& path, const AdapterFolder& folder, const BaseView& base,
                                  const StoredPrecision& precision);

/// Reads the folder or the file of an adapter over `base`, with all its tensors, PEFT's included. Throws Error if they
/// do not fit; the SHA-256 of the base is not compared.
AdapterFolder read_adapter_over(const std::filesystem::path& path, const BaseView& base);

}  // namespace lorikeet
