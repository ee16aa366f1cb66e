#include "data/check.h"

#include <algorithm>
#include <map>
#include <set>
#include <thread>

#include "base/error.h"
#include "base/sha256.h"

namespace lorikeet {
namespace {

// What is known of one image.
struct CheckedImage {
  std::int64_t width = 0, height = 0;
  std::string digest;  // of the pixels; empty if the image cannot be read
  std::string problem;
};

CheckedImage checked(const Dataset& dataset, std::int64_t index) {
  CheckedImage out;
  try {
    const at::Tensor pixels = dataset.get(index).image.permute({1, 2, 0}).contiguous();
    out.height = pixels.size(0);
    out.width = pixels.size(1);
    Sha256 sum;
    const std::array<std::int64_t, 2> size{out.width, out.height};
    sum.update(size.data(), sizeof size);
    sum.update(pixels.const_data_ptr(), pixels.nbytes());
    out.digest = sum.hex();
  } catch (const Error& error) {
    out.problem = error.what();
  }
  return out;
}

struct NamedSplit {
  const char* name;
  std::shared_ptr<const Dataset> images;
};

void widen(std::array<std::int64_t, 2>& range, std::int64_t value) {
  range = range[1] == 0 ? std::array{value, value} : std::array{std::min(range[0], value), std::max(range[1], value)};
}

// One image among those with equal pixels.
struct Occurrence {
  std::size_t split;
  std::int64_t label;
  std::string name;
};

double imbalance_of(const std::vector<std::int64_t>& by_class) {
  std::int64_t least = 0, most = 0;
  for (const std::int64_t count : by_class) {
    if (count == 0) continue;
    least = least == 0 ? count : std::min(least, count);
    most = std::max(most, count);
  }
  return least == 0 ? 0 : static_cast<double>(most) / static_cast<double>(least);
}

}  // namespace

DataReport check_data(const Splits& splits, int threads, const ImagesCallback& progress) {
  std::vector<NamedSplit> named;
  for (const NamedSplit& split :
       {NamedSplit{"train", splits.train}, NamedSplit{"val", splits.validation}, NamedSplit{"test", splits.test}}) {
    if (split.images) named.push_back(split);
  }
  std::int64_t total = 0, before = 0;
  for (const NamedSplit& split : named) total += split.images->size();
  if (threads <= 0) threads = std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
  DataReport out;
  std::map<std::string, std::vector<Occurrence>> by_digest;
  for (std::size_t s = 0; s < named.size(); ++s) {
    const Dataset& dataset = *named[s].images;
    out.classes = dataset.classes();
    std::vector<CheckedImage> images(static_cast<std::size_t>(dataset.size()));
    ImagesCallback show;
    if (progress) show = [&](std::int64_t done, std::int64_t) { return progress(before + done, total); };
    const auto visit = [&](std::int64_t i) { images[static_cast<std::size_t>(i)] = checked(dataset, i); };
    if (!for_each_index(dataset.size(), threads, visit, show)) return out;
    before += dataset.size();
    SplitReport report{named[s].name, dataset.size(), std::vector<std::int64_t>(out.classes.size()), {}, {}};
    for (std::int64_t i = 0; i < dataset.size(); ++i) {
      const CheckedImage& image = images[static_cast<std::size_t>(i)];
      const std::int64_t label = dataset.label(i);
      ++report.by_class[static_cast<std::size_t>(label)];
      if (!image.problem.empty()) {
        out.unreadable.push_back({dataset.describe(i), image.problem});
        continue;
      }
      widen(report.width, image.width);
      widen(report.height, image.height);
      by_digest[image.digest].push_back({s, label, dataset.describe(i)});
    }
    if (report.name == "train") out.imbalance = imbalance_of(report.by_class);
    out.splits.push_back(std::move(report));
  }
  for (const auto& [digest, same] : by_digest) {
    if (same.size() < 2) continue;
    std::set<std::size_t> in;
    std::set<std::int64_t> labels;
    SameImages names;
    for (const Occurrence& image : same) {
      in.insert(image.split);
      labels.insert(image.label);
      names.push_back(cat(named[image.split].name, ": ", image.name));
    }
    if (in.size() > 1) out.leaks.push_back(names);
    if (labels.size() > 1) out.conflicts.push_back(names);
    if (in.size() == 1 && labels.size() == 1) out.duplicates.push_back(std::move(names));
  }
  for (auto* groups : {&out.leaks, &out.conflicts, &out.duplicates}) std::sort(groups->begin(), groups->end());
  return out;
}

}  // namespace lorikeet
