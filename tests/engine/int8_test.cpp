#include "engine/int8.h"

#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>
#include <doctest/doctest.h>

#include <optional>
#include <vector>

#include "engine/fusion.h"
#include "engine/small_networks.h"
#include "kernels/onednn.h"
#include "models/families.h"
#include "refusal.h"

using namespace lorikeet;

TEST_CASE("an int8 convolution is the real one to within its rounding") {
  at::Generator generator = seeded(1);
  const auto noise = [&](at::IntArrayRef shape) { return at::empty(shape).normal_(0, 1, generator); };
  for (const std::int64_t groups : {1, 2, 8}) {
    for (const auto& op : std::vector<std::optional<Op>>{std::nullopt, Relu{}, Silu{}, HardSwish{}}) {
      const FusedActivation activation = op ? *activation_of(*op) : FusedActivation{};
      for (const bool sums : {false, true}) {
        if (!Int8Conv::can_end_with(activation, sums)) continue;
        const at::Tensor x = noise({2, 8, 9, 7}).clamp_(-3, 3).contiguous(at::MemoryFormat::ChannelsLast);
        const at::Tensor weight = noise({16, 8 / groups, 3, 3});
        const at::Tensor bias = noise({16});
        const at::Tensor residual = noise({2, 16, 9, 7}).contiguous(at::MemoryFormat::ChannelsLast);
        at::Tensor expected = at::conv2d(x, weight, bias, {1, 1}, {1, 1}, {1, 1}, groups);
        if (sums) expected = expected + residual;
        if (op) expected = apply(*op, {}, {expected});
        const auto [low, high] = at::aminmax(expected);
        const Quantization q_x{6.0 / 255, 128};
        const Quantization q_residual{10.0 / 255, 128};
        const double scale = (high.item<double>() - low.item<double>()) / 255;
        const Quantization q_y{scale, static_cast<std::int64_t>(-low.item<double>() / scale + 0.5)};
        const auto store = [](const at::Tensor& real, const Quantization& q) {
          return (at::round(real / q.scale) + static_cast<double>(q.zero))
              .clamp(0, 255)
              .to(at::kByte)
              .contiguous(at::MemoryFormat::ChannelsLast);
        };
        const ConvGeometry geometry{{1, 1}, {1, 1}, {1, 1}, groups};
        const Int8Conv conv(weight, q_x);
        const at::Tensor packed = conv.pack(weight, geometry, x.sizes());
        const at::Tensor before = store(residual, q_residual);
        const at::Tensor kept = before.clone();
        const at::Tensor y =
            conv(store(x, q_x), packed, geometry, {bias, {sums ? before : at::Tensor(), q_residual}, activation, q_y});
        CHECK(at::equal(before, kept));
        CHECK((y.scalar_type() == at::kByte));
        CHECK(relative((y.to(at::kFloat) - static_cast<double>(q_y.zero)) * q_y.scale, expected) < 0.03);
      }
    }
  }
}

TEST_CASE("every family runs in int8 near its float32 self, whatever the batch") {
  for (const ModelEntry* model : smallest_models()) {
    CAPTURE(model->name);
    const Graph graph = model->build();
    const Network network(graph, random_weights(graph, 1));
    at::Generator generator = seeded(3);
    const at::Tensor images = at::empty({8, 3, 64, 64}).normal_(0, 1, generator);
    const Plan plan = make_plan(network);
    RangeMeter meter(network, plan);
    meter.add(images);
    const at::Tensor expected = make_fused_executor(network, {})->predict(images);
    const auto executor = make_int8_executor(network, {}, meter.ranges());
    const at::Tensor found = executor->predict(images);
    CHECK(relative(found, expected) < 0.15);
    CHECK(relative(executor->predict(images.slice(0, 0, 3)), found.slice(0, 0, 3)) <
          1e-5);  // row by row, whatever the batch
  }
}

namespace {

// Gradients of the trainable tensors for a loss of the logits.
NamedTensors gradients_of(const Network& network, Executor& executor) {
  const at::Tensor images = some_images();
  const at::Tensor logits = executor.run_suffix(executor.run_prefix(images), /*training=*/true);
  at::Generator generator = seeded(9);
  (logits * at::empty(logits.sizes()).normal_(0, 1, generator)).sum().backward();
  NamedTensors out;
  for (auto& [name, tensor] : network.trainable()) {
    REQUIRE(tensor.grad().defined());
    out.add(name, tensor.grad().clone());
    tensor.mutable_grad() = at::Tensor();
  }
  return out;
}

}  // namespace

TEST_CASE("training in int8 computes the logits and gradients of float32 to within its rounding") {
  const std::vector<AdapterSpec> specs{
      spec_for(R"(layer1\.2\.conv3)", {"fc"}),
      spec_for(R"(layer1\.0\.conv[12])"),  // frozen blocks and a frozen output layer after it
      full_spec(),
      spec_for("", {"conv1", "layer1.1.conv1"}),
  };
  for (const AdapterSpec& spec : specs) {
    const Network network = trained_network(spec);
    const Plan plan = make_plan(network);
    RangeMeter meter(network, plan);
    meter.add(some_images());
    const auto exact = make_fused_executor(network, {.plan = plan});
    const auto executor = make_int8_executor(network, {.plan = plan}, meter.ranges());
    const Frontier frontier = executor->run_prefix(some_images());
    const Frontier expected_frontier = exact->run_prefix(some_images());
    for (std::size_t i = 0; i < frontier.size(); ++i) {
      CHECK((frontier[i].scalar_type() == at::kFloat));
      CHECK(relative(frontier[i], expected_frontier[i]) < 0.1);
    }
    const at::Tensor logits = executor->predict(some_images());
    CHECK(relative(logits, exact->predict(some_images())) < 0.1);
    CHECK(relative(executor->run_suffix(frontier, true), logits) < 1e-5);  // with gradients as without
    const NamedTensors expected = gradients_of(network, *exact);
    const NamedTensors found = gradients_of(network, *executor);
    for (const auto& [name, tensor] : expected) {
      CAPTURE(name);
      CHECK(relative(*found.find(name), tensor) < 0.25);
    }
  }
}

TEST_CASE("several batches give the ranges of them all; a missing one is named") {
  const Network network = trained_network(spec_for(""));
  const Plan plan = make_plan(network);
  RangeMeter at_once(network, plan);
  RangeMeter in_turn(network, plan);
  const at::Tensor images = at::cat({some_images(1), some_images(2)});
  at_once.add(images);
  in_turn.add(some_images(1));
  in_turn.add(some_images(2));
  ActivationRanges together = at_once.ranges();
  const ActivationRanges& apart = in_turn.ranges();
  REQUIRE(together.size() == apart.size());
  for (const auto& [name, range] : together) {
    CHECK(range.first == doctest::Approx(apart.at(name).first).epsilon(1e-5));
    CHECK(range.second == doctest::Approx(apart.at(name).second).epsilon(1e-5));
  }
  together.erase("input");
  CHECK(refusal([&] { make_int8_executor(network, {}, together); }) == has("activation_ranges: got none for 'input'"));
}
