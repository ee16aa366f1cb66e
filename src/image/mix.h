// MixUp (Zhang et al., 2018, arXiv:1710.09412) and CutMix (Yun et al., 2019, arXiv:1905.04899) as torchvision's v2:
// each image of a batch is mixed with the one before it, the first with the last.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "base/random.h"
#include "image/resample.h"
#include "lorikeet/training_options.h"

namespace lorikeet {

struct Mixing {
  /// Weight of an image's own label; the other image's label has the rest.
  double own = 1;
  /// CutMix: the part that is the other image's. MixUp, if it is empty: the pixels have the weights of the labels.
  bool cuts = false;
  Region box = {};
};

/// A number of Beta(alpha, alpha). REQUIRES: 0 < alpha.
double draw_beta(double alpha, Random& random);

/// Draws the mixture of a batch. REQUIRES: augmentation.mixes().
Mixing draw_mixing(const Augmentation& augmentation, std::int64_t height, std::int64_t width, Random& random);

/// CutMix.make_params: the box for `own` around (x, y), and the weight that remains.
Mixing cut_at(double own, std::int64_t x, std::int64_t y, std::int64_t height, std::int64_t width);

/// float32 (N, C, H, W), on any device.
at::Tensor mixed_images(const at::Tensor& images, const Mixing& mixing);
/// int64 (N,) to float32 (N, classes).
at::Tensor mixed_labels(const at::Tensor& labels, std::int64_t classes, const Mixing& mixing);
/// The label with the larger weight: int64 (N,).
at::Tensor leading_labels(const at::Tensor& labels, const Mixing& mixing);

}  // namespace lorikeet
