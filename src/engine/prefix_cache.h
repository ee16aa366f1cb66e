// Caches the frozen prefix's output for every image of a dataset, in memory or in a file, so that later epochs start
// from it. Requires a fixed input pipeline. It lives no longer than one training run, so it is never stale.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <filesystem>
#include <vector>

#include "engine/executor.h"

namespace lorikeet {

class PrefixCache {
 public:
  /// A cache for `images` images, in an unnamed file in `folder` if given.
  explicit PrefixCache(std::int64_t images, std::filesystem::path folder = {});

  /// Stores the rows of `frontier` and the labels of these images. indices, labels: int64 (N,).
  void store(const at::Tensor& indices, const at::Tensor& labels, const Frontier& frontier);
  /// Whether every image is stored.
  bool complete() const { return missing_ == 0; }
  /// Returns the rows of these images on their original device and in their original memory layout. REQUIRES:
  /// complete().
  Frontier load(const at::Tensor& indices) const;
  /// int64 (images,). REQUIRES: complete().
  const at::Tensor& labels() const { return labels_; }

 private:
  // Allocates on the device of `like`, or in a file if there is a folder, in which case the rows stay in CPU memory.
  at::Tensor make_rows(at::IntArrayRef shape, const at::Tensor& like) const;

  std::filesystem::path folder_;
  std::vector<bool> filled_;
  std::int64_t missing_;
  std::vector<at::Tensor> rows_;  // each (images, C, H, W), (images, H, W, C) for channels-last, or (images, features)
  std::vector<bool> channels_last_;
  at::Device device_ = at::kCPU;
  at::Tensor labels_;
};

}  // namespace lorikeet
