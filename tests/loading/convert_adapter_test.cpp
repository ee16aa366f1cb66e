#include "loading/convert_adapter.h"

#include <ATen/Functions.h>
#include <ATen/core/grad_mode.h>
#include <doctest/doctest.h>

#include "engine/executor.h"
#include "engine/network.h"
#include "graph/small_graphs.h"
#include "models/models.h"
#include "models/transformers_config.h"
#include "refusal.h"

using namespace lorikeet;

namespace {

ModelEntry small_vit_entry(Library library) {
  ModelEntry entry = transformers_model({{"model_type", "vit"},
                                         {"hidden_size", 12},
                                         {"num_hidden_layers", 2},
                                         {"num_attention_heads", 3},
                                         {"intermediate_size", 20},
                                         {"image_size", 8},
                                         {"patch_size", 4},
                                         {"num_labels", 5}});
  entry.library = library;
  return entry;
}

// An adapter with values as if it had been trained.
AdapterFolder trained(const ModelEntry& entry, const AdapterSpec& spec, const NamedTensors& weights) {
  const Network network(adapt(entry.build(), spec), weights, 1);
  at::Generator generator = seeded(2);
  const at::NoGradGuard no_grad;
  for (auto& [name, tensor] : network.trainable()) tensor.add_(at::empty(tensor.sizes()).normal_(0, 0.3, generator));
  AdapterFolder folder;
  folder.spec = spec;
  for (const auto& [name, tensor] : network.adapter_tensors()) folder.tensors.add(name, tensor.detach().clone());
  return folder;
}

at::Tensor logits(const ModelEntry& entry, const AdapterFolder& folder, const NamedTensors& weights) {
  const Adaptation adaptation = adapt(entry.build(), folder.spec);
  check_adapter_tensors(folder.tensors, adaptation, "converted");
  Network network(adaptation, weights, 3);
  network.load_adapter_tensors(folder.tensors);
  at::Generator generator = seeded(4);
  return make_plain_executor(network, {})->predict(at::empty({3, 3, 8, 8}).normal_(0, 1, generator));
}

AdapterSpec spec_on(std::vector<std::string> targets) {
  AdapterSpec spec;
  spec.config.r = 2;
  spec.config.lora_alpha = 6;
  spec.config.target_modules = std::move(targets);
  return spec;
}

const std::vector<Library> kLibraries{Library::kTorchvision, Library::kTimm, Library::kTransformers};

void check_all_ways(Library library, const AdapterSpec& spec, const std::vector<Library>& others = kLibraries) {
  const ModelEntry entry = small_vit_entry(library);
  const NamedTensors weights = random_weights(entry.build(), 1);
  const AdapterFolder folder = trained(entry, spec, weights);
  const at::Tensor expected = logits(entry, folder, weights);
  for (const Library to : others) {
    CAPTURE(library_name(to));
    const ModelEntry other = small_vit_entry(to);
    const AdapterFolder converted = convert_adapter(folder, entry, to);
    const NamedTensors other_weights = convert_weights(weights, entry, to);
    CHECK(at::allclose(logits(other, converted, other_weights), expected, 1e-5, 1e-5));
    const AdapterFolder back = convert_adapter(converted, other, library);
    CHECK(at::allclose(logits(entry, back, convert_weights(other_weights, other, library)), expected, 1e-5, 1e-5));
  }
}

}  // namespace

TEST_CASE("a converted adapter computes the same, whether qkv is cut or joined") {
  AdapterSpec on_qkv = spec_on({"qkv", "fc1"});
  on_qkv.config.modules_to_save = {"head", "norm"};
  on_qkv.output_classes = 3;
  on_qkv.config.rank_pattern = {{"blocks.1.attn.qkv", 3}};
  on_qkv.config.alpha_pattern = {{"fc1", 5}};
  check_all_ways(Library::kTimm, on_qkv);
  on_qkv.config.use_dora = true;
  check_all_ways(Library::kTimm, on_qkv, {Library::kTransformers});

  // torchvision's attention has one adapter for both of its projections, with one rank.
  AdapterSpec on_both = spec_on({"qkv", "attn.proj"});
  on_both.config.rank_pattern = {{"blocks.1.attn.proj", 4}, {"blocks.0.attn.qkv", 3}};
  on_both.config.alpha_pattern = {{"blocks.0.attn.proj", 5}};
  check_all_ways(Library::kTimm, on_both);
  on_both.config.use_rslora = true;
  check_all_ways(Library::kTimm, on_both);
  check_all_ways(Library::kTimm, spec_on({"attn.proj"}));
  AdapterSpec on_attention = spec_on({"self_attention", "mlp.0"});
  on_attention.config.rank_pattern = {{"encoder_layer_1.self_attention", 3}};
  check_all_ways(Library::kTorchvision, on_attention);

  AdapterSpec on_two = spec_on({"q_proj", "v_proj", "fc2"});
  on_two.config.alpha_pattern = {{"v_proj", 5}};
  on_two.config.use_rslora = true;
  on_two.config.modules_to_save = {"classifier"};
  on_two.head = Head{{4}, 3};
  check_all_ways(Library::kTransformers, on_two);

  AdapterSpec biases = spec_on({"q_proj", "k_proj", "v_proj"});
  biases.config.bias = TrainedBias::kAll;
  check_all_ways(Library::kTransformers, biases, {Library::kTimm});  // PEFT does not train in_proj_bias

  AdapterSpec scales = spec_on({"k_proj", "v_proj", "o_proj", "fc2"});
  scales.config.peft_type = PeftType::kIa3;
  scales.config.feedforward_modules = std::vector<std::string>{"fc2"};
  check_all_ways(Library::kTransformers, scales);
}

TEST_CASE("what no adapter over the other names can compute is refused") {
  const auto refused = [](Library from, const AdapterSpec& spec, Library to) {
    const ModelEntry entry = small_vit_entry(from);
    const AdapterFolder folder = trained(entry, spec, random_weights(entry.build(), 1));
    return refusal<Error>([&] { convert_adapter(folder, entry, to); });
  };
  AdapterSpec dora = spec_on({"q_proj"});
  dora.config.use_dora = true;
  CHECK(refused(Library::kTransformers, dora, Library::kTimm).find("got DoRA on some of 3 layers") !=
        std::string::npos);
  AdapterSpec retrained = spec_on({"fc1"});
  retrained.config.modules_to_save = {"k_proj"};
  CHECK(refused(Library::kTransformers, retrained, Library::kTimm).find("got some of 3 layers retrained") !=
        std::string::npos);
  AdapterSpec loha = spec_on({"qkv"});
  loha.config.peft_type = PeftType::kLoha;
  CHECK(refused(Library::kTimm, loha, Library::kTransformers).find("expected LoRA, DoRA or IA3") != std::string::npos);
  AdapterSpec joined = spec_on({"qkv"});
  joined.config.use_dora = true;
  CHECK(refused(Library::kTimm, joined, Library::kTorchvision).find("on in_proj alone, expected one on in_proj and ") !=
        std::string::npos);
  AdapterSpec biases = spec_on({"fc1"});
  biases.config.bias = TrainedBias::kAll;
  CHECK(refused(Library::kTimm, biases, Library::kTorchvision).find("PEFT's bias does not include it") !=
        std::string::npos);
  const ModelEntry lite = find_model("efficientnet_lite0");  // which transformers does not have
  const std::string wrong = refusal<Error>([&] { convert_adapter({}, lite, Library::kTransformers); });
  CHECK(wrong.find("got the names of transformers, which does not have this network, expected those of timm") !=
        std::string::npos);
}

TEST_CASE("a network that another library has in another form is not converted") {
  const Json small{{"hidden_size", 12}, {"num_hidden_layers", 1}, {"num_attention_heads", 3},
                   {"image_size", 8},   {"patch_size", 4},        {"intermediate_size", 20}};
  const auto libraries = [&](Json changes) {
    Json config = small;
    config.update(changes);
    std::vector<std::string> out;
    for (const auto& [library, names] : transformers_model(config).names.tables) out.push_back(library_name(library));
    return out;
  };
  CHECK(libraries({{"model_type", "vit"}}) == library_names());
  CHECK(libraries({{"model_type", "vit"}, {"qkv_bias", false}}) == std::vector<std::string>{"timm", "transformers"});
  const std::vector<std::string> only{"transformers"};
  CHECK(libraries({{"model_type", "vit"}, {"hidden_act", "gelu_new"}}) == only);
  CHECK(libraries({{"model_type", "deit"}}) == only);    // timm's has two classifiers
  CHECK(libraries({{"model_type", "dinov2"}}) == only);  // whose classifier also reads the mean of the patches
  CHECK(libraries({{"model_type", "convnext"}}) == library_names());
  CHECK(libraries({{"model_type", "convnext"}, {"patch_size", 2}}) == only);
  CHECK(libraries({{"model_type", "resnet"}}) == library_names());
  CHECK(libraries({{"model_type", "resnet"}, {"downsample_in_bottleneck", true}}) == only);
  CHECK(libraries({{"model_type", "resnet"}, {"hidden_sizes", {128, 256, 512, 1024}}}) == only);
  CHECK(libraries({{"model_type", "mobilenet_v2"}}) == only);  // TensorFlow's padding
  CHECK(libraries({{"model_type", "swin"}}) == library_names());
  CHECK(libraries({{"model_type", "swin"}, {"hidden_act", "gelu_new"}}) == only);
  CHECK(libraries({{"model_type", "swin"}, {"qkv_bias", false}}) == std::vector<std::string>{"timm", "transformers"});
  CHECK(libraries({{"model_type", "mobilenet_v2"}, {"tf_padding", false}, {"layer_norm_eps", 1e-5}}) ==
        library_names());
  const Json mobilevit{{"model_type", "mobilevit"}, {"num_attention_heads", 4}, {"patch_size", 2}};
  CHECK(libraries(mobilevit) == std::vector<std::string>{"timm", "transformers"});
  CHECK(libraries({{"model_type", "mobilevit"}}) == only);  // another patch
  CHECK_FALSE(find_model("vit_small_patch14_dinov2").names.tables.contains(Library::kTransformers));
}

TEST_CASE("parameters get the shapes of the other library") {
  const auto shapes = [](const ModelEntry& entry, Library to, const std::string& name) {
    const NamedTensors converted = convert_weights(random_weights(entry.build(), 1), entry, to);
    REQUIRE(converted.contains(name));
    return converted.find(name)->sizes().vec();
  };
  const ModelEntry& tiny = find_model("convnext_tiny");
  CHECK(shapes(tiny, Library::kTimm, "stages.0.blocks.0.gamma") == Shape{96});
  CHECK(shapes(tiny, Library::kTransformers, "convnext.encoder.stages.0.layers.0.layer_scale_parameter") == Shape{96});
  CHECK(shapes(find_model("timm/convnext_tiny"), Library::kTorchvision, "features.1.0.layer_scale") == Shape{96, 1, 1});

  const ModelEntry second = transformers_model(
      {{"model_type", "convnextv2"}, {"hidden_sizes", {4, 8, 8, 8}}, {"depths", {1, 1, 1, 1}}, {"num_labels", 3}});
  const std::string grn = "stages.0.blocks.0.mlp.grn";
  CHECK(shapes(second, Library::kTimm, grn + ".weight") == Shape{16});
  AdapterSpec spec = spec_on({"pwconv1"});
  spec.config.modules_to_save = {"grn"};
  const AdapterFolder folder = trained(second, spec, random_weights(second.build(), 1));
  const AdapterFolder converted = convert_adapter(folder, second, Library::kTimm);
  CHECK(converted.tensors.find(grn + ".bias")->sizes() == at::IntArrayRef{16});
}

TEST_CASE("methods whose layers depend on each other are converted where both libraries agree on the layers") {
  AdapterSpec spec = spec_on({"fc1", "fc2", "head"});
  spec.config.lora_alpha = 8;
  spec.config.peft_type = PeftType::kVera;
  check_all_ways(Library::kTimm, spec);
  spec.config.vera.save_projection = true;
  check_all_ways(Library::kTimm, spec);
  spec.config.peft_type = PeftType::kUniLora;
  spec.config.vera = {};
  spec.config.unilora.theta_d_length = 9;
  check_all_ways(Library::kTimm, spec);
  spec.config.peft_type = PeftType::kFourierFt;
  spec.config.unilora = {};
  spec.config.fourierft.n_frequency = 20;
  spec.config.fourierft.n_frequency_pattern = {{"fc1", 7}};
  check_all_ways(Library::kTimm, spec);

  // qkv is three layers in transformers.
  spec = spec_on({"qkv", "fc2"});
  spec.config.lora_alpha = 8;
  spec.config.peft_type = PeftType::kUniLora;
  const ModelEntry entry = small_vit_entry(Library::kTimm);
  const AdapterFolder folder = trained(entry, spec, random_weights(entry.build(), 1));
  CHECK(refusal<Error>([&] { convert_adapter(folder, entry, Library::kTransformers); }) ==
        has("attn.qkv: got UniLoRA, expected LoRA, DoRA or IA3"));
}
