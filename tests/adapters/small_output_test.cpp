#include "adapters/small_output.h"

#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>
#include <doctest/doctest.h>

#include <algorithm>
#include <set>

#include "adapters/adapt.h"
#include "adapters/layers.h"
#include "lorikeet/error.h"

using namespace lorikeet;

namespace {

using Form = SmallOutput::Form;
using Basis = SmallOutput::Basis;

const Linear kOutput{40, 10};

std::vector<SmallOutput> small_outputs() {
  return {{Form::kLowRank, 3},
          {Form::kProjected, 8},
          {Form::kProjected, 8, Basis::kRandom, 5},
          {Form::kProjected, 8, Basis::kOutput},
          {Form::kTied, 50},
          {Form::kTied, 1}};
}

at::Tensor base_weight() { return noise({30, kOutput.in}, 2).to(at::kFloat); }

std::unique_ptr<LayerAdapter> made(const SmallOutput& output, std::uint64_t seed = 1, const Linear& layer = kOutput) {
  at::Generator generator = seeded(seed);
  return make_small_output(output, layer, base_weight(), generator);
}

at::Tensor weight_of(const LayerAdapter& output) {
  return output.merged({"fc", kOutput, {0}}, {{"weight", at::Tensor()}, {"bias", at::Tensor()}}).weight();
}

}  // namespace

TEST_CASE("a small output computes what its dense weight computes, with the gradients of its numbers") {
  for (const SmallOutput& output : small_outputs()) {
    CAPTURE(small_output_json(output).dump());
    const auto layer = made(output);
    for (const auto& part : layer->parts()) *part.tensor = part.tensor->to(at::kDouble).set_requires_grad(true);
    const at::Tensor x = noise({3, kOutput.in}, 4);
    const NodeTensors own{{"weight", at::zeros({kOutput.out, kOutput.in})}, {"bias", at::zeros({kOutput.out})}};
    const Node node{"fc", kOutput, {0}};
    const NodeTensors merged = layer->merged(node, own);
    CHECK(merged.weight().sizes() == at::IntArrayRef({kOutput.out, kOutput.in}));
    CHECK(close(layer->forward(kOutput, own, x, /*training=*/true), at::linear(x, merged.weight(), merged.bias())));
    const auto loss = [&] { return at::sin(layer->forward(kOutput, own, x, true)).sum(); };
    loss().backward();
    for (const auto& part : layer->parts()) {
      CAPTURE(part.suffix);
      CHECK(has_right_gradient(*part.tensor, part.tensor->grad(), loss));
    }
  }
}

TEST_CASE("its tensors are those that are announced, and few") {
  Graph graph = small_resnet();
  const NodeId node = graph.output();
  for (const auto& [output, count] : {std::pair{SmallOutput{Form::kLowRank, 2}, 2 * (4 + 5)},
                                      {SmallOutput{Form::kProjected, 3}, 5 * 3},
                                      {SmallOutput{Form::kTied, 7}, 7}}) {
    const Linear layer{4, 5};
    graph.replace(node, layer);
    std::int64_t total = 0;
    std::vector<std::string> announced, found;
    for (const Parameter& parameter : small_output_parameters(output, graph, node)) {
      announced.push_back(parameter.name + shape_text(parameter.shape));
      total += parameter.count();
      CHECK_FALSE(parameter.buffer);
    }
    CHECK(total == count + 5);
    const auto made_layer = made(output, 1, layer);
    for (const auto& part : made_layer->parts())
      found.push_back(graph.node(node).name + "." + part.suffix + shape_text(part.tensor->sizes()));
    std::sort(announced.begin(), announced.end());
    std::sort(found.begin(), found.end());
    CHECK(announced == found);
  }
}

TEST_CASE("a small output starts with the variance of PyTorch's Linear") {
  const Linear layer{400, 10};
  const double expected = 1 / (3 * 400.0);
  for (const SmallOutput& output : {SmallOutput{Form::kLowRank, 16},
                                    {Form::kProjected, 64},
                                    {Form::kProjected, 64, Basis::kOutput},
                                    {Form::kTied, 900}}) {
    CAPTURE(small_output_json(output).dump());
    at::Generator generator = seeded(1);
    const auto made_layer = make_small_output(output, layer, noise({100, 400}, 3).to(at::kFloat), generator);
    const at::Tensor x = at::abs(noise({200, 400}, 4)).to(at::kFloat);  // as after ReLU and pooling
    const NodeTensors none{{"weight", at::Tensor()}, {"bias", at::Tensor()}};
    const at::Tensor logits = made_layer->forward(layer, none, x, false);
    const double ratio = (logits.var() / (x.square().sum(1).mean() * expected)).item<double>();
    // The leading directions of the base's output hold most of a real network's features, and 64 / 400 of these.
    CHECK(ratio > (output.basis == Basis::kOutput ? 0.1 : 0.3));
    CHECK(ratio < 3);
  }
}

TEST_CASE("what is fixed depends on the seed or the base alone") {
  const auto weight = [](SmallOutput output, std::uint64_t start) {
    const auto layer = made(output, start);
    for (const auto& part : layer->parts()) part.tensor->fill_(1);
    return weight_of(*layer);
  };
  for (SmallOutput output : small_outputs()) {
    CHECK(at::equal(weight(output, 1), weight(output, 2)));
    if (output.form == Form::kLowRank || output.basis == Basis::kOutput) continue;
    SmallOutput other = output;
    ++other.seed;
    CHECK_FALSE(at::equal(weight(output, 1), weight(other, 1)));
  }
  // Pinned: another implementation must find the same numbers.
  const auto layer = made({Form::kTied, 100});
  for (const auto& part : layer->parts()) {
    if (part.suffix == "head_v") part.tensor->copy_(at::arange(100));
  }
  const at::Tensor tied = weight_of(*layer);
  CHECK(tied[0][0].item<float>() == -88);
  CHECK(tied[9][39].item<float>() == -16);
}

TEST_CASE("a small output as JSON, and what is refused") {
  for (const SmallOutput& output : small_outputs()) CHECK(parse_small_output(small_output_json(output), "f") == output);
  const auto refused = [](const char* json, const char* because) {
    CHECK_THROWS_WITH_AS(parse_small_output(parse_json(json, "f"), "f: output"), doctest::Contains(because), Error);
  };
  refused("[]", "expected an object with one of rank, projected, tied");
  refused("{}", "got 0 of rank, projected, tied");
  refused(R"({"rank": 1, "tied": 2})", "got 2 of");
  refused(R"({"rank": 0})", "rank: got 0, expected an integer from 1");
  refused(R"({"tied": 1.5})", "tied: got 1.5");
  refused(R"({"tied": 99999999999})", "tied: got 99999999999");
  refused(R"({"rank": 1, "seed": 2})", "got 'seed' with rank");
  refused(R"({"projected": 2, "seed": -1})", "seed: got -1");
  refused(R"({"projected": 2, "basis": "svd"})", R"(basis: got "svd", expected random or output)");
  refused(R"({"tied": 2, "basis": "output"})", "got 'basis' with tied");
  CHECK_NOTHROW(check_small_output({Form::kProjected, 30, Basis::kOutput}, kOutput, 30));
  for (const SmallOutput& output : {SmallOutput{Form::kProjected, 31, Basis::kOutput},
                                    {Form::kProjected, 41},
                                    {Form::kLowRank, 11},
                                    {Form::kTied, 401}})
    CHECK_THROWS_WITH_AS(check_small_output(output, kOutput, 30), doctest::Contains("of 40 features and 10 classes"),
                         UsageError);
}
