#include "data/dataset.h"

#include <functional>
#include <numeric>

#include "base/random.h"
#include "image/transform.h"

namespace lorikeet {
namespace {

// A dataset whose images go through `make`.
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
  const std::vector<std::string>& classes() const override { return dataset_->classes(); }
  std::string describe(std::int64_t index) const override { return dataset_->describe(index); }

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
  const std::vector<std::string>& classes() const override { return dataset_->classes(); }
  std::string describe(std::int64_t index) const override { return dataset_->describe(at(index)); }

 private:
  std::int64_t at(std::int64_t index) const { return indices_[static_cast<std::size_t>(index)]; }

  std::shared_ptr<const Dataset> dataset_;
  std::vector<std::int64_t> indices_;
};

}  // namespace

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
