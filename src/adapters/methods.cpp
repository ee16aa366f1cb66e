#include "adapters/methods.h"

#include <algorithm>
#include <map>

#include "adapters/boft.h"
#include "adapters/dora.h"
#include "adapters/fourierft.h"
#include "adapters/hira.h"
#include "adapters/ia3.h"
#include "adapters/loha.h"
#include "adapters/lokr.h"
#include "adapters/lora.h"
#include "adapters/lora_xs.h"
#include "adapters/norm_tuning.h"
#include "adapters/oft.h"
#include "adapters/tinylora.h"
#include "adapters/unilora.h"
#include "adapters/vera.h"
#include "base/error.h"

namespace lorikeet {
namespace {

constexpr const char* kWeighted = "Conv2d and Linear";
constexpr const char* kNormalising = "BatchNorm2d and LayerNorm";

bool is_weighted(const Op& op) { return kind_of(op) == OpKind::kWeighted; }
bool is_normalising(const Op& op) { return kind_of(op) == OpKind::kNormalising; }

// The adapter of a method whose layers are independent of each other.
template <auto Tensors>
std::vector<Parameter> each_tensors(const AdaptedLayers& layers, const AdapterConfig& config) {
  std::vector<Parameter> out;
  for (const AdapterTarget& target : layers.targets) {
    const std::string& module = module_name(layers.graph, target);
    for (auto& tensor : Tensors(layers.graph.node(target.node), target, config))
      out.push_back({module + "." + tensor.suffix, target.node, std::move(tensor.shape), /*buffer=*/!tensor.learned});
  }
  return out;
}

template <auto Start>
std::vector<std::unique_ptr<LayerAdapter>> each_start(const AdaptedLayers& layers, const std::vector<NodeTensors>& base,
                                                      const AdapterConfig& config, at::Generator& generator) {
  std::vector<std::unique_ptr<LayerAdapter>> out;
  for (const AdapterTarget& target : layers.targets)
    out.push_back(Start(layers.graph.node(target.node), base[target.node], target, config, generator));
  return out;
}

template <auto Tensors, auto Start>
Method method(const char* name, PeftType type, bool (*adapts)(const Op&)) {
  return {name,
          type,
          /*use_dora=*/false,
          adapts == is_weighted ? kWeighted : kNormalising,
          adapts,
          each_tensors<Tensors>,
          each_start<Start>};
}

Method dependent_layers(const char* name, PeftType type, decltype(Method::tensors) tensors,
                        decltype(Method::start) start) {
  return {name, type, /*use_dora=*/false, kWeighted, is_weighted, tensors, start};
}

Method dora() {
  Method out = method<dora_tensors, make_dora>("DoRA", PeftType::kLora, is_weighted);
  out.use_dora = true;
  return out;
}

}  // namespace

std::vector<std::size_t> registration_order(const AdaptedLayers& layers) {
  std::map<NodeId, std::size_t> places;
  for (std::size_t i = 0; i < layers.targets.size(); ++i) places.emplace(layers.targets[i].node, i);
  std::vector<std::size_t> out;
  for (const Parameter& parameter : layers.graph.parameters()) {
    if (const auto found = places.find(parameter.node); found != places.end()) {
      out.push_back(found->second);
      places.erase(found);
    }
  }
  return out;
}

const std::vector<Method>& methods() {
  static const std::vector<Method> kMethods{
      method<lora_tensors, make_lora>("LoRA", PeftType::kLora, is_weighted),
      dora(),
      method<loha_tensors, make_loha>("LoHa", PeftType::kLoha, is_weighted),
      method<lokr_tensors, make_lokr>("LoKr", PeftType::kLokr, is_weighted),
      method<ia3_tensors, make_ia3>("IA3", PeftType::kIa3, is_weighted),
      method<hira_tensors, make_hira>("HiRA", PeftType::kHira, is_weighted),
      method<oft_tensors, make_oft>("OFT", PeftType::kOft, is_weighted),
      method<boft_tensors, make_boft>("BOFT", PeftType::kBoft, is_weighted),
      method<fourierft_tensors, make_fourierft>("FourierFT", PeftType::kFourierFt, is_weighted),
      dependent_layers("VeRA", PeftType::kVera, vera_tensors, start_vera),
      dependent_layers("UniLoRA", PeftType::kUniLora, unilora_tensors, start_unilora),
      method<norm_tensors, make_norm>("norm tuning", PeftType::kLnTuning, is_normalising),
      {"LoRA-XS", PeftType::kLoraXs, false, kWeighted, is_weighted, each_tensors<lora_xs_tensors>, make_lora_xs},
      {"TinyLoRA", PeftType::kTinyLora, false, kWeighted, is_weighted, tinylora_tensors, make_tinylora},
  };
  return kMethods;
}

const Method& method_of(const AdapterConfig& config) {
  const auto& all = methods();
  return *std::find_if(all.begin(), all.end(), [&](const Method& method) {
    return method.peft_type == config.peft_type && method.use_dora == config.use_dora;
  });
}

std::string summary(const AdapterConfig& config) {
  const Method& method = method_of(config);
  const PeftType type = config.peft_type;
  std::string out = config.has_targets() ? method.name : "no method";
  if (config.has_targets()) {
    if (has_rank(type) || (type == PeftType::kOft && config.oft.block_size == 0)) out += cat(", r=", config.r);
    if (has_alpha(type)) out += cat(", ", alpha_key(type), "=", config.lora_alpha);
    if (type == PeftType::kOft && config.oft.block_size > 0) out += cat(", oft_block_size=", config.oft.block_size);
    if (type == PeftType::kTinyLora) {
      out += cat(", u=", config.tinylora.u);
      if (config.tinylora.weight_tying > 0) out += cat(", weight_tying=", config.tinylora.weight_tying);
    }
    if (type == PeftType::kBoft) {
      const BoftOptions& boft = config.boft;
      out +=
          boft.block_size > 0 ? cat(", boft_block_size=", boft.block_size) : cat(", boft_block_num=", boft.block_num);
    }
    if (type == PeftType::kUniLora) out += cat(", theta_d_length=", config.unilora.theta_d_length);
    if (type == PeftType::kFourierFt) out += cat(", n_frequency=", config.fourierft.n_frequency);
  }
  if (config.bias != TrainedBias::kNone)
    out += config.bias == TrainedBias::kAll ? ", all biases" : ", biases of the adapted layers";
  return out;
}

}  // namespace lorikeet
