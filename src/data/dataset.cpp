#include "data/dataset.h"

#include <numeric>

#include "image/transform.h"

namespace lorikeet {
namespace {

class Prepared final : public Dataset {
 public:
  Prepared(std::shared_ptr<const Dataset> dataset, const Preprocessing& preprocessing)
      : dataset_(std::move(dataset)), preprocessing_(preprocessing) {}
  std::int64_t size() const override { return dataset_->size(); }
  Sample get(std::int64_t index) const override {
    Sample sample = dataset_->get(index);
    sample.image = prepare(sample.image, preprocessing_);
    return sample;
  }
  const std::vector<std::string>& classes() const override { return dataset_->classes(); }
  std::string describe(std::int64_t index) const override { return dataset_->describe(index); }

 private:
  std::shared_ptr<const Dataset> dataset_;
  Preprocessing preprocessing_;
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
  return std::make_shared<Prepared>(std::move(dataset), preprocessing);
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
