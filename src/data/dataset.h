// Images with labels. A dataset returns single images, on any thread. The loader handles batches, order and threads.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "data/each_index.h"
#include "image/augment.h"
#include "image/decode.h"
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
  /// Thread-safe. REQUIRES: 0 ≤ index < size(). Throws Error, naming the file, if the image cannot be read.
  virtual Sample get(std::int64_t index) const = 0;
  /// The label of image `index`, without reading the image where the dataset knows it. Thread-safe.
  virtual std::int64_t label(std::int64_t index) const { return get(index).label; }
  virtual const std::vector<std::string>& classes() const = 0;
  /// Bytes of images held in memory.
  virtual std::uint64_t memory_bytes() const { return 0; }
  /// The stored image: its file, or its pixels where the dataset holds those. For fingerprints (data/fingerprint.h).
  /// Thread-safe. stored_size is its length in bytes, stored_end its last `most` bytes. Throw Error if it cannot be
  /// read.
  virtual std::uint64_t stored_size(std::int64_t index) const;
  virtual std::string stored_end(std::int64_t index, std::uint64_t most) const;
  /// Describes the origin of image `index` for messages.
  virtual std::string describe(std::int64_t index) const = 0;
  /// Checks the file of image `index`. Fast: most files are not decoded, so damage inside an image may not be detected.
  /// Thread-safe.
  virtual ImageCheck check(std::int64_t /*index*/) const { return {}; }
};

/// Resizes and crops each image as `preprocessing` specifies. Normalisation is applied to batches instead.
std::shared_ptr<const Dataset> prepared(std::shared_ptr<const Dataset> dataset, const Preprocessing& preprocessing);

/// The same with random augmentation. Image `index` depends only on `seed`, `view` and `index`, not on the thread or
/// the reading order.
std::shared_ptr<const Dataset> augmented(std::shared_ptr<const Dataset> dataset, const Preprocessing& preprocessing,
                                         const Augmentation& augmentation, std::uint64_t seed, std::int64_t view);

/// The images at `indices`, in that order.
std::shared_ptr<const Dataset> subset(std::shared_ptr<const Dataset> dataset, std::vector<std::int64_t> indices);

/// Checks all images in `datasets`. Throws Error with the names of those that have a problem; returns
/// note_of_missing_ends, without reading the files again. Null datasets are skipped.
std::string check_images(const std::vector<std::shared_ptr<const Dataset>>& datasets);

/// Returns one line about the images, all of which can be read, whose files lack their end; empty if there are none.
/// Null datasets are skipped.
std::string note_of_missing_ends(const std::vector<std::shared_ptr<const Dataset>>& datasets);

/// The images of `dataset` that can be read, and the problems with the others.
struct ReadableImages {
  /// `dataset` itself if all can be read.
  std::shared_ptr<const Dataset> images;
  std::vector<std::string> problems;
};

/// Decodes all images, on several threads. Returns nothing if `progress` stopped it.
std::optional<ReadableImages> readable_images(const std::shared_ptr<const Dataset>& dataset,
                                              const ImagesCallback& progress = {});

/// `limit` images in the dataset's order, with each class in its proportion up to one image; all if `limit` is 0. They
/// are drawn with a fixed seed: the same labels give the same images, and a lower limit some of those of a higher one.
std::shared_ptr<const Dataset> stratified(std::shared_ptr<const Dataset> dataset, std::int64_t limit);

}  // namespace lorikeet
