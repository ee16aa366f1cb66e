// Skewed data: weights of the classes in the loss, and the order of an epoch in which all classes are equally frequent.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "data/dataset.h"
#include "lorikeet/training_options.h"

namespace lorikeet {

/// The number of images of each class.
std::vector<std::int64_t> class_counts(const Dataset& dataset);

/// Throws UsageError unless `weights` has no values or one per class of `train`.
void check_weights(const ClassWeights& weights, const Dataset& train);

/// `weight` of cross_entropy_loss: float32 (classes,), undefined without weights. A class without training images
/// weighs 0 if balanced.
at::Tensor loss_weights(const ClassWeights& weights, const Dataset& train);

/// The order of epoch `epoch` with Sampling::kBalanced: labels.size() images, each class that has images equally often,
/// up to one image, and the images of a class equally often, up to once. Which, and their order, depend on the other
/// arguments alone.
std::vector<std::int64_t> balanced_order(const std::vector<std::int64_t>& labels, std::uint64_t seed,
                                         std::int64_t epoch);

/// The label of each image.
std::vector<std::int64_t> labels_of(const Dataset& dataset);

}  // namespace lorikeet
