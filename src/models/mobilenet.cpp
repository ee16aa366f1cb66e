// MobileNetV2 and MobileNetV3.
#include <array>
#include <cmath>
#include <string>
#include <utility>

#include "models/inverted_residual.h"
#include "models/transformers_config.h"

namespace lorikeet {
namespace {

using Kind = InvertedBlock::Kind;

// What transformers varies, under its names.
struct MobileNetV2Shape {
  double depth_multiplier = 1;  // of the channels
  std::int64_t depth_divisible_by = 8;
  std::int64_t min_depth = 8;
  double expand_ratio = 6;
  std::int64_t output_stride = 32;
  bool first_layer_is_expansion = true;
  bool finegrained_output = true;
  Op activation = Relu6{};
};

// Table 2 of the paper.
InvertedResidualOptions mobilenet_v2(const MobileNetV2Shape& shape) {
  struct Group {
    std::int64_t out, repeats, stride;
  };
  constexpr std::array<Group, 7> kTable{
      {{16, 1, 1}, {24, 2, 2}, {32, 3, 2}, {64, 4, 2}, {96, 3, 1}, {160, 3, 2}, {320, 1, 1}}};
  const auto times = [&](double factor, std::int64_t channels) {
    return make_divisible(std::nearbyint(factor * static_cast<double>(channels)), shape.depth_divisible_by,
                          shape.min_depth);
  };
  const auto scaled = [&](std::int64_t channels) { return times(shape.depth_multiplier, channels); };
  InvertedResidualOptions out;
  out.stem = scaled(out.stem);
  out.stem_activation = out.head_activation = shape.activation;
  const bool keeps_head = shape.finegrained_output && shape.depth_multiplier < 1;
  out.head_width = keeps_head ? out.head_width : scaled(out.head_width);
  std::int64_t in = out.stem, reached = 2, dilation = 1;
  for (const Group& group : kTable) {
    auto& blocks = out.stages.emplace_back();
    for (std::int64_t i = 0; i < group.repeats; ++i) {
      const bool is_first = out.stages.size() == 1;
      const std::int64_t stride = i == 0 ? group.stride : 1;
      InvertedBlock& block = blocks.emplace_back();
      block.kind = is_first && shape.first_layer_is_expansion ? Kind::kSeparable : Kind::kInverted;
      block.hidden = is_first ? in : times(shape.expand_ratio, in);
      block.out = scaled(group.out);
      block.activation = shape.activation;
      block.residual = !is_first;
      // Once the output stride is reached, the following layers are dilated instead.
      if (reached == shape.output_stride) {
        block.dilation = dilation;
        dilation *= stride;
      } else {
        block.stride = stride;
        reached *= stride;
      }
      in = block.out;
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
          .squeeze = squeezes ? make_divisible(0.25 * static_cast<double>(hidden)) : 0,
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

NameTable v2_transformers_names(const InvertedResidualOptions& options) {
  const std::string model = "mobilenet_v2.";
  NameTable out;
  const auto pair = [&](const std::string& conv, const std::string& norm, const std::string& to) {
    out.insert(out.end(), {{conv, model + to + ".convolution"}, {norm, model + to + ".normalization"}});
  };
  pair("conv_stem", "bn1", "conv_stem.first_conv");
  each_block(options, [&](const std::string& from, std::size_t number, const InvertedBlock& block) {
    const std::string to = number == 0 ? "conv_stem." : "layer." + std::to_string(number - 1) + ".";
    const bool expands = block.kind == Kind::kInverted;
    if (expands) pair(from + ".conv_pw", from + ".bn1", to + "expand_1x1");
    pair(from + ".conv_dw", from + (expands ? ".bn2" : ".bn1"), to + "conv_3x3");
    pair(from + (expands ? ".conv_pwl" : ".conv_pw"), from + (expands ? ".bn3" : ".bn2"), to + "reduce_1x1");
  });
  pair("conv_head", "bn2", "conv_1x1");
  out.push_back({"classifier", "classifier"});
  return out;
}

LibraryNames v2_names(const InvertedResidualOptions& options) {
  LibraryNames out{{{Library::kTransformers, v2_transformers_names(options)}}};
  constexpr double kEps = 1e-5;
  const bool is_common = options.stages[0][0].kind != Kind::kInverted && !options.same_padding && options.eps == kEps &&
                         std::holds_alternative<Relu6>(options.stem_activation);
  if (!is_common) return out;
  out.tables[Library::kTimm] = {};
  out.tables[Library::kTorchvision] = v2_torchvision_names(options);
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
  return {.name = name,
          .family = family,
          .library = library,
          .network = [options] { return build_inverted_residual(options); },
          .names = std::move(names),
          .python = is_timm ? timm_python(name) : "torchvision.models." + name + "()",
          .preprocessing = is_timm ? timm_preprocessing(224, 0.875) : weights.front().preprocessing,
          .weights = std::move(weights)};
}

}  // namespace

std::vector<ModelEntry> mobilenet_models() {
  const Preprocessing v1{.resize = 256, .crop = 224}, v2{.resize = 232, .crop = 224};
  const auto torchvision = Library::kTorchvision, timm = Library::kTimm;
  const InvertedResidualOptions two = mobilenet_v2({});
  const auto three_names = [&](const InvertedResidualOptions& options) {
    return LibraryNames{{{timm, {}}, {torchvision, v3_torchvision_names(options)}}};
  };
  const InvertedResidualOptions small = mobilenet_v3(false, true), large = mobilenet_v3(true, true);
  return {mobilenet_entry("mobilenet_v2", "MobileNetV2", torchvision, two, v2_names(two),
                          {torchvision_weights("mobilenet_v2", 2, "7ebf99e0", true, v2),
                           torchvision_weights("mobilenet_v2", 1, "b0353104", false, v1)}),
          mobilenet_entry("mobilenetv2_100", "MobileNetV2", timm, two, v2_names(two)),
          mobilenet_entry("mobilenet_v3_small", "MobileNetV3", torchvision, small, three_names(small),
                          {torchvision_weights("mobilenet_v3_small", 1, "047dcff4", true, v1)}),
          mobilenet_entry("mobilenet_v3_large", "MobileNetV3", torchvision, large, three_names(large),
                          {torchvision_weights("mobilenet_v3_large", 2, "5c1a4163", true, v2),
                           torchvision_weights("mobilenet_v3_large", 1, "8738ca79", false, v1)}),
          mobilenet_entry("mobilenetv3_small_100", "MobileNetV3", timm, mobilenet_v3(false, false), {{{timm, {}}}}),
          mobilenet_entry("mobilenetv3_large_100", "MobileNetV3", timm, mobilenet_v3(true, false), {{{timm, {}}}})};
}

ModelEntry mobilenet_v2_from_config(const Json& json) {
  const TransformersConfig config(json);
  constexpr double kMostTimes = 100;
  const MobileNetV2Shape shape{.depth_multiplier = config.positive("depth_multiplier", 1, kMostTimes),
                               .depth_divisible_by = config.integer("depth_divisible_by", 8),
                               .min_depth = config.integer("min_depth", 8),
                               .expand_ratio = config.positive("expand_ratio", 6, kMostTimes),
                               .output_stride = config.integer("output_stride", 32),
                               .first_layer_is_expansion = config.flag("first_layer_is_expansion", true),
                               .finegrained_output = config.flag("finegrained_output", true),
                               .activation = config.activation("hidden_act", "relu6")};
  config.expect_integer("num_channels", 3);
  InvertedResidualOptions options = mobilenet_v2(shape);
  options.eps = config.positive("layer_norm_eps", 1e-3);
  options.same_padding = config.flag("tf_padding", true);
  options.classes = config.classes();
  return config.entry(
      "MobileNetV2", [options] { return build_inverted_residual(options); }, v2_names(options));
}

}  // namespace lorikeet
