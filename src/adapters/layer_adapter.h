// What an adapter puts on one layer, whatever the method. One file a method implements it; `methods.h` lists them.
#pragma once

#include <ATen/core/Generator.h>
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "graph/graph.h"

namespace lorikeet {

/// Two thin matrices: y += scaling · B(A(dropout x)), A (r, in, kh, kw) or (r, in), B (out, r, 1, 1) or (out, r).
struct LowRank {
  at::Tensor lora_A;
  at::Tensor lora_B;
  double scaling = 1;
  double dropout = 0;
  /// Of dropout's masks, on the device of the matrices; undefined: ATen's default one.
  at::Generator generator = {};
};

class LayerAdapter {
 public:
  /// One of its tensors, by the end of its key in PEFT's file: "lora_A.weight". Statistics are kept but not learned.
  struct Part {
    std::string suffix;
    at::Tensor* tensor;
    bool learned = true;
  };

  virtual ~LayerAdapter() = default;

  virtual std::vector<Part> parts() = 0;
  /// The layer's output for x, the base's part included. `base` are the layer's own tensors in x's element type; the
  /// adapter's are float32. Dropout acts only where `training`. Differentiable.
  virtual at::Tensor forward(const Op& op, const NodeTensors& base, const at::Tensor& x, bool training) const = 0;
  /// The layer's tensors with the adapter in them. Throws Error, naming the node, where no such layer exists.
  virtual NodeTensors merged(const Node& node, const NodeTensors& base) const = 0;

  /// Set where the adapter is nothing but a low-rank product beside the layer, which an engine may then fuse.
  virtual std::optional<LowRank> low_rank() const { return std::nullopt; }
  /// How many tensors as large as the layer's weight a training step keeps for the backward pass, where the adapter
  /// changes the weight itself.
  virtual int kept_weights() const { return 0; }
  /// What the adapter's file holds, where that is not its parts: (suffix, tensor).
  virtual std::vector<std::pair<std::string, at::Tensor>> saved() const;
  /// What else it computes with, which training does not change and the start determines.
  virtual std::vector<Part> constants() { return {}; }
  /// The masks of dropout are from now on a function of `seed` and of how often the layer ran since.
  virtual void seed_dropout(std::uint64_t) {}
  /// The values of the parts were replaced.
  virtual void loaded() {}
  /// The parts were moved to another device; what else there is must follow.
  virtual void moved(at::Device) {}
};

/// Name and shape of a tensor that a method puts on a layer.
struct AdapterTensor {
  std::string suffix;
  std::vector<std::int64_t> shape;
  bool learned = true;
};

/// Each output's weights times its factor: weight (out, …), scale of out elements, any shape.
at::Tensor scaled_outputs(const at::Tensor& weight, const at::Tensor& scale);

/// Kaiming-uniform with a = √5, as PEFT's methods start: U(−1/√fan_in, 1/√fan_in), fan_in being all dimensions but the
/// first.
at::Tensor kaiming_uniform(at::IntArrayRef shape, at::Generator& generator);

}  // namespace lorikeet
