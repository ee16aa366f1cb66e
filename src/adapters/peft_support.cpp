#include "adapters/peft_support.h"

#include <algorithm>

#include "adapters/attention.h"
#include "adapters/methods.h"
#include "adapters/oft.h"
#include "base/error.h"
#include "graph/shapes.h"

namespace lorikeet {
namespace {

bool is_for_linear_only(PeftType type) {
  return type == PeftType::kVera || type == PeftType::kUniLora || type == PeftType::kTinyLora ||
         type == PeftType::kFourierFt;
}

// Without a batch; empty for a network that does not take images of this size.
std::vector<Shape> shapes_of(const Graph& graph) {
  constexpr std::int64_t kSide = 224;
  try {
    return infer_shapes(graph, kSide, kSide);
  } catch (const Error&) {
    return {};
  }
}

bool is_of_attention(const Graph& graph, const AdapterTarget& target) {
  return !target.module.empty() || out_proj_of_attention(graph, target.node);
}

std::string conv_obstacle(const Conv2d& conv, const AdapterConfig& config, std::int64_t rank) {
  const PeftType type = config.peft_type;
  const char* name = method_of(config).name;
  const bool is_dilated = conv.dilation != Pair{1, 1}, is_grouped = conv.groups != 1;
  if (is_for_linear_only(type)) return cat("PEFT 0.21 adapts Linear layers only with ", name);
  if (is_dilated && (type == PeftType::kLora || type == PeftType::kOft || type == PeftType::kBoft))
    return cat("PEFT 0.21 does not support dilated convolutions with ", name);
  if (conv.same_padding && (type == PeftType::kLoha || type == PeftType::kLokr))
    return cat("PEFT 0.21 does not support TensorFlow's uneven padding with ", name);
  if (is_grouped && (type == PeftType::kHira || type == PeftType::kBoft))
    return cat("PEFT 0.21 does not support grouped convolutions with ", name);
  if (is_grouped && config.use_dora && conv.groups != conv.in)
    return "PEFT 0.21 computes another norm of grouped convolutions with DoRA";
  if (is_grouped && type == PeftType::kLora && rank % conv.groups != 0)
    return cat("PEFT 0.21 needs a rank that is a multiple of the ", conv.groups, " groups");
  if (type == PeftType::kOft && !is_same_in_peft_oft(conv))
    return "PEFT 0.21 computes something else with OFT on kernels larger than 1×1";
  return {};
}

}  // namespace

std::string peft_obstacle(const Op& op, const AdapterConfig& config, std::int64_t rank, bool on_maps) {
  if (config.peft_type == PeftType::kLoraXs) return "PEFT 0.21 does not have LoRA-XS";
  if (const auto* conv = std::get_if<Conv2d>(&op)) return conv_obstacle(*conv, config, rank);
  if (on_maps && config.peft_type == PeftType::kOft)
    return "PEFT 0.21 does not support Linear layers on feature maps with OFT";
  return {};
}

std::string peft_obstacle(const Graph& graph, const Adaptation& adaptation) {
  const AdapterConfig& config = adaptation.config;
  const std::vector<Shape> shapes = config.peft_type == PeftType::kOft ? shapes_of(graph) : std::vector<Shape>{};
  for (const AdapterTarget& target : adaptation.targets) {
    const Node& node = graph.node(target.node);
    std::string why = peft_obstacle(node.op, config, target.rank, !shapes.empty() && shapes[target.node].size() > 2);
    if (why.empty() && is_of_attention(graph, target) && (config.peft_type != PeftType::kLora || config.use_dora))
      why = cat("PEFT 0.21 does not support torch.nn.MultiheadAttention with ", method_of(config).name);
    if (why.empty() && config.peft_type == PeftType::kBoft && config.boft.n_butterfly_factor > 1)
      why = "PEFT 0.21 needs its CUDA extension for more than one of BOFT's factors";
    if (!why.empty()) return cat(why, " (", node.name, ")");
  }
  return {};
}

bool has_lora_form(const Graph& graph, const Adaptation& adaptation) {
  const PeftType type = adaptation.config.peft_type;
  const bool is_low_rank =
      type == PeftType::kLoraXs || type == PeftType::kVera || type == PeftType::kUniLora || type == PeftType::kTinyLora;
  return is_low_rank && std::none_of(adaptation.targets.begin(), adaptation.targets.end(),
                                     [&](const AdapterTarget& target) { return is_of_attention(graph, target); });
}

}  // namespace lorikeet
