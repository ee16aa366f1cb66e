#include "engine/memory.h"

#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>
#include <c10/core/CPUAllocator.h>
#include <c10/core/impl/alloc_cpu.h>
#include <doctest/doctest.h>

#include <atomic>
#include <cmath>

#include "adapters/methods.h"
#include "engine/executor.h"
#include "engine/small_networks.h"
#include "models/models.h"

using namespace lorikeet;

namespace {

// Counts what tensors take. A block begins with its size, so that its address alone gives it back, as oneDNN does.
class CountingAllocator final : public c10::Allocator {
 public:
  c10::DataPtr allocate(std::size_t bytes) override {
    auto* const block = static_cast<char*>(c10::alloc_cpu(bytes + kHeader));
    *reinterpret_cast<std::size_t*>(block) = bytes;
    now_ += static_cast<std::int64_t>(bytes);
    peak_ = std::max(peak_.load(), now_.load());
    return {block + kHeader, block + kHeader, &CountingAllocator::release, c10::Device(c10::kCPU)};
  }
  c10::DeleterFnPtr raw_deleter() const override { return &CountingAllocator::release; }
  void copy_data(void* to, const void* from, std::size_t count) const override { default_copy_data(to, from, count); }

  static CountingAllocator& instance() {
    static CountingAllocator allocator;
    return allocator;
  }
  std::int64_t now() const { return now_; }
  void reset_peak() { peak_ = now_.load(); }
  std::int64_t peak() const { return peak_; }

 private:
  static constexpr std::size_t kHeader = 64;
  static void release(void* data) {
    char* const block = static_cast<char*>(data) - kHeader;
    instance().now_ -= static_cast<std::int64_t>(*reinterpret_cast<std::size_t*>(block));
    c10::free_cpu(block);
  }

  std::atomic<std::int64_t> now_{0};
  std::atomic<std::int64_t> peak_{0};
};

struct CountAllocations {
  c10::Allocator* before = c10::GetCPUAllocator();
  CountAllocations() { c10::SetCPUAllocator(&CountingAllocator::instance(), /*priority=*/2); }
  ~CountAllocations() { c10::SetCPUAllocator(before, /*priority=*/2); }
};

// What a step of `batch` images takes beside what is prepared once, against the estimate.
void check_estimate(const Graph& graph, const AdapterSpec& spec, std::int64_t side, std::int64_t batch) {
  const Network network(adapt(graph, spec), random_weights(graph, 1), 1);
  const Plan plan = make_plan(network);
  const auto executor = make_fused_executor(network, {});
  const at::Tensor images = at::ones({batch, 3, side, side});
  const auto step = [&] { executor->run_suffix(executor->run_prefix(images), true).square().sum().backward(); };
  step();  // what is prepared once, and the gradients' own memory, are not counted

  const CountAllocations counting;
  CountingAllocator::instance().reset_peak();
  const std::int64_t before = CountingAllocator::instance().now();
  step();
  const double taken = static_cast<double>(CountingAllocator::instance().peak() - before);
  const double estimate = static_cast<double>(estimate_memory(network, plan, {side, side, 4}, batch).activations);
  CAPTURE(taken / estimate);
  CHECK(taken < 1.25 * estimate + (8 << 20));  // oneDNN's scratch memory
  CHECK(taken > 0.6 * estimate);
}

// The same of an evaluation, of as many images as run at once there.
void check_evaluation_estimate(const Graph& graph, const AdapterSpec& spec, std::int64_t side) {
  const Network network(adapt(graph, spec), random_weights(graph, 1), 1);
  const auto executor = make_fused_executor(network, {});
  const at::Tensor images = at::ones({evaluation_batch(graph, side, side), 3, side, side});
  executor->predict(images);

  const CountAllocations counting;
  CountingAllocator::instance().reset_peak();
  const std::int64_t before = CountingAllocator::instance().now();
  executor->predict(images);
  const double taken = static_cast<double>(CountingAllocator::instance().peak() - before);
  const double estimate =
      static_cast<double>(estimate_memory(network, make_plan(network), {side, side, 4}, 1).evaluation);
  CAPTURE(taken / estimate);
  CHECK(taken < 1.25 * estimate + (8 << 20));
  CHECK(taken > 0.4 * estimate);
}

}  // namespace

TEST_CASE("a step's activations and an evaluation's take about what was estimated") {
  for (const char* name : {"resnet50", "efficientnet_lite0"}) {
    for (const std::int64_t side : {28, 128}) {
      CAPTURE(name);
      CAPTURE(side);
      const Graph graph = find_model(name).build();
      AdapterSpec spec;
      spec.config.target_modules = std::string(name) == "resnet50" ? std::string(R"(.*\.2\.conv3)")
                                                                   : std::string(R"(blocks\.[2-6]\..*conv_pwl)");
      spec.config.modules_to_save = {graph.node(graph.output()).name};
      check_estimate(graph, spec, side, 16);
      check_evaluation_estimate(graph, spec, side);
    }
  }
}

TEST_CASE("adapters that change the weight itself, and dropout, take about what was estimated") {
  const Graph graph = find_model("resnet18").build();
  AdapterSpec spec;
  spec.config.target_modules = std::string(R"(layer.*conv[12])");
  for (const PeftType type : {PeftType::kLoha, PeftType::kLokr, PeftType::kFourierFt, PeftType::kVera,
                              PeftType::kUniLora, PeftType::kLoraXs, PeftType::kTinyLora}) {
    CAPTURE(name_of(type));
    spec.config.peft_type = type;
    check_estimate(graph, spec, 28, 16);
  }
  spec.config.peft_type = PeftType::kLora;
  spec.config.lora_dropout = 0.5;
  check_estimate(graph, spec, 96, 16);
}

TEST_CASE("an adapter of any method, and any output, takes what was estimated") {
  const Graph graph = find_model("resnet18").build();
  const NamedTensors weights = random_weights(graph, 1);
  const auto check = [&](const AdapterSpec& spec) {
    const Adaptation adaptation = adapt(graph, spec);
    double base = 0;
    for (const auto& parameter : adaptation.graph.parameters()) {
      if (adaptation.replaced != parameter.node) base += static_cast<double>(parameter.count()) * sizeof(float);
    }
    const Network first(adaptation, weights, 1);  // after which the singular bases are known
    const CountAllocations counting;
    const std::int64_t before = CountingAllocator::instance().now();
    const Network network(adaptation, weights, 1);
    const double taken = static_cast<double>(CountingAllocator::instance().now() - before);
    const double estimate =
        static_cast<double>(estimate_memory(network, make_plan(network), {28, 28, 4}, 1).weights) - base;
    CAPTURE(taken);
    CAPTURE(estimate);
    CHECK(std::abs(taken - estimate) <= 0.02 * estimate);
  };
  for (const Method& method : methods()) {
    CAPTURE(method.name);
    AdapterSpec spec;
    spec.config.peft_type = method.peft_type;
    spec.config.use_dora = method.use_dora;
    const bool is_weighted = method.adapts(Op(Linear{1, 1}));
    spec.config.target_modules = std::string(is_weighted ? R"(layer3\.\d\.conv[12])" : R"(layer3.*bn[12])");
    check(spec);
    if (method.peft_type == PeftType::kFourierFt) spec.config.fourierft.n_frequency = 100;
    spec.config.vera.save_projection = spec.config.unilora.save_indices = true;
    spec.config.tinylora.save_projection = false;
    check(spec);
  }
  using Form = SmallOutput::Form;
  for (const SmallOutput& output : {SmallOutput{Form::kLowRank, 4},
                                    {Form::kProjected, 32},
                                    {Form::kProjected, 32, SmallOutput::Basis::kOutput},
                                    {Form::kTied, 100}}) {
    CAPTURE(small_output_json(output).dump());
    AdapterSpec spec;
    spec.config.modules_to_save = {"fc"};
    spec.output_classes = 10;
    spec.small_output = output;
    check(spec);
  }
}

TEST_CASE("a transformer's step takes about what was estimated") {
  const Graph graph = small_vit({.features = 192, .heads = 3, .depth = 6, .image = 64, .patch = 8});
  const std::string norms = R"(.*norm[12])";
  for (const std::string& targets : {std::string(R"(.*\.qkv)"), std::string(R"(blocks\.[345]\..*(qkv|fc2))"),
                                     std::string(R"(.*\.(qkv|attn\.proj|fc1|fc2))"), norms}) {
    CAPTURE(targets);
    AdapterSpec spec = spec_for(targets, {"head"});
    if (targets == norms) spec.config.peft_type = PeftType::kLnTuning;
    check_estimate(graph, spec, 64, 32);
  }
}

TEST_CASE("an evaluation takes as many images as fit into its memory, at most 100") {
  const Graph graph = find_model("resnet50").build();
  CHECK(evaluation_batch(graph, 28, 28) == 100);
  const std::int64_t few = evaluation_batch(graph, 224, 224);
  CHECK(few >= 8);
  CHECK(few < 50);
  CHECK(evaluation_batch(graph, 2000, 2000) == 1);
}
