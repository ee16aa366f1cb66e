#include "engine/step_executor.h"

#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>

#include <utility>

#include "engine/token_reads.h"
#include "kernels/attention.h"

namespace lorikeet {

StepExecutor::StepExecutor(const Network& network, const ExecutorOptions& options, at::MemoryFormat layout,
                           std::vector<FusedStep> (*steps_of)(const Network&, const Plan&), bool all_tokens)
    : network_(network), prepared_(options.prepared != nullptr ? options.prepared : std::make_shared<PreparedBase>()),
      plan_(options.plan ? *options.plan : make_plan(network)), precision_(options.precision), layout_(layout),
      observe_(options.observe), steps_(steps_of(network, plan_)),
      only_token_(all_tokens ? std::vector<std::optional<std::int64_t>>(network.graph().nodes().size())
                             : only_tokens_read(network.graph())),
      frozen_(network.graph().nodes().size()),
      prefix_readers_(count_readers(steps_, network.graph(), plan_, /*prefix=*/true)),
      suffix_readers_(count_readers(steps_, network.graph(), plan_, /*prefix=*/false)),
      last_reads_(last_reads_of_residuals(steps_, network.graph(), plan_)) {
  for (const FusedStep& step : steps_) {
    if (step.frozen_layer || network.is_retrained(step.first)) continue;
    frozen_[step.first] = prepared_->tensors(network, step.first, precision_, layout_);
  }
}

Frontier StepExecutor::run_prefix(const at::Tensor& images) {
  const at::NoGradGuard no_grad;
  Values values(network_.graph().nodes().size());
  values[0] = images.to(precision_).contiguous(layout_);
  if (observe_) observe_(0, values[0]);
  run(values, /*prefix=*/true, /*training=*/false);
  Frontier frontier;
  for (const NodeId id : plan_.frontier) frontier.push_back(values[id]);
  return frontier;
}

at::Tensor StepExecutor::run_suffix(Frontier frontier, bool training) {
  Values values(network_.graph().nodes().size());
  for (std::size_t i = 0; i < frontier.size(); ++i) values[plan_.frontier[i]] = std::move(frontier[i]);
  run(values, /*prefix=*/false, training);
  return values.back().to(at::kFloat);
}

// Computes `values` for the steps of the prefix or the rest, and frees each after its last use.
void StepExecutor::run(Values& values, bool prefix, bool training) {
  std::vector<int> left = prefix ? prefix_readers_ : suffix_readers_;
  for (std::size_t i = 0; i < steps_.size(); ++i) {
    const FusedStep& step = steps_[i];
    if ((plan_.segment[step.first] == Segment::kFrozenPrefix) != prefix) continue;
    values[step.output] = run_step(i, values, training);
    if (observe_) observe_(step.output, values[step.output]);
    for (const NodeId input : step.inputs(network_.graph())) {
      if (--left[input] == 0) values[input] = at::Tensor();
    }
  }
}

at::Tensor StepExecutor::read(const Values& values, NodeId id, NodeId reader) const {
  const auto& token = only_token_[reader];
  const bool is_narrower = token && !only_token_[id] && is_token_wise(network_.graph().node(reader).op);
  return is_narrower ? values[id].narrow(1, *token, 1) : values[id];
}

bool StepExecutor::owns_residual(std::size_t index, const Values& values) const {
  if (!last_reads_[index]) return false;
  const at::Tensor& value = values[*steps_[index].residual];
  return value.use_count() == 1 && value.storage().use_count() == 1;
}

at::Tensor StepExecutor::residual_of(std::size_t index, const Values& values) const {
  const FusedStep& step = steps_[index];
  if (!step.residual) return {};
  const bool is_own = owns_residual(index, values);
  const at::Tensor residual = read(values, *step.residual, step.output);
  const bool is_kept = at::GradMode::is_enabled() && residual.requires_grad();
  return is_own || is_kept ? residual : residual.clone();
}

std::vector<at::Tensor> StepExecutor::inputs_of(const Values& values, NodeId id) const {
  std::vector<at::Tensor> out;
  for (const NodeId input : network_.graph().node(id).inputs) out.push_back(read(values, input, id));
  return out;
}

at::Tensor StepExecutor::run_node(NodeId id, const Values& values, bool training) const {
  const Node& node = network_.graph().node(id);
  const NodeTensors learned = network_.is_retrained(id) ? cast(id) : NodeTensors();
  const NodeTensors& own = network_.is_retrained(id) ? learned : *frozen_[id];
  if (const LayerAdapter* adapter = network_.adapter(id))
    return adapter->forward(node.op, own, read(values, node.inputs[0], id), training);
  std::vector<at::Tensor> inputs = inputs_of(values, id);
  if (std::holds_alternative<Attention>(node.op) && only_token_[id]) {  // one query
    if (inputs.size() == 1) inputs = inputs[0].chunk(3, -1);
    inputs[0] = inputs[0].narrow(1, *only_token_[id], 1);
  }
  if (std::holds_alternative<TakeToken>(node.op) && only_token_[node.inputs[0]]) return inputs[0].select(1, 0);
  return apply(node.op, own, inputs);
}

at::Tensor StepExecutor::run_fast_node(NodeId id, const Values& values, bool training) const {
  if (const auto* op = std::get_if<Attention>(&network_.graph().node(id).op)) {
    const std::vector<at::Tensor> inputs = inputs_of(values, id);
    if (has_attention(*op, inputs)) return attention(*op, inputs, only_token_[id]);
  }
  return run_node(id, values, training);
}

NodeTensors StepExecutor::cast(NodeId id) const {
  NodeTensors out = network_.tensors(id);
  if (has_float32_parameters(network_.graph().node(id).op)) return out;
  for (auto& [name, tensor] : out) tensor = tensor.to(precision_);
  return out;
}

}  // namespace lorikeet
