// Caches the frozen prefix's output for every image of a dataset, in memory or in a file, so that later epochs start
// from it. Requires a fixed input pipeline. It lives no longer than one training run, so it is never stale; a shared
// one lives as long as the runs for which its file was named.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <filesystem>
#include <memory>
#include <vector>

#include "engine/executor.h"

namespace lorikeet {

class ScratchMemory;

class PrefixCache {
 public:
  /// A cache for `images` images, in an unnamed file in `folder` if given.
  explicit PrefixCache(std::int64_t images, std::filesystem::path folder = {});
  /// A cache in `file` and a description `file`.json, which several caches use at the same time, also in other
  /// processes of this machine: what one of them stores, all have. They must store the same values for an image. If
  /// there is no space, it stores nothing.
  struct Shared {
    std::filesystem::path file;
  };
  PrefixCache(std::int64_t images, Shared shared);
  PrefixCache(const PrefixCache&) = delete;
  PrefixCache& operator=(const PrefixCache&) = delete;

  bool is_shared() const { return !shared_.empty(); }
  /// Stores the rows of `frontier` and the labels of these images. indices, labels: int64 (N,).
  void store(const at::Tensor& indices, const at::Tensor& labels, const Frontier& frontier);
  /// Whether these images are stored. indices: int64 (N,).
  bool has(const at::Tensor& indices);
  /// Whether every image is stored.
  bool complete();
  /// Returns the rows of these images on their original device and in their original memory layout. REQUIRES:
  /// has(indices).
  Frontier load(const at::Tensor& indices) const;
  /// int64 (images,). REQUIRES: complete(), or that only images are read that it has.
  const at::Tensor& labels() const { return labels_; }

 private:
  // Of one tensor of the frontier for all images.
  struct Rows {
    std::vector<std::int64_t> shape;
    at::ScalarType type = at::kFloat;
    bool channels_last = false;
  };
  // Allocates on the device of `like`, or in a file if there is a folder, in which case the rows stay in CPU memory.
  void make_rows(const std::vector<Rows>& rows, const Frontier& like);
  // Maps the shared file for such rows.
  void map_rows(const std::vector<Rows>& rows);
  // Opens the shared file if another cache has created it.
  void open_shared();

  std::int64_t images_;
  std::filesystem::path folder_;
  std::filesystem::path shared_;
  std::shared_ptr<ScratchMemory> memory_;  // of shared_
  std::vector<std::uint8_t> own_filled_;
  std::uint8_t* filled_ = nullptr;  // one byte for each image, in own_filled_ or memory_; null until memory_ exists
  std::vector<at::Tensor> rows_;  // each (images, C, H, W), (images, H, W, C) for channels-last, or (images, features)
  std::vector<bool> channels_last_;
  at::Device device_ = at::kCPU;
  at::Tensor labels_;
  std::int64_t missing_;  // without a shared file
  bool is_disabled_ = false;
};

}  // namespace lorikeet
