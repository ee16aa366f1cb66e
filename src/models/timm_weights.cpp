#include "models/timm_weights.h"

#include <algorithm>
#include <iterator>
#include <string_view>

namespace lorikeet {
namespace {

// Those of models that are not in the table have no effect.
constexpr const char* kRepositories[]{
    "convnext_atto.d2_in1k",
    "convnext_base.fb_in22k_ft_in1k",
    "convnext_femto.d1_in1k",
    "convnext_nano.in12k_ft_in1k",
    "convnext_pico.d1_in1k",
    "convnext_small.in12k_ft_in1k",
    "convnext_tiny.in12k_ft_in1k",
    "convnextv2_atto.fcmae_ft_in1k",
    "convnextv2_base.fcmae_ft_in22k_in1k",
    "convnextv2_femto.fcmae_ft_in1k",
    "convnextv2_nano.fcmae_ft_in22k_in1k",
    "convnextv2_pico.fcmae_ft_in1k",
    "convnextv2_tiny.fcmae_ft_in22k_in1k",
    "deit3_base_patch16_224.fb_in1k",
    "deit3_base_patch16_384.fb_in1k",
    "deit3_large_patch16_224.fb_in1k",
    "deit3_large_patch16_384.fb_in1k",
    "deit3_medium_patch16_224.fb_in1k",
    "deit3_small_patch16_224.fb_in1k",
    "deit3_small_patch16_384.fb_in1k",
    "deit_base_patch16_224.fb_in1k",
    "deit_base_patch16_384.fb_in1k",
    "deit_small_patch16_224.fb_in1k",
    "deit_tiny_patch16_224.fb_in1k",
    "efficientnet_b0.ra_in1k",
    "efficientnet_b1.ra4_e3600_r240_in1k",
    "efficientnet_b2.ra_in1k",
    "efficientnet_b3.ra2_in1k",
    "efficientnet_b4.ra2_in1k",
    "mobilenetv2_100.ra_in1k",
    "mobilenetv3_large_100.ra_in1k",
    "mobilenetv3_small_100.lamb_in1k",
    "mobilevit_s.cvnets_in1k",
    "mobilevit_xs.cvnets_in1k",
    "mobilevit_xxs.cvnets_in1k",
    "resnet50d.ra2_in1k",
    "swin_base_patch4_window7_224.ms_in22k_ft_in1k",
    "swin_small_patch4_window7_224.ms_in22k_ft_in1k",
    "swin_tiny_patch4_window7_224.ms_in1k",
    "tf_efficientnet_lite3.in1k",
    "tf_efficientnet_lite4.in1k",
    "vit_base_patch14_dinov2.lvd142m",
    "vit_base_patch14_reg4_dinov2.lvd142m",
    "vit_base_patch16_224.augreg2_in21k_ft_in1k",
    "vit_base_patch16_384.augreg_in21k_ft_in1k",
    "vit_base_patch32_224.augreg_in21k_ft_in1k",
    "vit_base_patch32_384.augreg_in21k_ft_in1k",
    "vit_large_patch14_dinov2.lvd142m",
    "vit_large_patch14_reg4_dinov2.lvd142m",
    "vit_large_patch16_224.augreg_in21k_ft_in1k",
    "vit_large_patch16_384.augreg_in21k_ft_in1k",
    "vit_large_patch32_224.orig_in21k",
    "vit_large_patch32_384.orig_in21k_ft_in1k",
    "vit_small_patch14_dinov2.lvd142m",
    "vit_small_patch14_reg4_dinov2.lvd142m",
    "vit_small_patch16_224.augreg_in21k_ft_in1k",
    "vit_small_patch16_384.augreg_in21k_ft_in1k",
    "vit_small_patch32_224.augreg_in21k_ft_in1k",
    "vit_small_patch32_384.augreg_in21k_ft_in1k",
    "vit_tiny_patch16_224.augreg_in21k_ft_in1k",
    "vit_tiny_patch16_384.augreg_in21k_ft_in1k",
};

// As timm's cards say.
std::string licence_of(std::string_view architecture) {
  if (architecture.starts_with("convnextv2")) return "CC-BY-NC-4.0";
  if (architecture.starts_with("swin")) return "MIT";
  if (architecture.starts_with("mobilevit")) return "cvnets-license";
  return "Apache-2.0";
}

}  // namespace

HubWeights timm_weights(const std::string& name) {
  std::string_view wanted = name;
  if (wanted.starts_with("timm/")) wanted.remove_prefix(std::string_view("timm/").size());
  const auto found = std::find_if(std::begin(kRepositories), std::end(kRepositories), [&](std::string_view repository) {
    std::string_view architecture = repository.substr(0, repository.find('.'));
    if (architecture.starts_with("tf_")) architecture.remove_prefix(3);  // EfficientNet-Lite, converted from TensorFlow
    return architecture == wanted;
  });
  if (found == std::end(kRepositories)) return {};
  return {std::string("timm/") + *found, licence_of(wanted)};
}

}  // namespace lorikeet
