// Keeps the frozen prefix's output for every image of a dataset, in memory or in a file, so that later epochs start
// there. Only for a fixed input pipeline; lives as long as one training run, so that it cannot be stale.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <filesystem>
#include <vector>

#include "engine/executor.h"

namespace lorikeet {

class PrefixCache {
 public:
  /// For `images` images; in an unnamed file in `folder` if one is given.
  explicit PrefixCache(std::int64_t images, std::filesystem::path folder = {});

  /// Keeps the rows of `frontier`, and the labels, for these images. indices, labels int64 (N,).
  void store(const at::Tensor& indices, const at::Tensor& labels, const Frontier& frontier);
  /// Whether every image has been stored.
  bool complete() const { return missing_ == 0; }
  /// The rows of these images, on the device and in the memory layout in which they were stored. REQUIRES: complete().
  Frontier load(const at::Tensor& indices) const;
  /// int64 (images,). REQUIRES: complete().
  const at::Tensor& labels() const { return labels_; }

 private:
  // On the device of `like`; in a file where there is a folder, which is then in the CPU's memory.
  at::Tensor make_rows(at::IntArrayRef shape, const at::Tensor& like) const;

  std::filesystem::path folder_;
  std::vector<bool> filled_;
  std::int64_t missing_;
  std::vector<at::Tensor>
      rows_;  // each (images, C, H, W), (images, H, W, C) where it came channels-last, or (images, features)
  std::vector<bool> channels_last_;
  at::Device device_ = at::kCPU;
  at::Tensor labels_;
};

}  // namespace lorikeet
