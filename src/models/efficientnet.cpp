// EfficientNet and EfficientNetV2.
#include <array>
#include <cmath>
#include <string>
#include <utility>

#include "models/inverted_residual.h"

namespace lorikeet {
namespace {

using Kind = InvertedBlock::Kind;

struct EfficientStage {
  Kind kind;
  std::int64_t expand, kernel, stride, out, repeats;
};

InvertedResidualOptions efficientnet_of(const std::vector<EfficientStage>& table, std::int64_t stem, std::int64_t head,
                                        double eps) {
  InvertedResidualOptions out;
  out.stem = stem;
  out.stem_activation = out.squeeze_activation = out.head_activation = Silu{};
  out.gate = Sigmoid{};
  out.eps = eps;
  out.head_width = head;
  std::int64_t in = stem;
  for (const EfficientStage& stage : table) {
    auto& blocks = out.stages.emplace_back();
    for (std::int64_t i = 0; i < stage.repeats; ++i) {
      const bool squeezes = stage.kind == Kind::kInverted || stage.kind == Kind::kSeparable;
      blocks.push_back({.kind = stage.kind,
                        .kernel = stage.kernel,
                        .stride = i == 0 ? stage.stride : 1,
                        .hidden = stage.expand * in,
                        .out = stage.out,
                        .squeeze = squeezes ? in / 4 : 0,
                        .activation = Silu{}});
      in = stage.out;
    }
  }
  return out;
}

// B0 scaled: the paper's Table 1.
InvertedResidualOptions efficientnet_b(double width, double depth, double eps) {
  std::vector<EfficientStage> table{{Kind::kSeparable, 1, 3, 1, 16, 1}, {Kind::kInverted, 6, 3, 2, 24, 2},
                                    {Kind::kInverted, 6, 5, 2, 40, 2},  {Kind::kInverted, 6, 3, 2, 80, 3},
                                    {Kind::kInverted, 6, 5, 1, 112, 3}, {Kind::kInverted, 6, 5, 2, 192, 4},
                                    {Kind::kInverted, 6, 3, 1, 320, 1}};
  for (EfficientStage& stage : table) {
    stage.out = make_divisible(width * static_cast<double>(stage.out));
    stage.repeats = static_cast<std::int64_t>(std::ceil(depth * static_cast<double>(stage.repeats)));
  }
  return efficientnet_of(table, make_divisible(width * 32), 4 * table.back().out, eps);
}

InvertedResidualOptions efficientnet_v2(bool medium) {
  const Kind conv = Kind::kConv, fused = Kind::kFused, inverted = Kind::kInverted;
  const std::vector<EfficientStage> small_table{{conv, 1, 3, 1, 24, 2},      {fused, 4, 3, 2, 48, 4},
                                                {fused, 4, 3, 2, 64, 4},     {inverted, 4, 3, 2, 128, 6},
                                                {inverted, 6, 3, 1, 160, 9}, {inverted, 6, 3, 2, 256, 15}};
  const std::vector<EfficientStage> medium_table{{conv, 1, 3, 1, 24, 3},       {fused, 4, 3, 2, 48, 5},
                                                 {fused, 4, 3, 2, 80, 5},      {inverted, 4, 3, 2, 160, 7},
                                                 {inverted, 6, 3, 1, 176, 14}, {inverted, 6, 3, 2, 304, 18},
                                                 {inverted, 6, 3, 1, 512, 5}};
  return efficientnet_of(medium ? medium_table : small_table, 24, 1280, 1e-3);
}

NameTable torchvision_efficientnet_names(const InvertedResidualOptions& options) {
  NameTable out{{"conv_stem", "features.0.0"}, {"bn1", "features.0.1"}};
  for (std::size_t stage = 0; stage < options.stages.size(); ++stage) {
    for (std::size_t i = 0; i < options.stages[stage].size(); ++i) {
      const InvertedBlock& block = options.stages[stage][i];
      const std::string from = "blocks." + std::to_string(stage) + "." + std::to_string(i);
      const std::string features = "features." + std::to_string(stage + 1) + "." + std::to_string(i) + ".block.";
      std::size_t part = 0;
      const auto pair = [&](const char* conv, const char* norm) {
        const std::string to = features + std::to_string(part++) + ".";
        out.insert(out.end(), {{from + conv, to + "0"}, {from + norm, to + "1"}});
      };
      const auto squeeze = [&] {
        if (block.squeeze == 0) return;
        const std::string to = features + std::to_string(part++) + ".";
        out.insert(out.end(), {{from + ".se.conv_reduce", to + "fc1"}, {from + ".se.conv_expand", to + "fc2"}});
      };
      switch (block.kind) {
        case Kind::kConv: pair(".conv", ".bn1"); break;
        case Kind::kFused:
          pair(".conv_exp", ".bn1");
          pair(".conv_pwl", ".bn2");
          break;
        case Kind::kSeparable:
          pair(".conv_dw", ".bn1");
          squeeze();
          pair(".conv_pw", ".bn2");
          break;
        case Kind::kInverted:
          pair(".conv_pw", ".bn1");
          pair(".conv_dw", ".bn2");
          squeeze();
          pair(".conv_pwl", ".bn3");
          break;
      }
    }
  }
  const std::string head = "features." + std::to_string(options.stages.size() + 1) + ".";
  out.insert(out.end(), {{"conv_head", head + "0"}, {"bn2", head + "1"}, {"classifier", "classifier.1"}});
  return out;
}

ModelEntry efficientnet_entry(const std::string& name, Library library, const InvertedResidualOptions& options,
                              const Preprocessing& preprocessing) {
  const bool is_timm = library == Library::kTimm;
  return {.name = (is_timm ? "timm/" : "") + name,
          .family = name.starts_with("efficientnet_v2") ? "EfficientNetV2" : "EfficientNet",
          .library = library,
          .network = [options] { return build_inverted_residual(options); },
          .names = {{{Library::kTimm, {}}, {Library::kTorchvision, torchvision_efficientnet_names(options)}}},
          .python = is_timm ? timm_python(name) : "torchvision.models." + name + "()",
          .preprocessing = preprocessing};
}

// The first weights are those of other authors, in files of other names.
WeightsEntry weights_by(const std::string& name, const std::string& author, const std::string& hash,
                        const Preprocessing& preprocessing, bool newest = true) {
  WeightsEntry out = torchvision_weights(name, 1, hash, newest, preprocessing);
  out.file_name = name + "_" + author + "-" + hash + ".pth";
  out.url = "https://download.pytorch.org/models/" + out.file_name;
  return out;
}

}  // namespace

std::vector<ModelEntry> efficientnet_models() {
  struct Variant {
    double width, depth;
    int resize, crop;
    const char* author;
    const char* hash;
    int timm_size;  // 0: not listed
  };
  constexpr std::array<Variant, 8> kVariants{{{1.0, 1.0, 256, 224, "rwightman", "7f5810bc", 224},
                                              {1.0, 1.1, 256, 240, "rwightman", "bac287d4", 240},
                                              {1.1, 1.2, 288, 288, "rwightman", "c35c1473", 256},
                                              {1.2, 1.4, 320, 300, "rwightman", "b3899882", 288},
                                              {1.4, 1.8, 384, 380, "rwightman", "23ab8bcd", 320},
                                              {1.6, 2.2, 456, 456, "lukemelas", "1a07897c", 0},
                                              {1.8, 2.6, 528, 528, "lukemelas", "24a108a5", 0},
                                              {2.0, 3.1, 600, 600, "lukemelas", "c5b4e57e", 0}}};
  std::vector<ModelEntry> out, timm;
  for (std::size_t i = 0; i < kVariants.size(); ++i) {
    const Variant& variant = kVariants[i];
    const std::string name = "efficientnet_b" + std::to_string(i);
    const InvertedResidualOptions options = efficientnet_b(variant.width, variant.depth, i < 5 ? 1e-5 : 1e-3);
    const Preprocessing preprocessing{
        .resize = variant.resize, .crop = variant.crop, .interpolation = Interpolation::kBicubic};
    const Preprocessing second{.resize = 255, .crop = 240};
    ModelEntry entry = efficientnet_entry(name, Library::kTorchvision, options, i == 1 ? second : preprocessing);
    if (i == 1) entry.weights.push_back(torchvision_weights(name, 2, "c27df63c", true, second));
    entry.weights.push_back(weights_by(name, variant.author, variant.hash, preprocessing, i != 1));
    out.push_back(std::move(entry));
    if (variant.timm_size > 0)
      timm.push_back(efficientnet_entry(
          name, Library::kTimm, options,
          i == 1 ? timm_preprocessing(240, 0.9, 0.5) : timm_preprocessing(variant.timm_size, 0.875)));
  }
  for (ModelEntry& entry : timm) out.push_back(std::move(entry));
  for (const bool medium : {false, true}) {
    const std::string name = medium ? "efficientnet_v2_m" : "efficientnet_v2_s";
    const int size = medium ? 480 : 384;
    const Preprocessing preprocessing{.resize = size, .crop = size};
    out.push_back(efficientnet_entry(name, Library::kTorchvision, efficientnet_v2(medium), preprocessing));
    out.back().weights = {torchvision_weights(name, 1, medium ? "dc08266a" : "dd5fe13b", true, preprocessing)};
  }
  return out;
}

}  // namespace lorikeet
