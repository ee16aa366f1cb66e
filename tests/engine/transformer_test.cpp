// A small vision transformer through everything that the engine does: values are tokens (N, tokens, features) there,
// most parameters are those of Linear and LayerNorm, and some are no module's.
#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "engine/int8.h"
#include "engine/mixed_batch.h"
#include "engine/prefix_cache.h"
#include "engine/small_networks.h"

using namespace lorikeet;

namespace {

const EngineKind kEngines[]{EngineKind::kPlain, EngineKind::kFused};

AdapterSpec vit_spec(const std::string& targets, void (*set)(AdapterConfig&), std::vector<std::string> saved = {}) {
  AdapterSpec spec = spec_for(targets, std::move(saved));
  set(spec.config);
  return spec;
}

// LoRA at every place, every other method, biases, retrained modules and tensors, the output alone.
std::vector<AdapterSpec> vit_specs() {
  const std::string linear = R"(.*\.(qkv|proj|fc1|fc2))";
  return {vit_spec(linear, [](AdapterConfig&) {}, {"head"}),
          vit_spec(R"(blocks\.1\.attn\.qkv)", [](AdapterConfig&) {}),
          vit_spec(R"(patch_embed\.proj)", [](AdapterConfig&) {}),
          vit_spec(linear, [](AdapterConfig& c) { c.lora_bias = true, c.bias = TrainedBias::kAll; }),
          vit_spec(linear, [](AdapterConfig& c) { c.use_dora = true; }),
          vit_spec(linear, [](AdapterConfig& c) { c.init_lora_weights = LoraStart::kPissa; }),
          vit_spec(linear, [](AdapterConfig& c) { c.peft_type = PeftType::kLoha; }),
          vit_spec(linear, [](AdapterConfig& c) { c.peft_type = PeftType::kLokr; }),
          vit_spec(linear,
                   [](AdapterConfig& c) {
                     c.peft_type = PeftType::kIa3;
                     c.feedforward_modules = std::string(".*fc2");
                   }),
          vit_spec(linear, [](AdapterConfig& c) { c.peft_type = PeftType::kHira; }),
          vit_spec(linear, [](AdapterConfig& c) { c.peft_type = PeftType::kOft, c.oft.block_size = 4; }),
          vit_spec(linear, [](AdapterConfig& c) { c.peft_type = PeftType::kBoft; }),
          vit_spec(linear, [](AdapterConfig& c) { c.peft_type = PeftType::kFourierFt, c.fourierft.n_frequency = 20; }),
          vit_spec(linear, [](AdapterConfig& c) { c.peft_type = PeftType::kVera, c.vera.save_projection = true; }),
          vit_spec(linear, [](AdapterConfig& c) { c.peft_type = PeftType::kUniLora; }),
          vit_spec(R"(.*norm[12]?)", [](AdapterConfig& c) { c.peft_type = PeftType::kLnTuning; }, {"head"}),
          vit_spec("", [](AdapterConfig& c) { c.bias = TrainedBias::kAll; }),
          vit_spec("", [](AdapterConfig&) {}, {"cls_token", "pos_embed", "norm", "mlp.fc1"}),
          vit_spec("", [](AdapterConfig&) {}, {"head"})};
}

Network trained_vit(const AdapterSpec& spec, std::uint64_t seed = 1) {
  return trained_network(spec, seed, small_vit());
}

at::Tensor vit_images(std::int64_t count, std::uint64_t seed = 5) {
  at::Generator generator = seeded(seed);
  return at::empty({count, 3, 8, 8}).normal_(0, 1, generator);
}

bool same(EngineKind kind, const at::Tensor& a, const at::Tensor& b) {
  return kind == EngineKind::kPlain ? at::equal(a, b) : relative(a, b) < 1e-5;
}

std::vector<at::Tensor> gradients_of(const Network& network, const at::Tensor& logits) {
  logits.square().sum().backward();
  std::vector<at::Tensor> out;
  for (auto& [name, tensor] : network.trainable()) {
    CAPTURE(name);
    REQUIRE(tensor.grad().defined());
    out.push_back(tensor.grad().clone());
    tensor.mutable_grad() = at::Tensor();
  }
  return out;
}

}  // namespace

TEST_CASE("a transformer through prefix and rest is the network, node by node, with autograd's gradients") {
  for (const AdapterSpec& spec : vit_specs()) {
    for (const EngineKind kind : kEngines) {
      const Network network = trained_vit(spec);
      CAPTURE(network.trainable().size());
      CAPTURE(static_cast<int>(kind));
      const auto executor = make_executor(kind, network, {});
      const at::Tensor logits = executor->run_suffix(executor->run_prefix(vit_images(4)), true);
      const at::Tensor expected = evaluate(network, vit_images(4));
      CHECK(same(kind, logits, expected));
      const auto own = gradients_of(network, logits), reference = gradients_of(network, expected);
      // A key's bias moves all scores of a query alike, and Softmax undoes that: its gradient is rounding alone.
      for (std::size_t i = 0; i < own.size(); ++i)
        CHECK((own[i] - reference[i]).norm().item<double>() < 1e-5 * reference[i].norm().item<double>() + 1e-5);
    }
  }
}

TEST_CASE("wherever a transformer is cut, cached rows go on as they would have") {
  const Network network = trained_vit(vit_spec(R"(blocks\.1\.mlp\.fc2)", [](AdapterConfig&) {}));
  const at::Tensor images = vit_images(6), expected = evaluate(network, images);
  const Plan whole = make_plan(network);
  std::set<std::vector<NodeId>> frontiers;
  for (const EngineKind kind : kEngines) {
    for (std::uint64_t limit = 0; limit < 2000; limit += 40) {
      const ImageCost image{8, 8, 4, kind == EngineKind::kPlain};
      const Plan plan = cut_prefix(whole, network.graph(), image, limit);
      if (!frontiers.insert(plan.frontier).second && kind == EngineKind::kPlain) continue;
      const auto executor = make_executor(kind, network, {.plan = plan});
      PrefixCache cache(6);
      const at::Tensor labels = at::zeros({6}, at::kLong), order = at::tensor({3, 0, 5, 1, 4, 2}, at::kLong);
      cache.store(order, labels, executor->run_prefix(images.index_select(0, order)));
      const Frontier frontier = cache.load(at::arange(6, at::kLong));
      CHECK(frontier_bytes(plan, network.graph(), image) == [&] {
        std::uint64_t bytes = 0;
        for (const at::Tensor& tensor : frontier) bytes += tensor.nbytes() / 6;
        return bytes;
      }());
      const at::Tensor logits = executor->run_suffix(frontier, false);
      CHECK(at::equal(logits, executor->predict(images)));
      CHECK(same(kind, logits, expected));
    }
  }
  CHECK(frontiers.size() > 3);
}

TEST_CASE("rows of a mixed batch are each what their own transformer adapter makes of them") {
  std::vector<Network> networks;
  std::uint64_t seed = 1;
  for (const AdapterSpec& spec : vit_specs()) networks.push_back(trained_vit(spec, seed++));
  std::vector<const Network*> all;
  for (const Network& network : networks) all.push_back(&network);
  const std::vector<std::vector<const Network*>> sets{all, {all[1], all[10]}, {all[1], all[12]}};
  for (const auto& set : sets) {
    MixedBatch mixed(set, at::kFloat);
    const at::Tensor images = vit_images(static_cast<std::int64_t>(2 * set.size()));
    std::vector<std::size_t> which;
    for (std::size_t row = 0; row < 2 * set.size(); ++row) which.push_back(row * 5 % set.size());
    const auto rows = mixed.predict(images, which);
    for (std::size_t row = 0; row < rows.size(); ++row) {
      const auto image = images.narrow(0, static_cast<std::int64_t>(row), 1);
      CHECK(relative(rows[row], evaluate(*set[which[row]], image)[0]) < 1e-5);
    }
  }
}

TEST_CASE("a transformer in bfloat16 is near float32, with logits and gradients in float32") {
  for (const AdapterSpec& spec : vit_specs()) {
    for (const EngineKind kind : kEngines) {
      const Network network = trained_vit(spec);
      const at::Tensor exact = make_plain_executor(network, {})->predict(vit_images(4));
      const auto executor = make_executor(kind, network, {at::kBFloat16});
      const Frontier frontier = executor->run_prefix(vit_images(4));
      for (const at::Tensor& tensor : frontier) CHECK((tensor.scalar_type() == at::kBFloat16));
      const at::Tensor logits = executor->run_suffix(frontier, true);
      CHECK((logits.scalar_type() == at::kFloat));
      CHECK(relative(logits, exact) < 0.05);
      logits.sum().backward();
      for (const auto& [name, tensor] : network.trainable()) {
        CAPTURE(name);
        REQUIRE(tensor.grad().defined());
        CHECK((tensor.grad().scalar_type() == at::kFloat));
      }
    }
  }
}

TEST_CASE("a transformer learns by LoRA on its Linear layers, alike through both engines") {
  const AdapterSpec spec = vit_spec(R"(.*\.(qkv|fc1|fc2))", [](AdapterConfig&) {}, {"head"});
  const at::Tensor images = vit_images(16), labels = at::arange(16, at::kLong).remainder(5);
  // Later, so many steps at such a rate magnify the rounding of sums of another order.
  constexpr int kCompared = 20;
  std::vector<std::vector<double>> losses;
  std::vector<NamedTensors> learned;
  for (const EngineKind kind : kEngines) {
    const Network network(adapt(small_vit(), spec), random_weights(small_vit(), 1), 1);
    const auto executor = make_executor(kind, network, {});
    losses.emplace_back();
    for (int step = 0; step < 120; ++step) {
      if (step == kCompared) {
        learned.emplace_back();
        for (const auto& [name, tensor] : network.adapter_tensors()) learned.back().add(name, tensor.clone());
      }
      const at::Tensor loss =
          at::cross_entropy_loss(executor->run_suffix(executor->run_prefix(images), /*training=*/true), labels);
      losses.back().push_back(loss.item<double>());
      loss.backward();
      const at::NoGradGuard no_grad;
      for (auto& [name, tensor] : network.trainable()) {
        tensor.sub_(tensor.grad(), 0.05);
        tensor.mutable_grad() = at::Tensor();
      }
    }
    CHECK(relative(executor->predict(images), evaluate(network, images)) < 1e-5);
  }
  CHECK(*std::min_element(losses[0].begin(), losses[0].end()) < 0.5 * losses[0].front());
  for (std::size_t step = 0; step < kCompared; ++step)
    CHECK(std::abs(losses[0][step] - losses[1][step]) < 1e-4 * losses[0].front());
  for (const auto& [name, tensor] : learned[0]) {
    CAPTURE(name);
    CHECK(relative(*learned[1].find(name), tensor) < 1e-3);
  }
}

TEST_CASE("a merged transformer computes what the adapted one computed") {
  for (const AdapterSpec& spec : vit_specs()) {
    const Network network = trained_vit(spec);
    if (spec.config.lora_bias) continue;
    const Network merged(network.graph(), network.merged());
    CHECK(relative(evaluate(merged, vit_images(4)), evaluate(network, vit_images(4))) < 1e-5);
  }
}

TEST_CASE("int8 runs the patches and the Linear layers of a transformer") {
  const Network network = trained_vit(vit_spec(R"(blocks\.1\.mlp\.fc2)", [](AdapterConfig&) {}));
  RangeMeter meter(network, make_plan(network));
  for (std::uint64_t seed = 1; seed < 9; ++seed) meter.add(vit_images(8, seed));
  const auto executor = make_int8_executor(network, {}, meter.ranges());
  const at::Tensor exact = evaluate(network, vit_images(8));
  const double error = relative(executor->predict(vit_images(8)), exact);
  CHECK(error < 0.05);
  CHECK(error > 1e-5);
}

TEST_CASE("int8 computes the gradients of an adapted transformer to within its rounding") {
  const Network network = trained_vit(vit_spec(R"(blocks\.0\.(attn\.qkv|mlp\.fc[12]))", [](AdapterConfig&) {}));
  RangeMeter meter(network, make_plan(network));
  meter.add(vit_images(8));
  std::vector<at::Tensor> gradients[2];
  for (const bool is_int8 : {false, true}) {
    const auto executor = is_int8 ? make_int8_executor(network, {}, meter.ranges()) : make_fused_executor(network, {});
    executor->run_suffix(executor->run_prefix(vit_images(8)), /*training=*/true).square().sum().backward();
    for (const auto& [name, tensor] : network.trainable()) {
      gradients[is_int8].push_back(tensor.grad().clone());
      tensor.mutable_grad() = at::Tensor();
    }
  }
  for (std::size_t i = 0; i < gradients[0].size(); ++i) {
    const double error = relative(gradients[1][i], gradients[0][i]);
    CHECK(error < 0.1);
    CHECK(error > 1e-6);
  }
}
