// Caches of the frozen prefix's outputs that the trials of a search share, also those of several processes of one
// machine: trials with the same frontier read the same images in the same batches.
#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "engine/prefix_cache.h"
#include "image/preprocessing.h"
#include "train/loop.h"
#include "train/recipe.h"

namespace lorikeet {

class SharedCaches {
 public:
  /// Caches in files in `folder`, which take at most cache_disk_gib together and half of the free space each. All users
  /// have this recipe's data, seed, batch size and precision.
  SharedCaches(std::filesystem::path folder, const Recipe& recipe, const Preprocessing& preprocessing);

  /// Null if the images have no fixed size, are augmented, run in int8 or not on the CPU, or if there is no space.
  std::unique_ptr<PrefixCache> open(const CachedSplit& split) const;

  /// Removes the files. Caches that are open stay usable.
  void remove() const;

 private:
  std::filesystem::path folder_;
  Recipe recipe_;
  Preprocessing preprocessing_;
  std::string machine_;
};

}  // namespace lorikeet
