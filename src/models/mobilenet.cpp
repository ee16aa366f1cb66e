// MobileNetV2 and MobileNetV3.
#include <array>
#include <string>
#include <utility>

#include "models/inverted_residual.h"

namespace lorikeet {
namespace {

using Kind = InvertedBlock::Kind;

InvertedResidualOptions mobilenet_v2() {
  struct Group {
    std::int64_t expand, out, repeats, stride;
  };
  constexpr std::array<Group, 7> kTable{
      {{1, 16, 1, 1}, {6, 24, 2, 2}, {6, 32, 3, 2}, {6, 64, 4, 2}, {6, 96, 3, 1}, {6, 160, 3, 2}, {6, 320, 1, 1}}};
  InvertedResidualOptions out;
  std::int64_t in = out.stem;
  for (const Group& stage : kTable) {
    auto& blocks = out.stages.emplace_back();
    for (std::int64_t i = 0; i < stage.repeats; ++i) {
      blocks.push_back({.kind = stage.expand == 1 ? Kind::kSeparable : Kind::kInverted,
                        .stride = i == 0 ? stage.stride : 1,
                        .hidden = stage.expand * in,
                        .out = stage.out});
      in = stage.out;
    }
  }
  return out;
}

InvertedBlock v3_block(std::int64_t kernel, std::int64_t hidden, std::int64_t out, bool squeezes, const Op& activation,
                       std::int64_t stride) {
  return {.kernel = kernel,
          .stride = stride,
          .hidden = hidden,
          .out = out,
          .squeeze = squeezes ? divisible_by_8(0.25 * static_cast<double>(hidden)) : 0,
          .activation = activation};
}

// The paper's Tables 1 and 2, in timm's stages.
InvertedResidualOptions mobilenet_v3(bool large, bool torchvision) {
  const Op relu = Relu{}, swish = HardSwish{};
  InvertedResidualOptions out;
  if (large) {
    out.stages = {
        {v3_block(3, 16, 16, false, relu, 1)},
        {v3_block(3, 64, 24, false, relu, 2), v3_block(3, 72, 24, false, relu, 1)},
        {v3_block(5, 72, 40, true, relu, 2), v3_block(5, 120, 40, true, relu, 1), v3_block(5, 120, 40, true, relu, 1)},
        {v3_block(3, 240, 80, false, swish, 2), v3_block(3, 200, 80, false, swish, 1),
         v3_block(3, 184, 80, false, swish, 1), v3_block(3, 184, 80, false, swish, 1)},
        {v3_block(3, 480, 112, true, swish, 1), v3_block(3, 672, 112, true, swish, 1)},
        {v3_block(5, 672, 160, true, swish, 2), v3_block(5, 960, 160, true, swish, 1),
         v3_block(5, 960, 160, true, swish, 1)},
        {{.kind = Kind::kConv, .kernel = 1, .out = 960, .activation = swish}}};
  } else {
    out.stages = {{v3_block(3, 16, 16, true, relu, 2)},
                  {v3_block(3, 72, 24, false, relu, 2), v3_block(3, 88, 24, false, relu, 1)},
                  {v3_block(5, 96, 40, true, swish, 2), v3_block(5, 240, 40, true, swish, 1),
                   v3_block(5, 240, 40, true, swish, 1)},
                  {v3_block(5, 120, 48, true, swish, 1), v3_block(5, 144, 48, true, swish, 1)},
                  {v3_block(5, 288, 96, true, swish, 2), v3_block(5, 576, 96, true, swish, 1),
                   v3_block(5, 576, 96, true, swish, 1)},
                  {{.kind = Kind::kConv, .kernel = 1, .out = 576, .activation = swish}}};
  }
  out.stages[0][0].kind = Kind::kSeparable;
  out.stem = 16;
  out.stem_activation = swish;
  out.eps = torchvision ? 1e-3 : 1e-5;
  out.head = torchvision ? InvertedResidualOptions::Head::kLinear : InvertedResidualOptions::Head::kConvOfPooled;
  out.head_width = large ? 1280 : 1024;
  out.head_activation = swish;
  return out;
}

NameTable v2_torchvision_names(const InvertedResidualOptions& options) {
  NameTable out{{"conv_stem", "features.0.0"}, {"bn1", "features.0.1"}};
  std::size_t last = 0;
  each_block(options, [&](const std::string& from, std::size_t number, const InvertedBlock& block) {
    last = number + 2;
    const std::string to = "features." + std::to_string(number + 1) + ".conv.";
    if (block.kind == Kind::kSeparable) {
      out.insert(out.end(), {{from + ".conv_dw", to + "0.0"},
                             {from + ".bn1", to + "0.1"},
                             {from + ".conv_pw", to + "1"},
                             {from + ".bn2", to + "2"}});
    } else {
      out.insert(out.end(), {{from + ".conv_pw", to + "0.0"},
                             {from + ".bn1", to + "0.1"},
                             {from + ".conv_dw", to + "1.0"},
                             {from + ".bn2", to + "1.1"},
                             {from + ".conv_pwl", to + "2"},
                             {from + ".bn3", to + "3"}});
    }
  });
  const std::string head = "features." + std::to_string(last) + ".";
  out.insert(out.end(), {{"conv_head", head + "0"}, {"bn2", head + "1"}, {"classifier", "classifier.1"}});
  return out;
}

NameTable v3_torchvision_names(const InvertedResidualOptions& options) {
  NameTable out{{"conv_stem", "features.0.0"}, {"bn1", "features.0.1"}};
  each_block(options, [&](const std::string& from, std::size_t number, const InvertedBlock& block) {
    const std::string features = "features." + std::to_string(number + 1) + ".";
    if (block.kind == Kind::kConv) {
      out.insert(out.end(), {{from + ".conv", features + "0"}, {from + ".bn1", features + "1"}});
      return;
    }
    std::size_t part = 0;
    const auto pair = [&](const char* conv, const char* norm) {
      const std::string to = features + "block." + std::to_string(part++) + ".";
      out.insert(out.end(), {{from + conv, to + "0"}, {from + norm, to + "1"}});
    };
    const bool expands = block.kind == Kind::kInverted;
    if (expands) pair(".conv_pw", ".bn1");
    pair(".conv_dw", expands ? ".bn2" : ".bn1");
    if (block.squeeze > 0) {
      const std::string to = features + "block." + std::to_string(part++) + ".";
      out.insert(out.end(), {{from + ".se.conv_reduce", to + "fc1"}, {from + ".se.conv_expand", to + "fc2"}});
    }
    pair(expands ? ".conv_pwl" : ".conv_pw", expands ? ".bn3" : ".bn2");
  });
  out.insert(out.end(), {{"conv_head", "classifier.0"}, {"classifier", "classifier.3"}});
  return out;
}

ModelEntry mobilenet_entry(const std::string& name, const char* family, Library library,
                           const InvertedResidualOptions& options, LibraryNames names,
                           std::vector<WeightsEntry> weights = {}) {
  const bool is_timm = library == Library::kTimm;
  return {
      .name = name,
      .family = family,
      .library = library,
      .network = [options] { return build_inverted_residual(options); },
      .names = std::move(names),
      .python = is_timm ? "__import__(\"timm\").create_model(\"" + name + "\")" : "torchvision.models." + name + "()",
      .preprocessing = is_timm ? timm_preprocessing(224, 0.875) : weights.front().preprocessing,
      .weights = std::move(weights)};
}

}  // namespace

std::vector<ModelEntry> mobilenet_models() {
  const Preprocessing v1{.resize = 256, .crop = 224}, v2{.resize = 232, .crop = 224};
  const auto torchvision = Library::kTorchvision, timm = Library::kTimm;
  const InvertedResidualOptions two = mobilenet_v2();
  const LibraryNames two_names{{{timm, {}}, {torchvision, v2_torchvision_names(two)}}};
  const auto three_names = [&](const InvertedResidualOptions& options) {
    return LibraryNames{{{timm, {}}, {torchvision, v3_torchvision_names(options)}}};
  };
  const InvertedResidualOptions small = mobilenet_v3(false, true), large = mobilenet_v3(true, true);
  return {mobilenet_entry("mobilenet_v2", "MobileNetV2", torchvision, two, two_names,
                          {torchvision_weights("mobilenet_v2", 2, "7ebf99e0", true, v2),
                           torchvision_weights("mobilenet_v2", 1, "b0353104", false, v1)}),
          mobilenet_entry("mobilenetv2_100", "MobileNetV2", timm, two, two_names),
          mobilenet_entry("mobilenet_v3_small", "MobileNetV3", torchvision, small, three_names(small),
                          {torchvision_weights("mobilenet_v3_small", 1, "047dcff4", true, v1)}),
          mobilenet_entry("mobilenet_v3_large", "MobileNetV3", torchvision, large, three_names(large),
                          {torchvision_weights("mobilenet_v3_large", 2, "5c1a4163", true, v2),
                           torchvision_weights("mobilenet_v3_large", 1, "8738ca79", false, v1)}),
          mobilenet_entry("mobilenetv3_small_100", "MobileNetV3", timm, mobilenet_v3(false, false), {{{timm, {}}}}),
          mobilenet_entry("mobilenetv3_large_100", "MobileNetV3", timm, mobilenet_v3(true, false), {{{timm, {}}}})};
}

}  // namespace lorikeet
