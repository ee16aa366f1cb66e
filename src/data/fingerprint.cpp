#include "data/fingerprint.h"

#include <limits>

#include "base/error.h"
#include "base/sha256.h"
#include "data/each_index.h"

namespace lorikeet {
namespace {

constexpr std::int64_t kFingerprintThreads = 4;  // on any number of cores: they mostly wait for the disk

std::vector<std::uint64_t> stored_sizes(const Dataset& dataset) {
  std::vector<std::uint64_t> out(static_cast<std::size_t>(dataset.size()));
  for_each_index(dataset.size(), kFingerprintThreads,
                 [&](std::int64_t i) { out[static_cast<std::size_t>(i)] = dataset.stored_size(i); });
  return out;
}

void add(Sha256& hash, const std::string& text) { hash.update(text.data(), text.size()); }

// The number of images, the classes, and each image's label and size.
void add_description(Sha256& hash, const Dataset& dataset, const std::vector<std::uint64_t>& sizes) {
  add(hash, cat(dataset.size(), '\n'));
  for (const std::string& name : dataset.classes()) add(hash, cat(name.size(), ' ', name, '\n'));
  for (std::int64_t i = 0; i < dataset.size(); ++i)
    add(hash, cat(dataset.label(i), ' ', sizes[static_cast<std::size_t>(i)], '\n'));
}

}  // namespace

std::string content_fingerprint(const std::vector<std::shared_ptr<const Dataset>>& datasets, std::uint64_t most_bytes) {
  std::vector<std::vector<std::uint64_t>> sizes;
  std::uint64_t total = 0, images = 0;
  for (const auto& dataset : datasets) {
    sizes.push_back(dataset ? stored_sizes(*dataset) : std::vector<std::uint64_t>());
    for (const std::uint64_t size : sizes.back()) total += size;
    images += sizes.back().size();
  }
  const std::uint64_t share = total <= most_bytes ? std::numeric_limits<std::uint64_t>::max() : most_bytes / images;
  Sha256 hash;
  for (std::size_t i = 0; i < datasets.size(); ++i) {
    add(hash, datasets[i] ? "data\n" : "none\n");
    if (!datasets[i]) continue;
    const Dataset& dataset = *datasets[i];
    add_description(hash, dataset, sizes[i]);
    std::vector<std::string> digests(sizes[i].size());
    for_each_index(dataset.size(), kFingerprintThreads, [&](std::int64_t index) {
      Sha256 own;
      add(own, dataset.stored_end(index, share));
      digests[static_cast<std::size_t>(index)] = own.hex();
    });
    for (const std::string& digest : digests) add(hash, digest);
  }
  return hash.hex();
}

std::string size_fingerprint(const std::shared_ptr<const Dataset>& dataset) {
  Sha256 hash;
  add_description(hash, *dataset, stored_sizes(*dataset));
  return hash.hex();
}

}  // namespace lorikeet
