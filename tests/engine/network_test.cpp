#include "engine/network.h"

#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>
#include <doctest/doctest.h>

#include <cmath>

#include "adapters/adapter_folder.h"
#include "engine/small_networks.h"
#include "lorikeet/error.h"

using namespace lorikeet;

namespace {

Network fresh(const AdapterSpec& spec, std::uint64_t seed) {
  return {adapt(small_resnet(), spec), random_weights(small_resnet(), 1), seed};
}

std::vector<std::string> names_of(const Network& network) {
  std::vector<std::string> out;
  for (const auto& [name, tensor] : network.trainable()) out.push_back(name);
  return out;
}

}  // namespace

TEST_CASE("the seed alone decides the start") {
  const NamedTensors one = fresh(full_spec(), 1).adapter_tensors();
  const NamedTensors same = fresh(full_spec(), 1).adapter_tensors();
  const NamedTensors other = fresh(full_spec(), 2).adapter_tensors();
  for (const auto& [name, tensor] : one) {
    CAPTURE(name);
    CHECK(at::equal(tensor, *same.find(name)));
    const bool is_random = name.find("lora_A") != std::string::npos || name.rfind("head.", 0) == 0;
    CHECK(at::equal(tensor, *other.find(name)) != is_random);
  }
}

TEST_CASE("retrained modules begin as the base's, new layers as PyTorch's Linear") {
  AdapterSpec spec = full_spec();
  const NamedTensors base = random_weights(small_resnet(), 1);
  const NamedTensors start = fresh(spec, 1).adapter_tensors();
  CHECK(at::equal(*start.find("fc.weight"), *base.find("fc.weight")));
  CHECK(at::equal(*start.find("layer1.2.bn1.running_var"), *base.find("layer1.2.bn1.running_var")));

  spec.output_classes = 400;
  const NamedTensors replaced = fresh(spec, 1).adapter_tensors();
  for (const char* name : {"fc.weight", "fc.bias"}) {
    const at::Tensor& tensor = *replaced.find(name);
    CHECK(tensor.size(0) == 400);
    const double most = at::abs(tensor).max().item<double>();
    CHECK(most <= 1 / std::sqrt(8.0));  // U(−1/√in, 1/√in)
    CHECK(most > 0.95 / std::sqrt(8.0));
  }
}

TEST_CASE("LoRA at its start changes nothing") {
  const Network base(small_resnet(), random_weights(small_resnet(), 1));
  const at::Tensor adapted = evaluate(fresh(spec_for(R"(.*conv.|fc)"), 1), some_images());
  CHECK(at::equal(adapted, evaluate(base, some_images())));
}

TEST_CASE("what is learned has the adapter's names, in one order, and is float32 leaves") {
  const AdapterSpec spec = full_spec();
  const Network network = fresh(spec, 1);
  std::vector<std::string> expected;
  for (const auto& parameter : trainable_parameters(adapt(small_resnet(), spec))) expected.push_back(parameter.name);
  CHECK(names_of(network) == expected);
  for (const auto& [name, tensor] : network.trainable()) {
    CHECK(tensor.is_leaf());
    CHECK(tensor.requires_grad());
    CHECK((tensor.scalar_type() == at::kFloat));
  }
  check_adapter_tensors(network.adapter_tensors(), adapt(small_resnet(), spec), "x");
}

TEST_CASE("an adapter's tensors carried to another start give the same network") {
  const Network trained = trained_network(full_spec(), 1);
  Network other = fresh(full_spec(), 2);
  CHECK_FALSE(at::allclose(evaluate(other, some_images()), evaluate(trained, some_images())));
  other.load_adapter_tensors(trained.adapter_tensors());
  CHECK(at::equal(evaluate(other, some_images()), evaluate(trained, some_images())));
  for (const auto& [name, tensor] : other.trainable()) CHECK(tensor.requires_grad());
  {  // and are copies
    const at::NoGradGuard no_grad;
    for (auto& [name, tensor] : other.trainable()) tensor.zero_();
  }
  CHECK(at::abs(evaluate(trained, some_images())).max().item<double>() > 0);
}

TEST_CASE("training leaves the base weights alone") {
  const NamedTensors base = random_weights(small_resnet(), 1);
  Network network(adapt(small_resnet(), full_spec()), base, 1);
  {
    const at::NoGradGuard no_grad;
    for (auto& [name, tensor] : network.trainable()) tensor.fill_(9);
  }
  for (const auto& [name, tensor] : random_weights(small_resnet(), 1)) CHECK(at::equal(*base.find(name), tensor));
}

TEST_CASE("merged weights make the same network without an adapter") {
  const Network network = trained_network(full_spec());
  const NamedTensors merged = network.merged();
  std::vector<std::string> names;
  for (const auto& parameter : network.graph().parameters()) names.push_back(parameter.name);
  std::vector<std::string> merged_names;
  for (const auto& [name, tensor] : merged) {
    merged_names.push_back(name);
    CHECK_FALSE(tensor.requires_grad());
  }
  CHECK(merged_names == names);
  const Network plain(network.graph(), merged);
  CHECK(at::allclose(evaluate(plain, some_images()), evaluate(network, some_images()), 1e-4, 1e-4));
  CHECK_FALSE(at::equal(*merged.find("layer1.2.conv3.weight"),
                        *random_weights(small_resnet(), 1).find("layer1.2.conv3.weight")));
}

TEST_CASE("networks that are moved with the same copies share them, but for what they learn") {
  const NamedTensors base = random_weights(small_resnet(), 1);
  const auto adapted = [&] { return Network(adapt(small_resnet(), full_spec()), base, /*seed=*/0); };
  Network one = adapted(), two = adapted(), alone = adapted();
  MovedTensors moved;
  one.to(at::kMeta, &moved);  // tensors without values, but of an identity
  two.to(at::kMeta, &moved);
  alone.to(at::kMeta);
  std::size_t shared = 0;
  for (NodeId id = 0; id < one.graph().nodes().size(); ++id) {
    for (const auto& [key, tensor] : one.tensors(id)) {
      CAPTURE(one.graph().node(id).name);
      CAPTURE(key);
      CHECK(tensor.is_meta());
      const at::Tensor& other = two.tensors(id)[key];
      const bool is_frozen = !one.is_retrained(id) && !tensor.requires_grad();
      CHECK(tensor.is_same(other) == is_frozen);
      CHECK(tensor.requires_grad() == other.requires_grad());
      CHECK_FALSE(tensor.is_same(alone.tensors(id)[key]));
      shared += is_frozen ? 1 : 0;
    }
  }
  CHECK(shared > 0);
  for (const auto& [name, tensor] : one.trainable()) CHECK(tensor.requires_grad());
}
