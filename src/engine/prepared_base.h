// The prepared frozen weights of a base: convolutions with BatchNorm folded in, their packed weights, and copies in
// another element type or memory layout. All executors of networks that share the base's tensors share it, on any
// number of threads, so an adapter needs no copy of the base. Weights are packed on first use, under a lock. Packing
// never changes the results (kernels/packings.h).
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <vector>

#include "engine/fusion.h"
#include "engine/network.h"
#include "kernels/frozen_conv.h"
#include "kernels/frozen_int8_conv.h"
#include "kernels/frozen_int8_linear.h"

namespace lorikeet {

/// A frozen convolution with its BatchNorm folded in; a frozen Linear as a 1×1 convolution of rows.
struct PreparedConv {
  at::Tensor bias;   // (out,) float32, with BatchNorm's shift folded in
  at::Tensor scale;  // (out,) float32: BatchNorm's scale, which applies to LoRA too; ones without BatchNorm
  FrozenConv conv;
};

/// Thread-safe. Entries are identified by their source tensors: networks share them if they share these tensors'
/// memory. The tensors must not change.
class PreparedBase {
 public:
  PreparedBase() = default;
  PreparedBase(const PreparedBase&) = delete;
  PreparedBase& operator=(const PreparedBase&) = delete;

  /// REQUIRES: step.frozen_layer.
  std::shared_ptr<const PreparedConv> conv(const Network& network, const FusedStep& step, at::ScalarType precision);
  /// The same convolution in int8, for inputs of this quantization. REQUIRES: a frozen Conv2d.
  std::shared_ptr<const FrozenInt8Conv> int8_conv(const Network& network, const FusedStep& step,
                                                  const Quantization& input);
  /// The step's Linear in int8. REQUIRES: a frozen Linear.
  std::shared_ptr<const FrozenInt8Linear> int8_linear(const Network& network, const FusedStep& step);
  /// The tensors of a frozen node, converted to `precision` except those that stay float32, and to `layout` if they
  /// have four dimensions.
  std::shared_ptr<const NodeTensors> tensors(const Network& network, NodeId id, at::ScalarType precision,
                                             at::MemoryFormat layout);

  /// Frees entries that no executor uses.
  void release_unused();

  /// Bytes of packed and copied weights.
  std::uint64_t bytes() const;

 private:
  using Key = std::vector<std::int64_t>;

  // Keeps the tensors identified by the key alive, so that their addresses are not reused.
  template <typename Value>
  struct Entry {
    std::vector<NodeTensors> sources;
    std::shared_ptr<const Value> value;
  };
  template <typename Value>
  using Entries = std::map<Key, Entry<Value>>;

  mutable std::mutex mutex_;
  Entries<PreparedConv> convs_;
  Entries<FrozenInt8Conv> int8_convs_;
  Entries<FrozenInt8Linear> int8_linears_;
  Entries<NodeTensors> tensors_;
};

}  // namespace lorikeet
