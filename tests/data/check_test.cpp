#include "data/check.h"

#include <ATen/Functions.h>
#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "data/made_dataset.h"

using namespace lorikeet;

namespace {

// An image for each pair of a grey and a label.
std::shared_ptr<const Dataset> greys(const std::vector<std::pair<int, std::int64_t>>& images) {
  return std::make_shared<MadeDataset>(static_cast<std::int64_t>(images.size()), 2, [=](std::int64_t i) {
    const auto& [grey, label] = images[static_cast<std::size_t>(i)];
    return Sample{at::full({3, 2, 2}, grey, at::kByte), label};
  });
}

}  // namespace

TEST_CASE("a picture in two splits under two labels is listed as both faults") {
  const Splits splits{.train = greys({{1, 0}, {2, 0}, {3, 1}, {3, 1}, {4, 0}, {4, 1}}),
                      .validation = nullptr,
                      .test = greys({{1, 1}, {2, 0}})};
  DataReport report = check_data(splits, 1, {});
  using Groups = std::vector<SameImages>;
  CHECK(report.leaks == Groups{{"train: made/0", "test: made/0"}, {"train: made/1", "test: made/1"}});
  CHECK(report.conflicts == Groups{{"train: made/0", "test: made/0"}, {"train: made/4", "train: made/5"}});
  CHECK(report.duplicates == Groups{{"train: made/2", "train: made/3"}});
  CHECK_FALSE(report.ok());

  report = check_data({.train = greys({{1, 0}}), .validation = nullptr, .test = nullptr}, 1, {});
  CHECK(report.ok());
  report.faults.emplace_back("x");
  CHECK_FALSE(report.ok());
}
