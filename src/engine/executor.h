// Runs a plan. The plain executor is ATen operator by operator, with ordinary autograd: slow, simple, and the measure
// of the fused one.
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

/// What a step starts from: the outputs of Plan::frontier, in its order, each (N, …).
using Frontier = std::vector<at::Tensor>;

class Executor {
 public:
  virtual ~Executor() = default;

  /// images float32 (N, 3, H, W), normalised → the frontier, without gradients.
  virtual Frontier run_prefix(const at::Tensor& images) = 0;
  /// The frontier → logits float32 (N, classes), differentiable to the trainable tensors where gradients are enabled.
  /// Dropout acts only where `training`. A frontier that is moved in is freed as soon as nothing reads it any more.
  virtual at::Tensor run_suffix(Frontier frontier, bool training) = 0;

  virtual const Plan& plan() const = 0;
  /// Those that an int8 executor was made with; empty for any other.
  virtual const ActivationRanges& activation_ranges() const;

  /// Logits without gradients.
  at::Tensor predict(const at::Tensor& images);
};

class PreparedBase;

struct ExecutorOptions {
  /// Element type of activations and frozen weights: at::kFloat or at::kBFloat16. Adapters, loss and optimiser stay
  /// float32.
  at::ScalarType precision = at::kFloat;
  /// By default make_plan's.
  std::optional<Plan> plan = {};
  /// What the base's weights were made into, to be shared with other executors over them; null: this executor's own.
  std::shared_ptr<PreparedBase> prepared = nullptr;
  /// Called with each step's value; for measuring.
  std::function<void(NodeId, const at::Tensor&)> observe = {};
};

/// The network must outlive the executor, and what is frozen in it must not change. Where `observe` is not set, any
/// number of threads may compute at once without gradients.
std::unique_ptr<Executor> make_plain_executor(const Network& network, const ExecutorOptions& options);
std::unique_ptr<Executor> make_fused_executor(const Network& network, const ExecutorOptions& options);
/// The frozen prefix in int8, the rest as the fused executor runs it. `ranges` are those of the prefix, from a
/// RangeMeter; CPU only. Of a merged network the prefix is all there is.
std::unique_ptr<Executor> make_int8_executor(const Network& network, const ExecutorOptions& options,
                                             const ActivationRanges& ranges);
std::unique_ptr<Executor> make_executor(EngineKind kind, const Network& network, const ExecutorOptions& options);

}  // namespace lorikeet
