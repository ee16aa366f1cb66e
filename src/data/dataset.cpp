#include "data/dataset.h"

#include <algorithm>
#include <functional>
#include <map>
#include <thread>

#include "base/error.h"
#include "base/random.h"
#include "base/text.h"
#include "image/transform.h"

namespace lorikeet {
namespace {

// Applies `make` to each image of a dataset.
class Mapped final : public Dataset {
 public:
  using Make = std::function<at::Tensor(const at::Tensor& image, std::int64_t index)>;

  Mapped(std::shared_ptr<const Dataset> dataset, Make make) : dataset_(std::move(dataset)), make_(std::move(make)) {}
  std::int64_t size() const override { return dataset_->size(); }
  Sample get(std::int64_t index) const override {
    Sample sample = dataset_->get(index);
    sample.image = make_(sample.image, index);
    return sample;
  }
  std::int64_t label(std::int64_t index) const override { return dataset_->label(index); }
  const std::vector<std::string>& classes() const override { return dataset_->classes(); }
  std::string describe(std::int64_t index) const override { return dataset_->describe(index); }
  ImageCheck check(std::int64_t index) const override { return dataset_->check(index); }
  std::uint64_t stored_size(std::int64_t index) const override { return dataset_->stored_size(index); }
  std::string stored_end(std::int64_t index, std::uint64_t most) const override {
    return dataset_->stored_end(index, most);
  }

 private:
  std::shared_ptr<const Dataset> dataset_;
  Make make_;
};

class Subset final : public Dataset {
 public:
  Subset(std::shared_ptr<const Dataset> dataset, std::vector<std::int64_t> indices)
      : dataset_(std::move(dataset)), indices_(std::move(indices)) {}
  std::int64_t size() const override { return static_cast<std::int64_t>(indices_.size()); }
  Sample get(std::int64_t index) const override { return dataset_->get(at(index)); }
  std::int64_t label(std::int64_t index) const override { return dataset_->label(at(index)); }
  const std::vector<std::string>& classes() const override { return dataset_->classes(); }
  std::string describe(std::int64_t index) const override { return dataset_->describe(at(index)); }
  ImageCheck check(std::int64_t index) const override { return dataset_->check(at(index)); }
  std::uint64_t stored_size(std::int64_t index) const override { return dataset_->stored_size(at(index)); }
  std::string stored_end(std::int64_t index, std::uint64_t most) const override {
    return dataset_->stored_end(at(index), most);
  }

 private:
  std::int64_t at(std::int64_t index) const { return indices_[static_cast<std::size_t>(index)]; }

  std::shared_ptr<const Dataset> dataset_;
  std::vector<std::int64_t> indices_;
};

struct CheckedFiles {
  std::vector<std::string> problems;
  /// Descriptions of the images that lack their end.
  std::vector<std::string> endless;
};

CheckedFiles check_files(const std::vector<std::shared_ptr<const Dataset>>& datasets) {
  constexpr std::int64_t kReaders = 4;  // threads on any number of cores: they mostly wait for the disk
  CheckedFiles out;
  for (const auto& dataset : datasets) {
    if (!dataset) continue;
    std::vector<ImageCheck> checks(static_cast<std::size_t>(dataset->size()));
    for_each_index(dataset->size(), kReaders,
                   [&](std::int64_t i) { checks[static_cast<std::size_t>(i)] = dataset->check(i); });
    for (std::size_t i = 0; i < checks.size(); ++i) {
      if (!checks[i].problem.empty()) out.problems.push_back(std::move(checks[i].problem));
      if (checks[i].lacks_end) out.endless.push_back(dataset->describe(static_cast<std::int64_t>(i)));
    }
  }
  return out;
}

std::string note_of(const std::vector<std::string>& endless) {
  constexpr std::size_t kMostEndless = 20;
  if (endless.empty()) return "";
  const bool is_one = endless.size() == 1;
  return cat(counted(endless.size(), "image file"), is_one ? " has" : " have",
             " no end mark. All pixels are there, but the ", is_one ? "file" : "files",
             " may have been cut: ", printable(join_first(endless, kMostEndless), std::string::npos));
}

}  // namespace

std::uint64_t Dataset::stored_size(std::int64_t index) const { return get(index).image.nbytes(); }

std::string Dataset::stored_end(std::int64_t index, std::uint64_t most) const {
  const at::Tensor pixels = get(index).image.contiguous();
  const auto size = std::min<std::uint64_t>(most, pixels.nbytes());
  return {static_cast<const char*>(pixels.const_data_ptr()) + (pixels.nbytes() - size), size};
}

std::string check_images(const std::vector<std::shared_ptr<const Dataset>>& datasets) {
  constexpr std::size_t kMostNamed = 100;
  const auto [problems, endless] = check_files(datasets);
  if (problems.empty()) return note_of(endless);
  if (problems.size() == 1) fail(problems.front());
  std::string text;
  for (std::size_t i = 0; i < std::min(problems.size(), kMostNamed); ++i) text += " " + problems[i];
  if (problems.size() > kMostNamed) text += cat(" And ", problems.size() - kMostNamed, " more.");
  fail("data: got ", counted(problems.size(), "image"),
       " that cannot be read, expected none. Replace or remove them:", text);
}

std::string note_of_missing_ends(const std::vector<std::shared_ptr<const Dataset>>& datasets) {
  return note_of(check_files(datasets).endless);
}

std::shared_ptr<const Dataset> prepared(std::shared_ptr<const Dataset> dataset, const Preprocessing& preprocessing) {
  return std::make_shared<Mapped>(std::move(dataset),
                                  [=](const at::Tensor& image, std::int64_t) { return prepare(image, preprocessing); });
}

std::shared_ptr<const Dataset> augmented(std::shared_ptr<const Dataset> dataset, const Preprocessing& preprocessing,
                                         const Augmentation& augmentation, std::uint64_t seed, std::int64_t view) {
  return std::make_shared<Mapped>(std::move(dataset), [=](const at::Tensor& image, std::int64_t index) {
    Random random(Random(Random(seed).next() + static_cast<std::uint64_t>(view)).next() +
                  static_cast<std::uint64_t>(index));
    return augment(image, preprocessing, augmentation, random);
  });
}

std::shared_ptr<const Dataset> subset(std::shared_ptr<const Dataset> dataset, std::vector<std::int64_t> indices) {
  return std::make_shared<Subset>(std::move(dataset), std::move(indices));
}

std::optional<ReadableImages> readable_images(const std::shared_ptr<const Dataset>& dataset,
                                              const ImagesCallback& progress) {
  const std::int64_t threads = std::max<std::int64_t>(1, std::thread::hardware_concurrency());
  std::vector<std::string> problems(static_cast<std::size_t>(dataset->size()));
  const auto visit = [&](std::int64_t index) {
    try {
      dataset->get(index);
    } catch (const Error& error) {
      problems[static_cast<std::size_t>(index)] = error.what();
    }
  };
  if (!for_each_index(dataset->size(), threads, visit, progress)) return std::nullopt;
  ReadableImages out{dataset, {}};
  std::vector<std::int64_t> readable;
  for (std::size_t i = 0; i < problems.size(); ++i) {
    if (problems[i].empty()) {
      readable.push_back(static_cast<std::int64_t>(i));
    } else {
      out.problems.push_back(problems[i]);
    }
  }
  if (!out.problems.empty()) out.images = subset(dataset, std::move(readable));
  return out;
}

std::shared_ptr<const Dataset> stratified(std::shared_ptr<const Dataset> dataset, std::int64_t limit) {
  if (limit == 0 || limit >= dataset->size()) return dataset;
  std::map<std::int64_t, std::vector<std::int64_t>> by_class;
  for (std::int64_t i = 0; i < dataset->size(); ++i) by_class[dataset->label(i)].push_back(i);
  // The image at place p of a shuffled class of n images has rank (p + 1/2) / n: the lowest ranks have each class in
  // its proportion.
  struct Ranked {
    double rank;
    std::int64_t index;
  };
  std::vector<Ranked> order;
  for (auto& [label, indices] : by_class) {
    Random(derived_seed(0, static_cast<std::uint64_t>(label))).shuffle(indices);
    const auto count = static_cast<double>(indices.size());
    for (std::size_t place = 0; place < indices.size(); ++place)
      order.push_back({(static_cast<double>(place) + 0.5) / count, indices[place]});
  }
  std::stable_sort(order.begin(), order.end(), [](const Ranked& a, const Ranked& b) { return a.rank < b.rank; });
  std::vector<std::int64_t> taken;
  for (std::size_t i = 0; i < static_cast<std::size_t>(limit); ++i) taken.push_back(order[i].index);
  std::sort(taken.begin(), taken.end());
  return subset(std::move(dataset), std::move(taken));
}

}  // namespace lorikeet
