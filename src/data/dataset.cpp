#include "data/dataset.h"

#include <algorithm>
#include <atomic>
#include <functional>
#include <future>
#include <numeric>

#include "base/error.h"
#include "base/random.h"
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
  std::string problem(std::int64_t index) const override { return dataset_->problem(index); }

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
  std::string problem(std::int64_t index) const override { return dataset_->problem(at(index)); }

 private:
  std::int64_t at(std::int64_t index) const { return indices_[static_cast<std::size_t>(index)]; }

  std::shared_ptr<const Dataset> dataset_;
  std::vector<std::int64_t> indices_;
};

// Returns all problems of a dataset in order. Uses several threads, because most of the time is spent waiting for the
// disk.
std::vector<std::string> problems_of(const Dataset& dataset) {
  constexpr std::int64_t kThreads = 4;
  std::vector<std::string> found(static_cast<std::size_t>(dataset.size()));
  std::atomic<std::int64_t> next = 0;
  const auto work = [&] {
    for (std::int64_t index = next++; index < dataset.size(); index = next++)
      found[static_cast<std::size_t>(index)] = dataset.problem(index);
  };
  std::vector<std::future<void>> workers;
  for (std::int64_t i = 0; i < std::min(kThreads, dataset.size()); ++i)
    workers.push_back(std::async(std::launch::async, work));
  for (auto& worker : workers) worker.get();
  std::erase(found, "");
  return found;
}

}  // namespace

void check_images(const std::vector<std::shared_ptr<const Dataset>>& datasets) {
  constexpr std::size_t kMostNamed = 100;
  std::vector<std::string> problems;
  for (const auto& dataset : datasets) {
    if (!dataset) continue;
    const auto found = problems_of(*dataset);
    problems.insert(problems.end(), found.begin(), found.end());
  }
  if (problems.empty()) return;
  if (problems.size() == 1) fail(problems.front());
  std::string text;
  for (std::size_t i = 0; i < std::min(problems.size(), kMostNamed); ++i) text += " " + problems[i];
  if (problems.size() > kMostNamed) text += cat(" And ", problems.size() - kMostNamed, " more.");
  fail("data: got ", problems.size(), " images that cannot be read, expected none. Replace or remove them:", text);
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

std::shared_ptr<const Dataset> first(std::shared_ptr<const Dataset> dataset, std::int64_t limit) {
  if (limit == 0 || limit >= dataset->size()) return dataset;
  std::vector<std::int64_t> indices(static_cast<std::size_t>(limit));
  std::iota(indices.begin(), indices.end(), 0);
  return subset(std::move(dataset), std::move(indices));
}

}  // namespace lorikeet
