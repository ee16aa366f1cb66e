// The common part of the executors: runs a plan's steps in order, keeps each value until its last use, and runs single
// nodes with ATen's operators. Executors differ in the grouping of nodes into steps, the memory layout and how a step
// runs.
#pragma once

#include <optional>
#include <vector>

#include "engine/executor.h"
#include "engine/fusion.h"
#include "engine/prepared_base.h"

namespace lorikeet {

class StepExecutor : public Executor {
 public:
  Frontier run_prefix(const at::Tensor& images) override;
  at::Tensor run_suffix(Frontier frontier, bool training) override;
  const Plan& plan() const override { return plan_; }

 protected:
  using Values = std::vector<at::Tensor>;  // one per node; undefined before it is computed and after its last use

  /// `steps_of` is a function of engine/fusion.h. `all_tokens`: also computes tokens that no node reads
  /// (engine/token_reads.h).
  StepExecutor(const Network& network, const ExecutorOptions& options, at::MemoryFormat layout,
               std::vector<FusedStep> (*steps_of)(const Network&, const Plan&), bool all_tokens);

  /// Returns the value of the step's output.
  virtual at::Tensor run_step(std::size_t index, const Values& values, bool training) = 0;
  /// A node's value as `reader` takes it: one token of it where the reader computes no other.
  at::Tensor read(const Values& values, NodeId id, NodeId reader) const;
  /// Whether nothing else holds the other operand of a step's sum, and no later step reads it.
  bool owns_residual(std::size_t index, const Values& values) const;
  /// That operand; undefined without one. A step that computes no gradients may overwrite it: it
  /// is a copy if anything else holds it.
  at::Tensor residual_of(std::size_t index, const Values& values) const;
  /// All that a node takes, likewise.
  std::vector<at::Tensor> inputs_of(const Values& values, NodeId id) const;
  /// Runs one node with ATen's operators and autograd. REQUIRES: the node is a separate step.
  at::Tensor run_node(NodeId id, const Values& values, bool training) const;
  /// The same, with kernels/attention.h where it applies.
  at::Tensor run_fast_node(NodeId id, const Values& values, bool training) const;

  const Network& network() const { return network_; }
  const std::vector<FusedStep>& steps() const { return steps_; }
  at::ScalarType precision() const { return precision_; }
  PreparedBase& prepared() const { return *prepared_; }

 private:
  void run(Values& values, bool prefix, bool training);
  NodeTensors cast(NodeId id) const;

  const Network& network_;
  std::shared_ptr<PreparedBase> prepared_;
  Plan plan_;
  at::ScalarType precision_;
  at::MemoryFormat layout_;
  std::function<void(NodeId, const at::Tensor&)> observe_;
  std::vector<FusedStep> steps_;
  std::vector<std::optional<std::int64_t>> only_token_;  // only_tokens_read()
  // One per node: tensors of frozen nodes that are separate steps, in `precision_` and `layout_`; null for others.
  std::vector<std::shared_ptr<const NodeTensors>> frozen_;
  std::vector<int> prefix_readers_;  // count_readers()
  std::vector<int> suffix_readers_;
  std::vector<bool> last_reads_;  // last_reads_of_residuals()
};

}  // namespace lorikeet
