// Contract tests of every method in the table, on every type of layer it supports.
#include "adapters/methods.h"

#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <doctest/doctest.h>

#include <algorithm>
#include <numbers>

#include "adapters/layers.h"
#include "adapters/oft.h"
#include "adapters/weight_adapter.h"
#include "base/torch_random.h"
#include "lorikeet/error.h"

using namespace lorikeet;

namespace {

// A method with its options, as a configuration.
struct Variant {
  std::string name;
  AdapterConfig config;
};

Variant variant(std::string name, PeftType type, void (*set)(AdapterConfig&)) {
  Variant out{std::move(name), {}};
  out.config.peft_type = type;
  out.config.r = 2;
  set(out.config);
  return out;
}

std::vector<Variant> variants() {
  return {
      variant("LoRA", PeftType::kLora, [](AdapterConfig&) {}),
      variant("LoRA, rank 4", PeftType::kLora, [](AdapterConfig& c) { c.r = 4; }),
      variant("LoRA, rank 3", PeftType::kLora, [](AdapterConfig& c) { c.r = 3; }),  // which no groups divide
      variant("LoRA, Gaussian", PeftType::kLora, [](AdapterConfig& c) { c.init_lora_weights = LoraStart::kGaussian; }),
      variant("LoRA, PiSSA", PeftType::kLora,
              [](AdapterConfig& c) { c.r = 4, c.init_lora_weights = LoraStart::kPissa; }),
      variant("LoRA, OLoRA", PeftType::kLora,
              [](AdapterConfig& c) { c.r = 4, c.init_lora_weights = LoraStart::kOlora; }),
      variant("LoRA, orthogonal", PeftType::kLora,
              [](AdapterConfig& c) { c.r = 8, c.init_lora_weights = LoraStart::kOrthogonal; }),
      variant("LoRA, bias", PeftType::kLora, [](AdapterConfig& c) { c.lora_bias = true; }),
      variant("DoRA", PeftType::kLora, [](AdapterConfig& c) { c.use_dora = true; }),
      variant("DoRA, PiSSA", PeftType::kLora,
              [](AdapterConfig& c) { c.r = 4, c.use_dora = true, c.init_lora_weights = LoraStart::kPissa; }),
      variant("LoHa", PeftType::kLoha, [](AdapterConfig&) {}),
      variant("LoHa, tensors", PeftType::kLoha, [](AdapterConfig& c) { c.use_effective_conv2d = true; }),
      variant("LoKr", PeftType::kLokr, [](AdapterConfig&) {}),
      variant("LoKr, rank 1", PeftType::kLokr, [](AdapterConfig& c) { c.r = 1; }),
      variant("LoKr, tensors", PeftType::kLokr, [](AdapterConfig& c) { c.r = 1, c.use_effective_conv2d = true; }),
      variant("LoKr, both", PeftType::kLokr,
              [](AdapterConfig& c) { c.r = 1, c.decompose_both = true, c.decompose_factor = 4; }),
      variant("IA3", PeftType::kIa3, [](AdapterConfig&) {}),
      variant("IA3, input", PeftType::kIa3, [](AdapterConfig& c) { c.feedforward_modules = std::string(".*"); }),
      variant("HiRA", PeftType::kHira, [](AdapterConfig&) {}),
      variant("OFT", PeftType::kOft, [](AdapterConfig& c) { c.oft.block_size = 4; }),
      variant("OFT, blocks of 3", PeftType::kOft, [](AdapterConfig& c) { c.oft.block_size = 3; }),
      variant("OFT, 2 blocks, exact", PeftType::kOft,
              [](AdapterConfig& c) { c.r = 2, c.oft.block_size = 0, c.oft.use_cayley_neumann = false; }),
      variant("OFT, shared", PeftType::kOft, [](AdapterConfig& c) { c.oft.block_size = 3, c.oft.block_share = true; }),
      variant("BOFT", PeftType::kBoft, [](AdapterConfig& c) { c.boft = {.block_size = 0, .block_num = 1}; }),
      variant("BOFT, blocks of 2", PeftType::kBoft, [](AdapterConfig& c) { c.boft.block_size = 2; }),
      variant("BOFT, two factors", PeftType::kBoft,
              [](AdapterConfig& c) { c.boft.block_size = 2, c.boft.n_butterfly_factor = 2; }),
      variant("FourierFT", PeftType::kFourierFt, [](AdapterConfig&) {}),
      variant("FourierFT, 11 frequencies", PeftType::kFourierFt, [](AdapterConfig& c) { c.r = 11; }),
      variant("VeRA", PeftType::kVera, [](AdapterConfig&) {}),
      variant("VeRA, saved matrices", PeftType::kVera,
              [](AdapterConfig& c) { c.r = 5, c.vera.save_projection = true; }),
      variant("UniLoRA", PeftType::kUniLora, [](AdapterConfig& c) { c.unilora.theta_d_length = 7; }),
      variant("UniLoRA, saved indices", PeftType::kUniLora,
              [](AdapterConfig& c) { c.r = 3, c.unilora.save_indices = true; }),
      variant("norm tuning", PeftType::kLnTuning, [](AdapterConfig&) {}),
      variant("LoRA-XS", PeftType::kLoraXs, [](AdapterConfig&) {}),
      variant("LoRA-XS, rank 9", PeftType::kLoraXs, [](AdapterConfig& c) { c.r = 9; }),  // more than some layers have
      variant("TinyLoRA", PeftType::kTinyLora, [](AdapterConfig& c) { c.tinylora.u = 3; }),
      variant("TinyLoRA, tied, no projections", PeftType::kTinyLora,
              [](AdapterConfig& c) { c.r = 1, c.tinylora = {.u = 20, .weight_tying = 1, .save_projection = false}; })};
}

// One layer with its adapter.
struct Adapted {
  Node node;
  NodeTensors base;
  at::Tensor x;
  AdapterConfig config;
  AdapterTarget target;
  std::unique_ptr<LayerAdapter> adapter;

  at::Tensor forward() const { return adapter->forward(node.op, base, x, /*training=*/false); }
  at::Tensor plain() const { return apply(node.op, base, x); }
};

Adapted adapted(const AdapterConfig& config, const Layer& on, std::uint64_t seed = 1, double scaling = 0.75) {
  Adapted out{{"layer.x", on.op, {0}}, tensors_for(on.op), input_for(on), config, {1, config.r, scaling}, nullptr};
  at::Generator generator = seeded(seed);
  NodeTensors single = out.base;  // starts are float32, as base weights are
  for (auto& [name, tensor] : single) tensor = tensor.to(at::kFloat);
  out.adapter = started(out.node, single, out.target, config, generator);
  for (const auto& part : out.adapter->parts()) {
    if (part.tensor->is_floating_point()) *part.tensor = part.tensor->to(at::kDouble);
  }
  return out;
}

// As if it had been trained. What LoRA keeps at zero outside a group stays.
void train(Adapted& layer, std::uint64_t seed = 3) {
  for (const auto& part : layer.adapter->parts()) {
    const at::Tensor step = 0.5 * noise(part.tensor->sizes(), seed++);
    const bool has_zeros = layer.config.peft_type == PeftType::kLora && part.suffix == "lora_A.weight";
    if (part.learned) *part.tensor += has_zeros ? step * at::ne(*part.tensor, 0) : step;
  }
  layer.adapter->loaded();
}

// Whether the blocks of OFT and BOFT fit the layer; another test has what is refused.
bool fits(const AdapterConfig& config, const Op& op) {
  if (config.peft_type != PeftType::kOft && config.peft_type != PeftType::kBoft) return true;
  const std::int64_t columns = tensors_for(op).weight()[0].numel();
  const BoftOptions& boft = config.boft;
  if (config.peft_type == PeftType::kOft) return columns > 2 || config.oft.block_size > 2;
  return boft.block_size == 0 || columns % (boft.block_size << (boft.n_butterfly_factor - 1)) == 0;
}

template <typename Check>
void on_every_layer(const Check& check) {
  std::vector<Layer> layers = weighted_layers();
  for (const Layer& layer : normalising_layers()) layers.push_back(layer);
  for (const auto& [name, config] : variants()) {
    for (const Layer& layer : layers) {
      CAPTURE(name);
      CAPTURE(layer.kind);
      if (method_of(config).adapts(layer.op) && fits(config, layer.op)) check(config, layer);
    }
  }
}

}  // namespace

TEST_CASE("each method stands in the table once and is found by its configuration") {
  for (const auto& method : methods()) {
    AdapterConfig config;
    config.peft_type = method.peft_type;
    config.use_dora = method.use_dora;
    CHECK(std::string(method_of(config).name) == method.name);
  }
}

TEST_CASE("an adapter at its start changes nothing, or UniLoRA's next to nothing") {
  on_every_layer([](const AdapterConfig& config, const Layer& on) {
    const Adapted layer = adapted(config, on);
    // UniLoRA starts at small numbers, as PEFT does: from zero, the product of A and B would have no gradient.
    const double most = config.peft_type == PeftType::kUniLora ? 0.01 : 1e-6;  // the start was float32
    CHECK(relative(layer.forward(), layer.plain()) < most);
  });
}

TEST_CASE("the tensors are those that were announced") {
  on_every_layer([](const AdapterConfig& config, const Layer& on) {
    const Adapted layer = adapted(config, on);
    std::vector<std::string> announced, found;
    for (const auto& tensor : method_of(config).tensors({graph_of(layer.node), {layer.target}}, config))
      announced.push_back(tensor.name + shape_text(tensor.shape) + (tensor.buffer ? " kept" : ""));
    for (const auto& part : layer.adapter->parts())
      found.push_back((is_shared_tensor(part.suffix) ? "" : "layer.x.") + part.suffix +
                      shape_text(part.tensor->sizes()) + (part.learned ? "" : " kept"));
    std::sort(announced.begin(), announced.end());
    std::sort(found.begin(), found.end());
    CHECK(announced == found);
  });
}

TEST_CASE("training changes what the layer computes, and merged equals unmerged") {
  on_every_layer([](const AdapterConfig& config, const Layer& on) {
    Adapted layer = adapted(config, on);
    if (config.lora_bias && !layer.base.bias().defined()) return;  // nothing to add it to
    const at::Tensor before = layer.forward();
    train(layer);
    CHECK_FALSE(at::allclose(layer.forward(), before, 1e-3, 1e-3));
    const NodeTensors merged = layer.adapter->merged(layer.node, layer.base);
    CHECK(merged.weight().sizes() == layer.base.weight().sizes());
    CHECK(close(apply(on.op, merged, layer.x), layer.forward()));
  });
}

TEST_CASE("gradients are those of finite differences") {
  on_every_layer([](const AdapterConfig& config, const Layer& on) {
    Adapted layer = adapted(config, on);
    train(layer);
    const at::Tensor direction = noise(layer.forward().sizes(), 5);
    const auto loss = [&] { return (at::sin(layer.forward()) * direction).sum(); };
    layer.x.set_requires_grad(true);
    for (const auto& part : layer.adapter->parts()) part.tensor->set_requires_grad(part.learned);
    loss().backward();
    CHECK(has_right_gradient(layer.x, layer.x.grad(), loss));
    for (const auto& part : layer.adapter->parts()) {
      if (!part.learned) continue;
      CAPTURE(part.suffix);
      if (config.use_dora && part.suffix != "lora_magnitude_vector")
        continue;  // DoRA keeps the norm out of the gradient on purpose
      // What LoRA keeps at zero outside its group has no gradient, though the tensor has the place.
      if (config.peft_type == PeftType::kLora && groups_of(on.op) > 1 && part.suffix == "lora_A.weight") continue;
      CHECK(has_right_gradient(*part.tensor, part.tensor->grad(), loss));
    }
  });
}

TEST_CASE("what is saved makes the same layer again") {
  on_every_layer([](const AdapterConfig& config, const Layer& on) {
    Adapted layer = adapted(config, on);
    train(layer);
    AdapterConfig saved_config = config;
    if (config.init_lora_weights == LoraStart::kPissa || config.init_lora_weights == LoraStart::kOlora) {
      saved_config.init_lora_weights = LoraStart::kDefault;
      saved_config.r *= 2;
    }
    Adapted other = adapted(saved_config, on, /*seed=*/9, layer.target.scaling);
    const auto saved = layer.adapter->saved();
    const auto parts = other.adapter->parts();
    CHECK(saved.size() == parts.size());
    for (const auto& part : parts) {
      const auto found =
          std::find_if(saved.begin(), saved.end(), [&](const auto& entry) { return entry.first == part.suffix; });
      REQUIRE(found != saved.end());
      CHECK(found->second.sizes() == part.tensor->sizes());
      *part.tensor = found->second;
    }
    other.adapter->loaded();
    CHECK(close(other.forward(), layer.forward()));
  });
}

TEST_CASE("float32 adapters work on bfloat16 activations") {
  on_every_layer([](const AdapterConfig& config, const Layer& on) {
    Adapted layer = adapted(config, on);
    train(layer);
    const at::Tensor exact = layer.forward();
    for (const auto& part : layer.adapter->parts()) {
      if (part.tensor->is_floating_point()) *part.tensor = part.tensor->to(at::kFloat);
    }
    if (std::holds_alternative<BatchNorm2d>(on.op)) return;  // its tensors stay float32, its input too in this table
    for (auto& [name, tensor] : layer.base) tensor = tensor.to(at::kBFloat16);
    layer.x = layer.x.to(at::kBFloat16);
    const at::Tensor rough = layer.forward();
    CHECK((rough.scalar_type() == at::kBFloat16));
    CHECK(relative(rough.to(at::kDouble), exact) < 0.05);
  });
}

TEST_CASE("DoRA computes the norms of its weights again only after one of them changed") {
  AdapterConfig config;
  config.r = 2;
  config.use_dora = true;
  const at::NoGradGuard no_grad;
  for (const Layer& on : weighted_layers()) {
    CAPTURE(on.kind);
    Adapted layer = adapted(config, on);
    at::Tensor lora_B = *layer.adapter->parts()[1].tensor;
    lora_B.add_(noise(lora_B.sizes(), 2));
    const auto forward = [&] { return layer.forward(); };
    const at::Tensor first = forward();
    CHECK(at::equal(forward(), first));
    const auto changed_output = [&] {  // with norms that no cache has
      at::Tensor& own = *layer.adapter->parts()[1].tensor;
      own = lora_B.clone();
      const at::Tensor out = forward();
      own = lora_B;
      return out;
    };

    const at::Tensor original = lora_B.clone();
    std::copy_n((original * 2).const_data_ptr<double>(), original.numel(), lora_B.mutable_data_ptr<double>());
    const at::Tensor kept = forward();  // written to without ATen's knowledge
    CHECK_FALSE(at::allclose(kept, changed_output()));
    lora_B.copy_(original * 2);
    CHECK(at::equal(forward(), changed_output()));
    lora_B.copy_(original);
    CHECK(at::equal(forward(), first));

    const at::Tensor weight = layer.base.weight();
    layer.base.set("weight", weight * 3);
    const at::Tensor other = forward();
    CHECK_FALSE(at::allclose(other, first));
    layer.base.weight().copy_(weight);
    CHECK(at::equal(forward(), first));
  }
}

TEST_CASE("OFT takes the nearest divisor for a block size, as PEFT does") {
  CHECK(nearest_divisor(64, 32) == 32);
  CHECK(nearest_divisor(64, 30) == 32);
  CHECK(nearest_divisor(4, 3) == 2);  // of two equally near ones the smaller
  CHECK(nearest_divisor(147, 32) == 21);
  CHECK(nearest_divisor(9, 32) == 9);
  CHECK(nearest_divisor(13, 12) == 13);
}

TEST_CASE("blocks that fit no layer are refused, by its name") {
  const Layer conv{"Conv2d 1×1", Conv2d{.in = 4, .out = 6}};
  const auto refused = [&](PeftType type, void (*set)(AdapterConfig&), const char* because) {
    CHECK_THROWS_WITH_AS(adapted(variant("", type, set).config, conv), doctest::Contains(because), UsageError);
  };
  refused(
      PeftType::kOft, [](AdapterConfig& c) { c.oft.block_size = 1; }, "oft_block_size: got 1 for layer.x");
  refused(
      PeftType::kBoft, [](AdapterConfig& c) { c.boft.block_size = 3; },
      "boft_block_size: got 3 for layer.x, expected a divisor of 4");
  refused(
      PeftType::kBoft, [](AdapterConfig& c) { c.boft = {.block_size = 0, .block_num = 5}; },
      "boft_block_num: got 5 for layer.x");
  refused(
      PeftType::kBoft, [](AdapterConfig& c) { c.boft.n_butterfly_factor = 3; },
      "boft_n_butterfly_factor: got 3 for layer.x with 1 block of 4");
}

TEST_CASE("an exact Cayley transform and BOFT's are rotations: with s = 1 each filter keeps its length") {
  for (const PeftType type : {PeftType::kOft, PeftType::kBoft}) {
    AdapterConfig config;
    config.peft_type = type;
    config.oft.use_cayley_neumann = false;
    config.boft = {.block_size = 2, .block_num = 0, .n_butterfly_factor = 2};
    Adapted layer = adapted(config, {"Conv2d 1×1", Conv2d{.in = 4, .out = 6}});
    *layer.adapter->parts()[0].tensor += noise(layer.adapter->parts()[0].tensor->sizes(), 3);
    const auto lengths = [](const at::Tensor& weight) { return at::linalg_vector_norm(weight.flatten(1), 2, 1); };
    const at::Tensor merged = layer.adapter->merged(layer.node, layer.base).weight();
    CHECK(close(lengths(merged), lengths(layer.base.weight())));
    CHECK(relative(merged, layer.base.weight()) > 0.1);
  }
}

TEST_CASE("COFT keeps each block within eps, and in training the optimiser goes on from there") {
  AdapterConfig config;
  config.peft_type = PeftType::kOft;
  config.oft.block_size = 2;
  config.oft.coft = true;
  config.oft.eps = 1e-3;
  Adapted layer = adapted(config, {"Conv2d 1×1", Conv2d{.in = 4, .out = 6}});
  train(layer);
  const at::Tensor& triangles = *layer.adapter->parts()[0].tensor;
  const at::Tensor before = triangles.clone();
  CHECK(relative(layer.forward(), layer.plain()) < 2e-3);
  CHECK(at::equal(triangles, before));  // prediction writes nothing
  const at::Tensor predicted = layer.forward();
  CHECK(close(layer.adapter->forward(layer.node.op, layer.base, layer.x, /*training=*/true), predicted));
  CHECK(std::abs(triangles.abs().max().item<double>() - 1e-3 / 2) < 1e-9);  // eps / √2 blocks / √2 places in Q
}

TEST_CASE("dropout leaves out as much as it says, by the seed, and only in training") {
  for (const PeftType type : {PeftType::kHira, PeftType::kBoft, PeftType::kVera, PeftType::kUniLora}) {
    AdapterConfig config;
    config.peft_type = type;
    config.r = 2;
    config.hira_dropout = config.boft.dropout = config.vera.dropout = config.unilora.dropout = 0.5;
    config.boft.block_size = 2;
    Adapted layer = adapted(config, {"Conv2d 3×3", Conv2d{.in = 4, .out = 6, .kernel = {3, 3}}});
    train(layer);
    const auto run = [&](std::uint64_t seed) {
      layer.adapter->seed_dropout(seed);
      return layer.adapter->forward(layer.node.op, layer.base, layer.x, /*training=*/true);
    };
    CHECK(at::equal(run(1), run(1)));
    CHECK_FALSE(at::allclose(run(1), run(2)));
    CHECK(at::equal(layer.forward(), layer.forward()));
    CHECK_FALSE(at::allclose(run(1), layer.forward()));
    if (type != PeftType::kBoft) {  // its mean is the layer without dropout
      at::Tensor sum = at::zeros_like(layer.forward());
      for (std::uint64_t seed = 0; seed < 2000; ++seed) sum += run(seed);
      CHECK(relative(sum / 2000, layer.forward()) < 0.1);
    }
  }
}

TEST_CASE("DoRA on filters of zeros, as pruning leaves them: finite, and they stay zero") {
  AdapterConfig config;
  config.r = 2;
  config.use_dora = true;
  for (const auto& [kind, op, positions] : weighted_layers()) {
    CAPTURE(kind);
    CAPTURE(positions.size());
    Adapted layer{{"layer.x", op, {0}}, tensors_for(op), input_for(op), config, {1, config.r, 0.75}, nullptr};
    layer.base.weight().slice(0, 0, 2).zero_();
    NodeTensors single = layer.base;
    single.set("weight", single.weight().to(at::kFloat));
    at::Generator generator = seeded(1);
    layer.adapter = started(layer.node, single, layer.target, config, generator);
    for (const auto& part : layer.adapter->parts()) {
      *part.tensor = part.tensor->to(at::kDouble);
      part.tensor->requires_grad_(true);
    }
    CHECK(at::allclose(layer.forward(), layer.plain(), 1e-6, 1e-6));  // its start, the magnitude in float32
    for (const bool training : {false, true}) {
      layer.adapter->forward(op, layer.base, layer.x, training).square().sum().backward();
      for (const auto& part : layer.adapter->parts()) {
        CAPTURE(part.suffix);
        CHECK(part.tensor->grad().isfinite().all().item<bool>());
        if (part.suffix != "lora_A.weight") CHECK(part.tensor->grad().flatten().slice(0, 0, 1).item<double>() == 0);
      }
    }
    const at::NoGradGuard no_grad;
    const NodeTensors merged = layer.adapter->merged(layer.node, layer.base);
    CHECK(at::allclose(merged.weight(), layer.base.weight(), 1e-6, 1e-6));
    CHECK(merged.weight().slice(0, 0, 2).abs().sum().item<double>() == 0);
  }
}

TEST_CASE("FourierFT is the sum of its cosines, whatever their number") {
  for (const Layer& on : weighted_layers()) {
    CAPTURE(on.kind);
    const WeightShape shape = weight_shape(on.op);
    const std::int64_t elements = shape.out * shape.columns();
    for (const std::int64_t count : {std::int64_t{1}, std::int64_t{3}, elements}) {
      CAPTURE(count);
      AdapterConfig config;
      config.peft_type = PeftType::kFourierFt;
      config.r = count;
      config.fourierft.random_loc_seed = 5;
      Adapted layer = adapted(config, on);
      train(layer);
      const at::Tensor spectrum = *layer.adapter->parts().front().tensor;
      at::Tensor expected = at::zeros({shape.out, shape.columns()}, at::kDouble);
      const auto places = TorchRandom(5).permutation(elements, count);
      const at::Tensor rows = at::arange(shape.out, at::kDouble).unsqueeze(1) / shape.out;
      const at::Tensor columns = at::arange(shape.columns(), at::kDouble) / shape.columns();
      for (std::int64_t i = 0; i < count; ++i) {
        const std::int64_t u = places[static_cast<std::size_t>(i)] / shape.columns(),
                           v = places[static_cast<std::size_t>(i)] % shape.columns();
        expected += spectrum[i] * at::cos((rows * u + columns * v) * (2 * std::numbers::pi));
      }
      expected = expected * (config.fourierft.scaling / static_cast<double>(elements));
      const at::Tensor merged = layer.adapter->merged(layer.node, layer.base).weight();
      CHECK(relative((merged - layer.base.weight()).flatten(1), expected) < 1e-6);
    }
  }
}

TEST_CASE("FourierFT asks for no more frequencies than the weight has elements") {
  AdapterConfig config;
  config.peft_type = PeftType::kFourierFt;
  config.r = 25;
  CHECK_THROWS_WITH_AS(adapted(config, {"Conv2d 1×1", Conv2d{.in = 4, .out = 6}}),
                       doctest::Contains("n_frequency: got 25 for layer.x, expected at most 24"), UsageError);
}

TEST_CASE("VeRA's layers share two matrices, of which each takes the first rows and columns") {
  Graph graph;
  graph.add("input", Input{4}, {});
  graph.add("wide", Linear{9, 3}, {0});
  graph.add("conv", Conv2d{.in = 4, .out = 7, .kernel = {3, 1}, .groups = 2}, {0});
  const std::vector<AdapterTarget> targets{{1, 2, 1}, {2, 2, 1}};
  AdapterConfig config;
  config.peft_type = PeftType::kVera;
  config.r = 2;
  config.vera = {.projection_prng_key = 3, .save_projection = true};
  at::Generator generator = seeded(1);
  const auto adapters = method_of(config).start({graph, targets}, std::vector<NodeTensors>(3), config, generator);
  const auto part = [&](std::size_t i, const std::string& suffix) {
    for (const auto& found : adapters[i]->parts()) {
      if (found.suffix == suffix) return *found.tensor;
    }
    return at::Tensor();
  };
  CHECK(part(0, "vera_A").is_same(part(1, "vera_A")));
  CHECK(part(0, "vera_B").is_same(part(1, "vera_B")));
  CHECK(part(0, "vera_A").sizes() == at::IntArrayRef{2, 9});
  CHECK(part(0, "vera_B").sizes() == at::IntArrayRef{7, 2});
  for (std::size_t i = 0; i < 2; ++i) {
    const NodeTensors base = tensors_for(graph.node(i + 1).op);
    part(i, "vera_lambda_b").fill_(2);
    part(i, "vera_lambda_d").copy_(at::tensor({1.0F, 3.0F}));
    const at::Tensor delta = adapters[i]->merged(graph.node(i + 1), base).weight() - base.weight();
    const at::Tensor expected = at::mm(part(0, "vera_B").slice(0, 0, delta.size(0)) * at::tensor({1.0F, 3.0F}) * 2,
                                       part(0, "vera_A").slice(1, 0, delta[0].numel()));
    CHECK(relative(delta.flatten(1).to(at::kFloat), expected) < 1e-5);
  }
  config.r = 60'000'000;
  CHECK_THROWS_WITH_AS(method_of(config).tensors({graph, targets}, config), doctest::Contains("r: got 60000000"),
                       UsageError);
}

TEST_CASE("UniLoRA uses each number of its vector equally often, in all layers") {
  Graph graph;
  graph.add("input", Input{4}, {});
  graph.add("late", Linear{6, 5}, {0});
  graph.add("early", Conv2d{.in = 4, .out = 6, .kernel = {3, 3}, .groups = 2}, {0});
  graph.declare("early");  // the library registers it first
  const std::vector<AdapterTarget> targets{{1, 2, 1}, {2, 2, 1}};
  AdapterConfig config;
  config.peft_type = PeftType::kUniLora;
  config.r = 2;
  config.unilora = {.theta_d_length = 10, .save_indices = true};
  const auto start = [&](const std::vector<AdapterTarget>& which) {
    at::Generator generator = seeded(1);
    return method_of(config).start({graph, which}, std::vector<NodeTensors>(3), config, generator);
  };
  const auto part = [](LayerAdapter& adapter, const std::string& suffix) {
    for (const auto& found : adapter.parts()) {
      if (found.suffix == suffix) return *found.tensor;
    }
    return at::Tensor();
  };
  const auto adapters = start(targets);
  CHECK(part(*adapters[0], "unilora_theta_d").is_same(part(*adapters[1], "unilora_theta_d")));
  std::vector<at::Tensor> indices, scales;
  for (const std::size_t i : {1, 0}) {
    for (const char* matrix : {"A", "B"}) {
      indices.push_back(part(*adapters[i], std::string("unilora_indices_") + matrix).flatten());
      scales.push_back(part(*adapters[i], std::string("unilora_scales_") + matrix).flatten());
    }
  }
  const at::Tensor all = at::cat(indices);
  CHECK(all.numel() == 2 * (6 + 5 + 18 + 6));
  const at::Tensor counts = at::bincount(all, {}, 10);
  CHECK(counts.min().item<std::int64_t>() == 7);
  CHECK(counts.max().item<std::int64_t>() == 7);
  CHECK(at::allclose(at::cat(scales), at::full({70}, 1 / std::sqrt(7.0F))));
  // The first numbers of the list are those of the layer that is registered first.
  const auto alone = start({targets[1]});
  CHECK(part(*alone[0], "unilora_indices_A").sizes() == at::IntArrayRef{2, 18});
  config.r = 10'000'000;
  CHECK_THROWS_WITH_AS(method_of(config).tensors({graph, targets}, config), doctest::Contains("r: got 10000000"),
                       UsageError);
}
