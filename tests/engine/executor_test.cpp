#include "engine/executor.h"

#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>
#include <doctest/doctest.h>

#include <algorithm>
#include <set>
#include <utility>

#include "engine/small_networks.h"

using namespace lorikeet;

namespace {

AdapterSpec with(AdapterSpec spec, void (*set)(AdapterConfig&)) {
  set(spec.config);
  return spec;
}

// LoRA at the input, in the middle, on all; heads; nothing at all; every other method.
std::vector<AdapterSpec> specs() {
  std::vector<AdapterSpec> out{full_spec(),
                               spec_for("conv1"),
                               spec_for(R"(layer1\.2\.conv3)"),
                               spec_for("(.*conv.|fc)"),
                               spec_for("", {"fc"}),
                               spec_for("", {"layer1.1"}),
                               spec_for("")};
  out.push_back(spec_for(""));
  out.back().head = Head{{}, 4};
  const AdapterSpec some = spec_for(R"(layer1\.[12]\.conv[23]|fc)");
  out.push_back(with(some, [](AdapterConfig& c) { c.use_dora = true; }));
  out.push_back(with(some, [](AdapterConfig& c) { c.init_lora_weights = LoraStart::kPissa; }));
  out.push_back(with(some, [](AdapterConfig& c) { c.bias = TrainedBias::kAll, c.lora_bias = true; }));
  out.push_back(with(some, [](AdapterConfig& c) { c.peft_type = PeftType::kLoha; }));
  out.push_back(with(some, [](AdapterConfig& c) { c.peft_type = PeftType::kLokr; }));
  out.push_back(with(some, [](AdapterConfig& c) { c.peft_type = PeftType::kIa3; }));
  out.push_back(with(some, [](AdapterConfig& c) { c.peft_type = PeftType::kHira; }));
  out.push_back(with(some, [](AdapterConfig& c) { c.peft_type = PeftType::kOft; }));
  out.push_back(
      with(some, [](AdapterConfig& c) { c.peft_type = PeftType::kBoft, c.boft = {.block_size = 0, .block_num = 1}; }));
  out.push_back(with(some, [](AdapterConfig& c) { c.peft_type = PeftType::kFourierFt, c.fourierft.n_frequency = 12; }));
  out.push_back(with(some, [](AdapterConfig& c) { c.peft_type = PeftType::kVera; }));
  out.push_back(with(some, [](AdapterConfig& c) { c.peft_type = PeftType::kUniLora, c.unilora.theta_d_length = 30; }));
  out.push_back(with(spec_for(R"(.*\.bn3)"), [](AdapterConfig& c) { c.peft_type = PeftType::kLnTuning; }));
  out.push_back(with(spec_for(""), [](AdapterConfig& c) { c.bias = TrainedBias::kAll; }));
  return out;
}

const EngineKind kKinds[]{EngineKind::kPlain, EngineKind::kFused};

std::vector<std::pair<AdapterSpec, EngineKind>> every_spec_and_kind() {
  std::vector<std::pair<AdapterSpec, EngineKind>> out;
  for (const AdapterSpec& spec : specs()) {
    for (const EngineKind kind : kKinds) out.emplace_back(spec, kind);
  }
  return out;
}

// The plain engine takes the kernels that evaluate() takes, in the same layout; the fused one sums in another order.
bool agrees(EngineKind kind, const at::Tensor& a, const at::Tensor& b) {
  if (kind == EngineKind::kPlain) return at::equal(a, b);
  return relative(a, b) < 1e-5;
}

}  // namespace

TEST_CASE("prefix and rest together are the network, node by node") {
  for (const auto& [spec, kind] : every_spec_and_kind()) {
    const Network network = trained_network(spec);
    CAPTURE(network.adapter_tensors().size());
    CAPTURE(static_cast<int>(kind));
    const auto executor = make_executor(kind, network, {});
    const Frontier frontier = executor->run_prefix(some_images());
    REQUIRE(frontier.size() == executor->plan().frontier.size());
    for (const at::Tensor& tensor : frontier) CHECK_FALSE(tensor.requires_grad());
    const at::Tensor logits = executor->run_suffix(frontier, false);
    const at::Tensor expected = evaluate(network, some_images());
    CHECK(agrees(kind, logits, expected));
    CHECK(at::equal(executor->run_suffix(frontier, false), logits));  // a frontier can be used again
    CHECK(at::equal(executor->predict(some_images()), logits));
    CHECK_FALSE(executor->predict(some_images()).requires_grad());
  }
}

TEST_CASE("the gradient reaches exactly what is learned, and is autograd's over the whole network") {
  for (const auto& [spec, kind] : every_spec_and_kind()) {
    Network network = trained_network(spec);
    CAPTURE(static_cast<int>(kind));
    const auto gradients = [&](const at::Tensor& logits) {
      std::vector<at::Tensor> out;
      logits.square().sum().backward();
      for (auto& [name, tensor] : network.trainable()) {
        CAPTURE(name);
        REQUIRE(tensor.grad().defined());
        CHECK(at::abs(tensor.grad()).max().item<double>() > 0);
        out.push_back(tensor.grad().clone());
        tensor.mutable_grad() = at::Tensor();
      }
      return out;
    };
    if (network.trainable().empty()) continue;
    const auto executor = make_executor(kind, network, {});
    const auto own = gradients(executor->run_suffix(executor->run_prefix(some_images()), true));
    const auto expected = gradients(evaluate(network, some_images()));
    for (std::size_t i = 0; i < own.size(); ++i) CHECK(relative(own[i], expected[i]) < 1e-5);

    std::set<const void*> learned;  // a tensor that layers share is one
    const auto count = [&](const at::Tensor& tensor) { learned.insert(tensor.unsafeGetTensorImpl()); };
    for (NodeId id = 0; id < network.graph().nodes().size(); ++id) {
      for (const auto& [name, tensor] : network.tensors(id)) {
        if (tensor.requires_grad()) count(tensor);
      }
      if (network.adapter(id) == nullptr) continue;
      for (const auto& part : const_cast<LayerAdapter*>(network.adapter(id))->parts()) {
        if (part.learned) count(*part.tensor);
      }
    }
    CHECK(learned.size() == network.trainable().size());
  }
}

TEST_CASE("the network computes the same for every cut of the prefix") {
  for (const EngineKind kind : kKinds) {
    const Network network = trained_network(spec_for(R"(layer1\.2\.conv3)"));
    const at::Tensor expected = evaluate(network, some_images());
    const Plan whole = make_plan(network);
    std::set<std::vector<NodeId>> frontiers;
    for (std::uint64_t limit = 0; limit < 5000; limit += 100) {
      const Plan plan = cut_prefix(whole, network.graph(), {13, 13, 4}, limit);
      frontiers.insert(plan.frontier);
      const auto executor = make_executor(kind, network, {.plan = plan});
      const Frontier frontier = executor->run_prefix(some_images());
      CHECK(frontier.size() == plan.frontier.size());
      CHECK(agrees(kind, executor->run_suffix(frontier, false), expected));
    }
    CHECK(frontiers.size() > 1);
  }
}

TEST_CASE("a frontier that is moved in is gone as soon as the rest has read it, also what the prefix read before") {
  const at::NoGradGuard no_grad;
  for (const EngineKind kind : kKinds) {
    const Network network = trained_network(spec_for(R"(layer1\.2\.conv3)"));
    std::vector<c10::weak_intrusive_ptr<c10::TensorImpl>> tensors;
    std::ptrdiff_t alive = -1;
    const auto observe = [&](NodeId id, const at::Tensor&) {
      if (id == network.graph().output())
        alive = std::count_if(tensors.begin(), tensors.end(), [](const auto& tensor) { return !tensor.expired(); });
    };
    const auto executor = make_executor(kind, network, {.observe = observe});
    Frontier frontier = executor->run_prefix(some_images());
    CHECK(frontier.size() == 2);
    for (const at::Tensor& tensor : frontier) tensors.emplace_back(tensor.getIntrusivePtr());
    executor->run_suffix(std::move(frontier), false);
    CHECK(alive == 0);
  }
}

TEST_CASE("an update of what is learned counts from the next step on") {
  for (const EngineKind kind : kKinds) {
    Network network = trained_network(full_spec());
    const auto executor = make_executor(kind, network, {});
    const at::Tensor before = executor->predict(some_images());
    {
      const at::NoGradGuard no_grad;
      for (auto& [name, tensor] : network.trainable()) tensor.mul_(1.5);
    }
    CHECK(agrees(kind, executor->predict(some_images()), evaluate(network, some_images())));
    CHECK_FALSE(at::allclose(executor->predict(some_images()), before));
  }
}

TEST_CASE("bfloat16 is near float32, with logits and gradients in float32") {
  for (const auto& [spec, kind] : every_spec_and_kind()) {
    Network network = trained_network(spec);
    CAPTURE(static_cast<int>(kind));
    const at::Tensor exact = make_plain_executor(network, {})->predict(some_images());
    const auto executor = make_executor(kind, network, {at::kBFloat16});
    const Frontier frontier = executor->run_prefix(some_images());
    for (const at::Tensor& tensor : frontier) CHECK((tensor.scalar_type() == at::kBFloat16));
    const at::Tensor logits = executor->run_suffix(frontier, true);
    CHECK((logits.scalar_type() == at::kFloat));
    const double difference = (logits - exact).norm().item<double>() / exact.norm().item<double>();
    CAPTURE(difference);
    CHECK(difference < 0.05);  // 8 bits of mantissa, a dozen layers
    CHECK(difference > 1e-5);  // it was in bfloat16 indeed
    if (network.trainable().empty()) continue;
    logits.sum().backward();
    for (const auto& [name, tensor] : network.trainable()) {
      CAPTURE(name);
      REQUIRE(tensor.grad().defined());
      CHECK((tensor.grad().scalar_type() == at::kFloat));
      CHECK(tensor.grad().is_contiguous());
    }
  }
}

TEST_CASE("dropout acts in training only") {
  AdapterSpec spec = spec_for(R"(.*conv.)");
  spec.config.lora_dropout = 0.5;
  const Network network = trained_network(spec);
  for (const EngineKind kind : kKinds) {
    const auto executor = make_executor(kind, network, {});
    const Frontier frontier = executor->run_prefix(some_images());
    CHECK(agrees(kind, executor->run_suffix(frontier, false), evaluate(network, some_images())));
    CHECK_FALSE(at::allclose(executor->run_suffix(frontier, true), executor->run_suffix(frontier, true)));
  }
}
