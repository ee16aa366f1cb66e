#include "adapters/methods.h"

#include <algorithm>

#include "adapters/dora.h"
#include "adapters/ia3.h"
#include "adapters/loha.h"
#include "adapters/lokr.h"
#include "adapters/lora.h"
#include "adapters/norm_tuning.h"
#include "base/error.h"

namespace lorikeet {
namespace {

constexpr const char* kWeighted = "Conv2d and Linear";
constexpr const char* kNormalising = "BatchNorm2d and LayerNorm";

bool is_weighted(const Op& op) { return kind_of(op) == OpKind::kWeighted; }
bool is_normalising(const Op& op) { return kind_of(op) == OpKind::kNormalising; }

}  // namespace

const std::vector<Method>& methods() {
  static const std::vector<Method> kMethods{
      {"LoRA", PeftType::kLora, false, kWeighted, is_weighted, lora_tensors, make_lora},
      {"DoRA", PeftType::kLora, true, kWeighted, is_weighted, dora_tensors, make_dora},
      {"LoHa", PeftType::kLoha, false, kWeighted, is_weighted, loha_tensors, make_loha},
      {"LoKr", PeftType::kLokr, false, kWeighted, is_weighted, lokr_tensors, make_lokr},
      {"IA3", PeftType::kIa3, false, kWeighted, is_weighted, ia3_tensors, make_ia3},
      {"norm tuning", PeftType::kLnTuning, false, kNormalising, is_normalising, norm_tensors, make_norm},
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
  std::string out = config.has_targets() ? method.name : "no method";
  if (config.has_targets() && has_rank(config.peft_type))
    out += cat(", r=", config.r, config.peft_type == PeftType::kLora ? ", lora_alpha=" : ", alpha=", config.lora_alpha);
  if (config.bias != TrainedBias::kNone)
    out += config.bias == TrainedBias::kAll ? ", all biases" : ", the biases beside it";
  return out;
}

}  // namespace lorikeet
