#include "adapters/methods.h"

#include <algorithm>

#include "adapters/boft.h"
#include "adapters/dora.h"
#include "adapters/hira.h"
#include "adapters/ia3.h"
#include "adapters/loha.h"
#include "adapters/lokr.h"
#include "adapters/lora.h"
#include "adapters/norm_tuning.h"
#include "adapters/oft.h"
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
      {"HiRA", PeftType::kHira, false, kWeighted, is_weighted, hira_tensors, make_hira},
      {"OFT", PeftType::kOft, false, kWeighted, is_weighted, oft_tensors, make_oft},
      {"BOFT", PeftType::kBoft, false, kWeighted, is_weighted, boft_tensors, make_boft},
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
  const PeftType type = config.peft_type;
  std::string out = config.has_targets() ? method.name : "no method";
  if (config.has_targets()) {
    if (has_rank(type) || (type == PeftType::kOft && config.oft.block_size == 0)) out += cat(", r=", config.r);
    if (has_alpha(type)) out += cat(type == PeftType::kLora ? ", lora_alpha=" : ", alpha=", config.lora_alpha);
    if (type == PeftType::kOft && config.oft.block_size > 0) out += cat(", oft_block_size=", config.oft.block_size);
    if (type == PeftType::kBoft) {
      const BoftOptions& boft = config.boft;
      out +=
          boft.block_size > 0 ? cat(", boft_block_size=", boft.block_size) : cat(", boft_block_num=", boft.block_num);
    }
  }
  if (config.bias != TrainedBias::kNone)
    out += config.bias == TrainedBias::kAll ? ", all biases" : ", biases of the adapted layers";
  return out;
}

}  // namespace lorikeet
