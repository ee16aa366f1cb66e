// A dataset whose images are computed by a function, and which counts reads.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "data/dataset.h"

class MadeDataset final : public lorikeet::Dataset {
 public:
  using Make = std::function<lorikeet::Sample(std::int64_t)>;

  MadeDataset(std::int64_t size, std::int64_t classes, Make make) : size_(size), make_(std::move(make)) {
    for (std::int64_t i = 0; i < classes; ++i) classes_.push_back(std::to_string(i));
  }
  std::int64_t size() const override { return size_; }
  lorikeet::Sample get(std::int64_t index) const override {
    ++reads;
    return make_(index);
  }
  const std::vector<std::string>& classes() const override { return classes_; }
  std::string describe(std::int64_t index) const override { return "made/" + std::to_string(index); }

  mutable std::atomic<std::int64_t> reads{0};

 private:
  std::int64_t size_;
  Make make_;
  std::vector<std::string> classes_;
};
