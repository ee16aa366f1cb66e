// Runs a plan. The plain executor uses ATen operators and ordinary autograd: slow, simple, and the reference of the
// fused executor.
#pragma once

#include <ATen/core/Tensor.h>

#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "engine/network.h"
#include "engine/plan.h"
#include "graph/activation_ranges.h"
#include "lorikeet/compute.h"

namespace lorikeet {

/// Inputs of a training step: the outputs of Plan::frontier in its order, each (N, …).
using Frontier = std::vector<at::Tensor>;

class Executor {
 public:
  virtual ~Executor() = default;

  /// Computes the frontier without gradients. images: float32 (N, 3, H, W), normalised.
  virtual Frontier run_prefix(const at::Tensor& images) = 0;
  /// Computes logits, float32 (N, classes), differentiable with respect to the trainable tensors if gradients are
  /// enabled. Dropout is active only if `training`. Tensors of a moved-in frontier are freed after their last use.
  virtual at::Tensor run_suffix(Frontier frontier, bool training) = 0;

  virtual const Plan& plan() const = 0;
  /// The ranges of an int8 executor; empty for others.
  virtual const ActivationRanges& activation_ranges() const;

  /// Returns logits without gradients.
  at::Tensor predict(const at::Tensor& images);
};

class PreparedBase;

struct ExecutorOptions {
  /// Element type of activations and frozen weights: at::kFloat or at::kBFloat16. Adapters, loss and optimizer stay
  /// float32.
  at::ScalarType precision = at::kFloat;
  /// Default: the result of make_plan.
  std::optional<Plan> plan = {};
  /// Prepared weights, shared with other executors of the same base. Null: not shared.
  std::shared_ptr<PreparedBase> prepared = nullptr;
  /// Called with the value of each step, to calibrate int8.
  std::function<void(NodeId, const at::Tensor&)> observe = {};
};

/// The network must outlive the executor, and its frozen tensors must not change. Without `observe`, any number of
/// threads may run it concurrently without gradients.
std::unique_ptr<Executor> make_plain_executor(const Network& network, const ExecutorOptions& options);
std::unique_ptr<Executor> make_fused_executor(const Network& network, const ExecutorOptions& options);
/// Runs frozen layers in int8, and the rest and all gradients in `precision`. `ranges` are from a RangeMeter. CPU only.
std::unique_ptr<Executor> make_int8_executor(const Network& network, const ExecutorOptions& options,
                                             const ActivationRanges& ranges);
std::unique_ptr<Executor> make_executor(EngineKind kind, const Network& network, const ExecutorOptions& options);

}  // namespace lorikeet
