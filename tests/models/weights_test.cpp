#include "models/weights.h"

#include <ATen/Functions.h>
#include <doctest/doctest.h>

#include <cmath>
#include <limits>

#include "graph/small_graphs.h"
#include "io/safetensors.h"
#include "lorikeet/error.h"
#include "refusal.h"
#include "temporary_folder.h"

using namespace lorikeet;

namespace {

std::string strip_their(const std::string& name) { return name.rfind("their.", 0) == 0 ? name.substr(6) : name; }

const ModelEntry kSmall{.name = "small",
                        .family = "",
                        .network = [] { return small_resnet(); },
                        .names = {{{Library::kTorchvision, {}}}},
                        .translate_name = strip_their};

NamedTensors reload(const NamedTensors& tensors) {
  const TemporaryFolder folder;
  write_safetensors(folder.path / "w.safetensors", tensors);
  return load_base_weights(folder.path / "w.safetensors", kSmall, kSmall.build());
}

NamedTensors good() { return random_weights(kSmall.build(), 1); }

// Every tensor of `graph` by shape alone, without memory.
NamedTensors shapes_only(const Graph& graph) {
  NamedTensors out;
  for (const auto& parameter : graph.parameters()) out.add(parameter.name, at::zeros({}).expand(parameter.shape));
  return out;
}

void refused(const NamedTensors& tensors, const std::string& because) {
  CHECK_THROWS_WITH_AS(reload(tensors), doctest::Contains(because.c_str()), Error);
  CHECK_THROWS_WITH_AS(reload(tensors), doctest::Contains("w.safetensors: "), Error);
}

NamedTensors good_but(const std::string& name, const at::Tensor& tensor) {
  NamedTensors out = good();
  out.set(name, tensor);
  return out;
}

}  // namespace

TEST_CASE("weights load in the graph's order and in float32, whatever the file's order, types and names") {
  const NamedTensors weights = good();
  NamedTensors shuffled;
  std::vector<NamedTensors::Entry> entries(weights.begin(), weights.end());
  for (std::size_t i = entries.size(); i-- > 0;) {
    const auto& [name, tensor] = entries[i];
    shuffled.add(i % 2 == 0 ? "their." + name : name, i % 3 == 0 ? tensor.to(at::kDouble) : tensor);
  }
  shuffled.add("bn1.num_batches_tracked", at::scalar_tensor(7, at::kLong));  // nothing that evaluation uses

  const NamedTensors loaded = reload(shuffled);
  REQUIRE(loaded.size() == weights.size());
  auto expected = weights.begin();
  for (const auto& [name, tensor] : loaded) {
    CHECK(name == expected->first);
    CHECK((tensor.scalar_type() == at::kFloat));
    CHECK(at::equal(tensor, (expected++)->second));
  }
  CHECK(fingerprint(loaded) == fingerprint(weights));

  const NamedTensors half = reload(good_but("fc.weight", weights.find("fc.weight")->to(at::kBFloat16)));
  CHECK((half.find("fc.weight")->scalar_type() == at::kFloat));
}

TEST_CASE("what people's files hold beside the weights is left out, with a note") {
  NamedTensors profiled = good();
  for (const char* name : {"total_ops", "total_params", "layer1.0.conv1.total_ops", "layer1.0.conv1.total_params"})
    profiled.add(name, at::zeros({1}, at::kDouble));
  const NamedTensors loaded = reload(profiled);
  CHECK(loaded.size() == good().size());
  REQUIRE(loaded.notes.size() == 1);
  CHECK(loaded.notes[0] == has("left out 4 counters of a profiler (total_ops, total_params)"));

  NamedTensors other_task = good();
  other_task.add("pooler.dense.weight", at::ones({2}));
  const NamedTensors fitted = fit_base_weights(other_task, "w.bin", kSmall, kSmall.build(), {.skips_unknown = true});
  CHECK(fitted.size() == good().size());
  REQUIRE(fitted.notes.size() == 1);
  CHECK(fitted.notes[0] == "w.bin: left out tensors that small does not have: 'pooler.dense.weight'");
}

TEST_CASE("a backbone without an output layer gets a zero one") {
  NamedTensors backbone;
  for (const auto& [name, tensor] : good()) {
    if (!name.starts_with("fc.")) backbone.add(name, tensor);
  }
  const NamedTensors loaded = reload(backbone);
  CHECK(loaded.find("fc.weight")->eq(0).all().item<bool>());
  REQUIRE(loaded.notes.size() == 1);
  CHECK(loaded.notes[0] == has("has no output layer 'fc', which is zero until it is trained"));
}

TEST_CASE("the output layer takes the file's number of classes") {
  Graph graph = kSmall.build();
  const std::int64_t own = output_features(graph);
  CHECK(fit_outputs(good(), kSmall, graph).empty());
  const std::int64_t in = good().find("fc.weight")->size(1);
  NamedTensors other = good_but("fc.weight", at::ones({own + 3, in}));
  other.set("fc.bias", at::ones({own + 3}));
  CHECK(fit_outputs(other, kSmall, graph) ==
        "the output layer 'fc' has " + std::to_string(own + 3) + " outputs, not " + std::to_string(own));
  CHECK(output_features(graph) == own + 3);
  CHECK(fit_base_weights(other, "w.pth", kSmall, graph).size() == good().size());
  graph = kSmall.build();
  CHECK(fit_outputs(good_but("fc.weight", at::ones({own, in + 1})), kSmall, graph).empty());  // of another network
  CHECK(output_features(graph) == own);
}

TEST_CASE("weights that do not fit the graph are refused, by name") {
  NamedTensors missing;
  for (const auto& [name, tensor] : good()) {
    if (name != "layer1.1.bn2.running_var") missing.add(name, tensor);
  }
  refused(missing, "got no tensor 'layer1.1.bn2.running_var', expected the weights of small.");
  refused(good_but("layer1.0.conv9.weight", at::ones({2})), "unknown tensor 'layer1.0.conv9.weight'");
  refused(good_but("layer1.0.conv9.weight", at::ones({2})), "Did you mean 'layer1.0.conv");
  refused(good_but("head.0.weight", at::ones({2})), "A head belongs to an adapter");
  refused(good_but("fc.weight", at::ones({6, 8})), "'lorikeet extract' makes an adapter of it.");
  refused(good_but("fc.bias", at::ones({6})), "tensor 'fc.bias': got shape (6,), expected (5,) for small.");
  refused(good_but("fc.bias", at::ones({5, 1})), "got shape (5, 1)");
  refused(good_but("fc.bias", at::ones({5}, at::kLong)), "tensor 'fc.bias': got type Long");
  refused(good_but("fc.bias", at::full({5}, std::nan(""))), "tensor 'fc.bias': got NaN or infinity");
  refused(good_but("fc.bias", at::full({5}, -std::numeric_limits<double>::infinity(), at::kBFloat16)),
          "got NaN or infinity");
  refused(good_but("fc.bias", at::full({5}, 1e300, at::kDouble)), "got NaN or infinity");  // infinite in float32
  refused(good_but("bn1.running_var", good().find("bn1.running_var")->clone().fill_(-1)),
          "tensor 'bn1.running_var': got the variance -1, expected none below 0");
  refused(good_but("their.fc.bias", at::ones({5})), "twice");
}

TEST_CASE("the fingerprint depends on every number, shape and name, and on nothing else") {
  const NamedTensors weights = good();
  const std::string print = fingerprint(weights);
  CHECK(print.size() == 64);
  CHECK(fingerprint(good()) == print);
  CHECK(fingerprint(good_but("conv1.weight",
                             weights.find("conv1.weight")->contiguous(at::MemoryFormat::ChannelsLast))) == print);

  at::Tensor changed = weights.find("fc.weight")->clone();
  changed[4][7].add_(1e-6);
  CHECK(fingerprint(good_but("fc.weight", changed)) != print);
  CHECK(fingerprint(good_but("fc.weight", weights.find("fc.weight")->reshape({8, 5}))) != print);
  CHECK(fingerprint(good_but("extra", at::ones({0}))) != print);
}

TEST_CASE("the shapes in a file say which model it is of") {
  for (const auto& model : models()) {
    CAPTURE(model.name);
    NamedTensors file = shapes_only(model.build());
    file.add("bn1.num_batches_tracked", at::scalar_tensor(1, at::kLong));
    const auto guessed = guess_models(file);
    CHECK(std::find(guessed.begin(), guessed.end(), model.name) != guessed.end());
    file.add("more", at::ones({1}));
    CHECK(guess_models(file).empty());
  }
  CHECK(guess_models(shapes_only(find_model("resnet50").build())) == std::vector<std::string>{"resnet50"});
  CHECK(guess_models(good()).empty());
  CHECK(guess_models({}).empty());
}

TEST_CASE("of several models that a file fits, the one that it names is the first") {
  NamedTensors file = shapes_only(find_model("vit_tiny_patch16_224").build());
  for (const char* arch : {"deit_tiny_patch16_224", "vit_tiny_patch16_224"}) {
    file.metadata["arch"] = arch;
    const auto guessed = guess_models(file);
    CHECK(guessed.size() > 1);
    CHECK(guessed.front() == arch);
  }
}

TEST_CASE("weights that fit no model are compared with those of the nearest one") {
  NamedTensors renamed, other;
  for (const auto& [name, tensor] : shapes_only(find_model("resnet18").build())) {
    if (!name.starts_with("fc.")) renamed.add("encoder.q." + name, tensor);
    if (name != "layer1.0.conv1.weight") other.add(name, tensor);
  }
  renamed.add("queue", at::ones({3}));
  CHECK(describe_nearest_model(renamed) ==
        " Most like resnet18, of whose 102 tensors it has 100 under the prefix 'encoder.q.', not 'fc.bias', "
        "'fc.weight'; it also has 'queue'.");
  CHECK(describe_nearest_model(other) ==
        " Most like resnet18, of whose 102 tensors it has 101, not 'layer1.0.conv1.weight'.");
  CHECK(describe_nearest_model(good()).empty());
  CHECK(describe_nearest_model({}).empty());
}

TEST_CASE("weights of another known model are called by its name") {
  const TemporaryFolder folder;
  NamedTensors other;
  for (const auto& [name, tensor] : shapes_only(find_model("efficientnet_lite0").build())) {
    other.add(name, tensor.to(at::kHalf).contiguous());
  }
  write_safetensors(folder.path / "w.safetensors", other);
  CHECK_THROWS_WITH_AS(load_base_weights(folder.path / "w.safetensors", kSmall, kSmall.build()),
                       doctest::Contains("These look like those of efficientnet_lite0."), Error);
}
