#include "engine/prepared_base.h"

#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>
#include <doctest/doctest.h>

#include <thread>

#include "engine/executor.h"
#include "engine/int8.h"
#include "engine/mixed_batch.h"
#include "engine/small_networks.h"

using namespace lorikeet;

namespace {

// An adapted network over these very tensors, as if it had been trained.
Network network_over(const NamedTensors& base, const AdapterSpec& spec, std::uint64_t seed) {
  Network network(adapt(small_resnet(), spec), base, seed);
  at::Generator generator = seeded(seed);
  const at::NoGradGuard no_grad;
  for (auto& [name, tensor] : network.trainable()) tensor.add_(at::empty(tensor.sizes()).normal_(0, 0.3, generator));
  return network;
}

AdapterSpec dora_spec() {
  AdapterSpec spec = spec_for(R"(layer1\.[12]\.conv[23]|fc)");
  spec.config.use_dora = true;
  return spec;
}

// Logits of some images, and gradients to what is learned.
std::vector<at::Tensor> step(const Network& network, Executor& executor, const at::Tensor& images) {
  std::vector<at::Tensor> leaves;
  for (const auto& [name, tensor] : network.trainable()) leaves.push_back(tensor);
  std::vector<at::Tensor> out{executor.run_suffix(executor.run_prefix(images), /*training=*/true)};
  out[0].square().sum().backward();
  for (at::Tensor& leaf : leaves) {
    out.push_back(leaf.grad().clone());
    leaf.mutable_grad() = at::Tensor();
  }
  out[0] = out[0].detach();
  return out;
}

bool equal(const std::vector<at::Tensor>& a, const std::vector<at::Tensor>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](const at::Tensor& x, const at::Tensor& y) { return at::equal(x, y); });
}

}  // namespace

TEST_CASE("adapters over one base cost one prepared base") {
  const NamedTensors base = random_weights(small_resnet(), 1);
  for (const at::ScalarType precision : {at::kFloat, at::kBFloat16}) {
    for (const AdapterSpec& spec : {spec_for(R"(.*conv.)"), dora_spec(), spec_for("", {"fc"})}) {
      const auto prepared = std::make_shared<PreparedBase>();
      std::vector<Network> networks;
      for (std::uint64_t seed = 1; seed <= 5; ++seed) networks.push_back(network_over(base, spec, seed));
      std::vector<std::unique_ptr<Executor>> executors;
      std::uint64_t one = 0;
      for (const Network& network : networks) {
        executors.push_back(make_fused_executor(network, {.precision = precision, .prepared = prepared}));
        const at::Tensor logits = executors.back()->predict(some_images());
        CHECK(at::equal(logits, make_fused_executor(network, {.precision = precision})->predict(some_images())));
        if (one == 0) one = prepared->bytes();
        CHECK(prepared->bytes() == one);
      }
      CHECK(one > 0);
      executors.resize(1);
      prepared->release_unused();
      CHECK(prepared->bytes() == one);
      executors.clear();
      prepared->release_unused();
      CHECK(prepared->bytes() == 0);
    }
  }
}

TEST_CASE("a mixed batch of one kind of adapter prepares the base once") {
  const NamedTensors base = random_weights(small_resnet(), 1);
  std::vector<Network> networks;
  for (std::uint64_t seed = 1; seed <= 4; ++seed) networks.push_back(network_over(base, full_spec(), seed));
  const auto prepared = std::make_shared<PreparedBase>();
  MixedBatch one({&networks[0]}, at::kFloat, prepared);
  one.predict(some_images(), {0, 0, 0, 0});
  const std::uint64_t before = prepared->bytes();
  MixedBatch all({&networks[0], &networks[1], &networks[2], &networks[3]}, at::kFloat, prepared);
  all.predict(some_images(), {0, 1, 2, 3});
  // A row alone may want another layout than four together, and no more than that.
  CHECK(prepared->bytes() <= 2 * before);
}

TEST_CASE("other tensors are prepared apart, also where only BatchNorm differs") {
  const NamedTensors base = random_weights(small_resnet(), 1);
  NamedTensors other;  // the same but for one statistic
  for (const auto& [name, tensor] : base) other.add(name, name == "bn1.running_var" ? tensor * 4 : tensor);
  const auto prepared = std::make_shared<PreparedBase>();
  const Network a(small_resnet(), base);
  const Network b(small_resnet(), other);
  const Network retrained = network_over(base, spec_for("", {"layer1.1.bn2", "layer1.0.conv1"}), 1);
  for (int round = 0; round < 2; ++round) {
    for (const Network* network : {&a, &b, &retrained}) {
      const auto executor = make_fused_executor(*network, {.prepared = prepared});
      CHECK(at::equal(executor->predict(some_images()), make_fused_executor(*network, {})->predict(some_images())));
    }
  }
  CHECK_FALSE(at::equal(make_fused_executor(a, {.prepared = prepared})->predict(some_images()),
                        make_fused_executor(b, {.prepared = prepared})->predict(some_images())));
}

TEST_CASE("executors of one base on two threads give the bytes that one gives, forward and backward") {
  const NamedTensors base = random_weights(small_resnet(), 1);
  const AdapterSpec specs[]{full_spec(), dora_spec()};
  for (const at::ScalarType precision : {at::kFloat, at::kBFloat16}) {
    std::vector<Network> networks;
    for (std::uint64_t i = 0; i < 4; ++i) networks.push_back(network_over(base, specs[i % 2], i + 1));
    const std::vector<at::Tensor> batches{some_images(1), at::cat({some_images(2), some_images(3), some_images(4)}),
                                          some_images(5).slice(0, 0, 1)};
    std::vector<std::vector<std::vector<at::Tensor>>> expected;
    for (const Network& network : networks) {
      expected.emplace_back();
      for (const at::Tensor& images : batches)  // each alone, with nothing prepared
        expected.back().push_back(step(network, *make_fused_executor(network, {.precision = precision}), images));
    }
    const auto prepared = std::make_shared<PreparedBase>();
    std::vector<int> right(networks.size(), 0);
    std::vector<std::thread> threads;
    for (std::size_t i = 0; i < networks.size(); ++i) {
      threads.emplace_back([&, i] {
        const auto executor = make_fused_executor(networks[i], {.precision = precision, .prepared = prepared});
        for (std::size_t round = 0; round < 2 * batches.size(); ++round) {
          const std::size_t batch = (round + i) % batches.size();
          if (equal(step(networks[i], *executor, batches[batch]), expected[i][batch])) ++right[i];
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
    for (const int count : right) CHECK(count == 2 * static_cast<int>(batches.size()));
  }
}

TEST_CASE("one executor computes on several threads at once") {
  const Network network = trained_network(full_spec());
  const Plan plan = make_plan(network);
  RangeMeter meter(network, plan);
  meter.add(some_images());
  std::vector<std::unique_ptr<Executor>> executors;
  executors.push_back(make_fused_executor(network, {}));
  executors.push_back(make_plain_executor(network, {}));
  executors.push_back(make_int8_executor(network, {}, meter.ranges()));
  for (const auto& executor : executors) {
    const at::Tensor expected[]{executor->predict(some_images(1)), executor->predict(some_images(2).slice(0, 0, 3))};
    bool same[2]{};
    const auto run = [&](std::size_t i) {
      same[i] = true;
      for (int round = 0; round < 5; ++round) {
        const at::Tensor images = i == 0 ? some_images(1) : some_images(2).slice(0, 0, 3);
        same[i] = same[i] && at::equal(executor->predict(images), expected[i]);
      }
    };
    std::thread first(run, 0);
    std::thread second(run, 1);
    first.join();
    second.join();
    CHECK(same[0]);
    CHECK(same[1]);
  }
}

TEST_CASE("a gradient outlives its executor") {
  const Network network = trained_network(full_spec());
  RangeMeter meter(network, make_plan(network));
  meter.add(some_images());
  for (const bool is_int8 : {false, true}) {
    auto executor = is_int8 ? make_int8_executor(network, {}, meter.ranges()) : make_fused_executor(network, {});
    const auto expected = step(network, *executor, some_images());
    const at::Tensor logits = executor->run_suffix(executor->run_prefix(some_images()), /*training=*/true);
    executor.reset();
    logits.square().sum().backward();
    const auto trainable = network.trainable();
    for (std::size_t i = 0; i < trainable.size(); ++i) {
      CHECK(at::equal(trainable[i].second.grad(), expected[i + 1]));
      trainable[i].second.mutable_grad() = at::Tensor();
    }
  }
}

TEST_CASE("measuring ranges uses what executors have packed") {
  const Network network = trained_network(spec_for("", {"fc"}));
  const auto prepared = std::make_shared<PreparedBase>();
  RangeMeter meter(network, make_plan(network), prepared);
  meter.add(some_images());
  const std::uint64_t packed = prepared->bytes();
  CHECK(packed > 0);
  const auto executor = make_fused_executor(network, {.prepared = prepared});
  executor->predict(some_images());
  CHECK(prepared->bytes() == packed);
  RangeMeter alone(network, make_plan(network));
  alone.add(some_images());
  CHECK(meter.ranges() == alone.ranges());
}

TEST_CASE("int8 weights are shared where the base and the scales are the same") {
  const NamedTensors base = random_weights(small_resnet(), 1);
  std::vector<Network> networks;
  for (std::uint64_t seed = 1; seed <= 3; ++seed) networks.push_back(network_over(base, spec_for("", {"fc"}), seed));
  RangeMeter meter(networks[0], make_plan(networks[0]));
  meter.add(some_images());
  const auto prepared = std::make_shared<PreparedBase>();
  std::uint64_t one = 0;
  for (const Network& network : networks) {
    const auto executor = make_int8_executor(network, {.prepared = prepared}, meter.ranges());
    CHECK(at::equal(executor->predict(some_images()),
                    make_int8_executor(network, {}, meter.ranges())->predict(some_images())));
    if (one == 0) one = prepared->bytes();
    CHECK(prepared->bytes() == one);
  }
  CHECK(one > 0);
}

TEST_CASE("a learned bias does not cost a copy of the weight beside it") {
  const NamedTensors base = random_weights(small_resnet(), 1);
  AdapterSpec spec = spec_for("");
  spec.config.bias = TrainedBias::kAll;
  const Network network = network_over(base, spec, 1);
  const NodeTensors& fc = network.tensors(*network.graph().find("fc"));
  CHECK(fc.weight().is_alias_of(*base.find("fc.weight")));
  CHECK_FALSE(fc.bias().is_alias_of(*base.find("fc.bias")));
  CHECK(fc.bias().requires_grad());
  CHECK_FALSE(fc.weight().requires_grad());
}
