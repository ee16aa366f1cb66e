// Images with labels. A dataset gives single images on any thread; batching, order and threads are the loader's.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "image/augment.h"
#include "image/preprocessing.h"

namespace lorikeet {

struct Sample {
  /// uint8 (3, H, W), RGB.
  at::Tensor image;
  /// 0 … classes − 1.
  std::int64_t label = 0;
};

class Dataset {
 public:
  virtual ~Dataset() = default;

  virtual std::int64_t size() const = 0;
  /// Thread-safe. REQUIRES: 0 ≤ index < size(). Throws Error, naming the file, where an image cannot be read.
  virtual Sample get(std::int64_t index) const = 0;
  virtual const std::vector<std::string>& classes() const = 0;
  /// Bytes of images that the dataset holds in memory.
  virtual std::uint64_t memory_bytes() const { return 0; }
  /// For messages: where image `index` comes from.
  virtual std::string describe(std::int64_t index) const = 0;
  /// What is wrong with the file of image `index`, beginning with its path; empty where nothing is. Quick: most files
  /// are not decoded, so that damage inside an image may go unnoticed. Thread-safe.
  virtual std::string problem(std::int64_t /*index*/) const { return {}; }
};

/// Each image resized and cropped as `preprocessing` says; normalisation is left to the batch.
std::shared_ptr<const Dataset> prepared(std::shared_ptr<const Dataset> dataset, const Preprocessing& preprocessing);

/// Likewise, with random augmentation. Image `index` depends only on `seed`, `view` and `index`, not on the thread or
/// the order in which images are read.
std::shared_ptr<const Dataset> augmented(std::shared_ptr<const Dataset> dataset, const Preprocessing& preprocessing,
                                         const Augmentation& augmentation, std::uint64_t seed, std::int64_t view);

/// The images at `indices`, in that order.
std::shared_ptr<const Dataset> subset(std::shared_ptr<const Dataset> dataset, std::vector<std::int64_t> indices);

/// Throws Error that names all images which `problem` finds unreadable, of all `datasets` (null ones are passed over).
void check_images(const std::vector<std::shared_ptr<const Dataset>>& datasets);

/// The first `limit` images, in order; all for 0.
std::shared_ptr<const Dataset> first(std::shared_ptr<const Dataset> dataset, std::int64_t limit);

}  // namespace lorikeet
