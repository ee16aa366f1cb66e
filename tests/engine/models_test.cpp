// Contract over the families of models: the fused engine is the plain one, forward and backward, at every node.
#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <doctest/doctest.h>

#include <algorithm>

#include "engine/executor.h"
#include "engine/small_networks.h"
#include "models/families.h"

using namespace lorikeet;

namespace {

// LoRA on every possible layer: its gradients depend on the values and gradients at each node.
Network adapted_everywhere(const Graph& graph) {
  AdapterSpec spec;
  spec.config.r = 2;
  std::vector<std::string> targets;
  for (const Node& node : graph.nodes()) {
    const auto* conv = std::get_if<Conv2d>(&node.op);
    if (node.name.ends_with(".self_attention.out_proj")) continue;  // adapted with its module, as in PEFT
    if ((conv != nullptr && conv->groups == 1) || std::holds_alternative<Linear>(node.op)) targets.push_back(node.name);
  }
  spec.config.target_modules = targets;
  Network network(adapt(graph, spec), random_weights(graph, 1), 1);
  at::Generator generator = seeded(2);
  const at::NoGradGuard no_grad;
  for (auto& [name, tensor] : network.trainable()) tensor.add_(at::empty(tensor.sizes()).normal_(0, 0.02, generator));
  return network;
}

}  // namespace

TEST_CASE("fused is plain for every family, in float32, logits and all gradients") {
  for (const ModelEntry* model : smallest_models()) {
    for (const std::int64_t side : {32, 65}) {  // pixels: few and odd ones
      CAPTURE(model->name);
      CAPTURE(side);
      Network network = adapted_everywhere(model->build());
      at::Generator generator = seeded(3);
      const at::Tensor images = at::empty({3, 3, side, side}).normal_(0, 1, generator);
      const auto run = [&](EngineKind kind) {
        const auto executor = make_executor(kind, network, {});
        const at::Tensor logits = executor->run_suffix(executor->run_prefix(images), true);
        logits.square()
            .sum()
            .backward();  // a cross-entropy would magnify differences where random weights give huge logits
        std::vector<at::Tensor> out{logits.detach()};
        for (auto& [name, tensor] : network.trainable()) {
          out.push_back(tensor.grad().clone());
          tensor.mutable_grad() = at::Tensor();
        }
        return out;
      };
      const auto plain = run(EngineKind::kPlain);
      const auto fused = run(EngineKind::kFused);
      CHECK(relative(fused[0], plain[0]) < 1e-5);
      // A ReLU whose input is within rounding of zero may go either way, and what lies before it differs by that
      // element: about one in a thousand parts where it happens. What is wrong differs by everything.
      std::vector<double> differences;
      for (std::size_t i = 1; i < plain.size(); ++i) differences.push_back(relative(fused[i], plain[i]));
      std::sort(differences.begin(), differences.end());
      CAPTURE(differences.back());
      CHECK(differences.front() < 1e-5);
      CHECK(differences.back() < 2e-2);
    }
  }
}
