// The prepared form of a base's frozen weights: convolutions with BatchNorm folded in, their packed weights, and
// copies in another element type or memory layout. It belongs to the base, not to an executor: all executors over
// networks that share the base's tensors share it, on any number of threads, so an adapter costs no copy of the base.
// What is packed is packed under a lock when it is first needed, and never changes the results (kernels/packings.h).
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

namespace lorikeet {

/// A frozen convolution with its BatchNorm folded in; a frozen Linear as a 1×1 convolution of rows.
struct PreparedConv {
  at::Tensor bias;   // (out,) float32, BatchNorm's shift in it
  at::Tensor scale;  // (out,) float32: by what BatchNorm multiplies, LoRA's part too; ones without BatchNorm
  FrozenConv conv;
};

/// For any number of threads. Entries are found by the identity of the tensors that they are made of: networks share
/// them where they share these tensors' memory. The tensors must not change.
class PreparedBase {
 public:
  PreparedBase() = default;
  PreparedBase(const PreparedBase&) = delete;
  PreparedBase& operator=(const PreparedBase&) = delete;

  /// REQUIRES: step.frozen_layer.
  std::shared_ptr<const PreparedConv> conv(const Network& network, const FusedStep& step, at::ScalarType precision);
  /// The same convolution in int8, for inputs of this quantization. REQUIRES: step.frozen_layer.
  std::shared_ptr<const FrozenInt8Conv> int8_conv(const Network& network, const FusedStep& step,
                                                  const Quantization& input);
  /// The tensors of a frozen node: in `precision` but for those that stay float32, and those of four dimensions in
  /// `layout`.
  std::shared_ptr<const NodeTensors> tensors(const Network& network, NodeId id, at::ScalarType precision,
                                             at::MemoryFormat layout);

  /// Drops what no executor uses.
  void release_unused();

  /// Bytes of what is packed or copied.
  std::uint64_t bytes() const;

 private:
  using Key = std::vector<std::int64_t>;

  // Keeps the tensors that the key identifies alive, so that no others can take their place.
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
  Entries<NodeTensors> tensors_;
};

}  // namespace lorikeet
