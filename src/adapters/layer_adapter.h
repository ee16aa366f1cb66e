// The adapter of one layer, for any method. Each method has its own file; `methods.h` lists them.
#pragma once

#include <ATen/core/Generator.h>
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "graph/graph.h"

namespace lorikeet {

/// Two thin matrices: y += scaling · B(A(dropout x)), A (r, in, kh, kw) or (r, in), B (out, r, 1, 1) or (out, r).
struct LowRank {
  at::Tensor lora_A;
  at::Tensor lora_B;
  double scaling = 1;
  double dropout = 0;
  /// Generator of dropout masks, on the device of the matrices; undefined: ATen's default generator.
  at::Generator generator = {};
};

class LayerAdapter {
 public:
  /// A tensor of the adapter, by the end of its key in PEFT's file: "lora_A.weight". Statistics are saved but not
  /// trained. If is_shared_tensor(suffix), that is the complete key, and `tensor` is the same in several layers.
  struct Part {
    std::string suffix;
    at::Tensor* tensor;
    bool learned = true;
  };

  virtual ~LayerAdapter() = default;

  virtual std::vector<Part> parts() = 0;
  /// Returns the layer's output for x, including the base's part. `base` are the layer's own tensors in x's element
  /// type; the adapter's are float32. Dropout is active only if `training`. Differentiable.
  virtual at::Tensor forward(const Op& op, const NodeTensors& base, const at::Tensor& x, bool training) const = 0;
  /// Returns the layer's tensors with the adapter merged. Throws Error, naming the node, if it cannot be merged.
  virtual NodeTensors merged(const Node& node, const NodeTensors& base) const = 0;

  /// Set if the adapter only adds a low-rank product to the layer, which an engine can fuse.
  virtual std::optional<LowRank> low_rank() const { return std::nullopt; }
  /// Number of tensors of the weight's size that a training step keeps for the backward pass, if the adapter changes
  /// the weight itself.
  virtual int kept_weights() const { return 0; }
  /// Tensors to save instead of the parts, if these differ: (suffix, tensor).
  virtual std::vector<std::pair<std::string, at::Tensor>> saved() const;
  /// Further tensors that are set at initialisation and not changed by training.
  virtual std::vector<Part> constants() { return {}; }
  /// Tensors that are neither saved nor changed, because they follow from a seed or from the base.
  virtual std::vector<at::Tensor*> fixed() { return {}; }
  /// Seeds dropout: its masks are a function of `seed` and the number of runs since this call.
  virtual void seed_dropout(std::uint64_t) {}
  /// Called after the values of the parts were replaced.
  virtual void loaded() {}
  /// Called after parts() and fixed() were moved to another device. Other tensors must follow.
  virtual void moved(at::Device) {}
};

/// Name and shape of a tensor that a method adds to a layer.
struct AdapterTensor {
  std::string suffix;
  std::vector<std::int64_t> shape;
  bool learned = true;
};

/// Whether the key is that of a tensor that all layers of an adapter, or groups of them, share: "tinylora_v.0". It has
/// no module in front of it.
bool is_shared_tensor(std::string_view key);

/// Multiplies each output's weights by its factor: weight (out, …); scale with `out` elements, in any shape.
at::Tensor scaled_outputs(const at::Tensor& weight, const at::Tensor& scale);

/// Kaiming-uniform with a = √5, PEFT's default initialisation: U(−1/√fan_in, 1/√fan_in), where fan_in is the product of
/// all dimensions except the first.
at::Tensor kaiming_uniform(at::IntArrayRef shape, at::Generator& generator);

}  // namespace lorikeet
