// The executors on a CUDA device against the plain executor on the CPU, within bounds.
#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <doctest/doctest.h>

#include <algorithm>

#include "cuda/device.h"
#include "engine/executor.h"
#include "engine/mixed_batch.h"
#include "engine/prefix_cache.h"
#include "engine/small_networks.h"
#include "io/safetensors.h"
#include "models/families.h"
#include "temporary_folder.h"

using namespace lorikeet;

namespace {

// An adapter method and its target layers in both networks.
AdapterSpec method_spec(PeftType type, bool use_dora = false, LoraStart start = LoraStart::kDefault) {
  AdapterSpec spec = spec_for(type == PeftType::kLnTuning ? R"(.*bn\d?)" : R"(layer[34].*\.conv\d|.*conv_pwl?)");
  spec.config.peft_type = type;
  spec.config.use_dora = use_dora;
  spec.config.init_lora_weights = start;
  return spec;
}

// As if it had been trained: nothing that learns is at its start.
Network adapted_network(const Graph& graph, const AdapterSpec& spec) {
  Network network(adapt(graph, spec), random_weights(graph, 1), 1);
  at::Generator generator = seeded(2);
  const at::NoGradGuard no_grad;
  for (auto& [name, tensor] : network.trainable()) tensor.add_(at::empty(tensor.sizes()).normal_(0, 0.02, generator));
  return network;
}

at::Tensor images_of_side(std::int64_t side) {
  at::Generator generator = seeded(3);
  return at::empty({4, 3, side, side}).normal_(0, 1, generator);
}

// Logits, then the gradients of the sum of their squares, all on the CPU.
std::vector<at::Tensor> step(Network& network, EngineKind kind, const at::Tensor& images, at::Device device,
                             at::ScalarType precision = at::kFloat) {
  network.to(device);
  const auto executor = make_executor(kind, network, {.precision = precision});
  const at::Tensor logits = executor->run_suffix(executor->run_prefix(images.to(device)), /*training=*/true);
  CHECK(logits.device().type() == device.type());
  logits.square().sum().backward();
  std::vector<at::Tensor> out{logits.detach().cpu()};
  for (auto& [name, tensor] : network.trainable()) {
    CHECK(tensor.device().type() == device.type());
    out.push_back(tensor.grad().cpu());
    tensor.mutable_grad() = at::Tensor();
  }
  return out;
}

// A ReLU whose input is within rounding of zero may go either way, and what lies before it differs by that element. A
// fault makes everything differ: hence a bound for the median, and a wide one for the largest difference.
void check_close(const std::vector<at::Tensor>& found, const std::vector<at::Tensor>& expected, double bound) {
  CHECK(relative(found[0], expected[0]) < bound);
  std::vector<double> differences;
  for (std::size_t i = 1; i < expected.size(); ++i) differences.push_back(relative(found[i], expected[i]));
  std::sort(differences.begin(), differences.end());
  CAPTURE(relative(found[0], expected[0]));
  CAPTURE(differences.back());
  CHECK(differences[differences.size() / 2] < 10 * bound);
  CHECK(differences.back() < std::max(5e-2, 20 * bound));
}

}  // namespace

TEST_CASE("cuda: both engines give the CPU's logits and gradients for every family, in float32") {
  const WithoutTf32 full_precision;
  for (const ModelEntry* model : smallest_models()) {
    CAPTURE(model->name);
    Network network = adapted_network(model->build(), method_spec(PeftType::kLora));
    const at::Tensor images = images_of_side(64);
    const auto expected = step(network, EngineKind::kPlain, images, at::kCPU);
    check_close(step(network, EngineKind::kPlain, images, test_device()), expected, 1e-4);
    check_close(step(network, EngineKind::kFused, images, test_device()), expected, 1e-4);
  }
}

TEST_CASE("cuda: images of few pixels, which take other kernels") {
  const WithoutTf32 full_precision;
  for (const char* name : {"resnet50", "efficientnet_lite0"}) {
    CAPTURE(name);
    Network network = adapted_network(find_model(name).build(), method_spec(PeftType::kLora));
    const at::Tensor images = images_of_side(28);
    const auto expected = step(network, EngineKind::kPlain, images, at::kCPU);
    check_close(step(network, EngineKind::kFused, images, test_device()), expected, 1e-4);
  }
}

TEST_CASE("cuda: every method gives the CPU's logits and gradients") {
  const WithoutTf32 full_precision;
  const std::vector<std::pair<const char*, AdapterSpec>> specs{
      {"LoRA, PiSSA", method_spec(PeftType::kLora, false, LoraStart::kPissa)},
      {"DoRA", method_spec(PeftType::kLora, true)},
      {"LoHa", method_spec(PeftType::kLoha)},
      {"LoKr", method_spec(PeftType::kLokr)},
      {"IA3", method_spec(PeftType::kIa3)},
      {"HiRA", method_spec(PeftType::kHira)},
      {"OFT", method_spec(PeftType::kOft)},
      {"BOFT", method_spec(PeftType::kBoft)},
      {"FourierFT", method_spec(PeftType::kFourierFt)},
      {"VeRA", method_spec(PeftType::kVera)},
      {"UniLoRA", method_spec(PeftType::kUniLora)},
      {"norm tuning", method_spec(PeftType::kLnTuning)}};
  for (const auto& [name, spec] : specs) {
    CAPTURE(name);
    Network network = adapted_network(find_model("resnet18").build(), spec);
    const at::Tensor images = images_of_side(64);
    const auto expected = step(network, EngineKind::kPlain, images, at::kCPU);
    check_close(step(network, EngineKind::kFused, images, test_device()), expected, 1e-4);
  }
}

TEST_CASE("cuda: TF32 and bfloat16 stay near the CPU's float32") {
  Network network = adapted_network(find_model("resnet18").build(), method_spec(PeftType::kLora));
  const at::Tensor images = images_of_side(64);
  const at::Tensor expected = step(network, EngineKind::kPlain, images, at::kCPU)[0];
  CHECK(relative(step(network, EngineKind::kFused, images, test_device())[0], expected) < 1e-2);
  CHECK(relative(step(network, EngineKind::kFused, images, test_device(), at::kBFloat16)[0], expected) < 1e-1);
  CHECK(relative(step(network, EngineKind::kPlain, images, test_device(), at::kBFloat16)[0], expected) < 1e-1);
}

TEST_CASE("cuda: a prefix cache, in memory or in a file, gives the device what it stored") {
  const TemporaryFolder folder;
  Network network = trained_network(full_spec());
  network.to(test_device());
  const auto executor = make_executor(EngineKind::kFused, network, {});
  const Frontier frontier = executor->run_prefix(some_images().to(test_device()));
  const at::Tensor indices = at::arange(4, at::kLong);
  for (const std::filesystem::path& place : {std::filesystem::path(), folder.path}) {
    CAPTURE(place.string());
    PrefixCache cache(4, place);
    cache.store(indices, at::zeros({4}, at::kLong), frontier);
    REQUIRE(cache.complete());
    const Frontier loaded = cache.load(indices);
    for (std::size_t i = 0; i < loaded.size(); ++i) {
      CHECK(loaded[i].device().type() == test_device().type());
      CHECK(at::equal(loaded[i], frontier[i]));
    }
    CHECK(at::equal(executor->run_suffix(loaded, false), executor->run_suffix(frontier, false)));
  }
}

TEST_CASE("cuda: the rows of a batch use different adapters") {
  const WithoutTf32 full_precision;
  Network one = adapted_network(find_model("resnet18").build(), method_spec(PeftType::kLora));
  Network two = adapted_network(find_model("resnet18").build(), method_spec(PeftType::kLora, true));
  const at::Tensor images = images_of_side(64);
  const std::vector<std::size_t> which{0, 1, 1, 0};
  const auto expected = MixedBatch({&one, &two}, at::kFloat).predict(images, which);
  one.to(test_device());
  two.to(test_device());
  const auto found = MixedBatch({&one, &two}, at::kFloat).predict(images.to(test_device()), which);
  for (std::size_t i = 0; i < which.size(); ++i) CHECK(relative(found[i].cpu(), expected[i]) < 1e-4);
}

TEST_CASE("cuda: dropout follows the network to the device and is a function of its seed") {
  AdapterSpec spec = method_spec(PeftType::kLora);
  spec.config.lora_dropout = 0.5;
  Network network = adapted_network(find_model("resnet18").build(), spec);
  network.seed_dropout(1);  // on the CPU
  const auto logits = [&](EngineKind kind) { return step(network, kind, images_of_side(64), test_device())[0]; };
  for (const EngineKind kind : {EngineKind::kPlain, EngineKind::kFused}) {
    const at::Tensor moved = logits(kind);
    network.seed_dropout(2);
    const at::Tensor first = logits(kind);
    CHECK_FALSE(at::equal(logits(kind), first));
    network.seed_dropout(2);
    CHECK(at::equal(logits(kind), first));
    CHECK_FALSE(at::equal(moved, first));
  }
}

TEST_CASE("cuda: an adapter goes to the device, into a file and back to the CPU unchanged") {
  const TemporaryFolder folder;
  for (const bool dora : {false, true}) {
    Network network = adapted_network(find_model("resnet18").build(), method_spec(PeftType::kLora, dora));
    const at::Tensor images = images_of_side(64);
    const at::Tensor expected = make_executor(EngineKind::kPlain, network, {})->predict(images);
    network.to(test_device());
    write_safetensors(folder.path / "adapter.safetensors", network.saved_adapter().tensors);
    write_safetensors(folder.path / "merged.safetensors", network.merged());

    Network other = adapted_network(find_model("resnet18").build(), method_spec(PeftType::kLora, dora));
    other.load_adapter_tensors(read_safetensors(folder.path / "adapter.safetensors"));
    CHECK(at::equal(make_executor(EngineKind::kPlain, other, {})->predict(images), expected));
    other.to(test_device());
    other.load_adapter_tensors(network.adapter_tensors());
    const Network merged(find_model("resnet18").build(), read_safetensors(folder.path / "merged.safetensors"));
    CHECK(relative(make_executor(EngineKind::kPlain, merged, {})->predict(images), expected) < 1e-4);
  }
}
