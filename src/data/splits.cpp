#include "data/splits.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <tuple>

#include "base/error.h"
#include "base/random.h"
#include "base/text.h"

namespace lorikeet {
namespace {

std::shared_ptr<const Dataset> part_of(const std::shared_ptr<const Dataset>& dataset,
                                       std::vector<std::int64_t> indices) {
  if (indices.empty()) return nullptr;
  std::sort(indices.begin(), indices.end());
  return subset(dataset, std::move(indices));
}

std::int64_t held_out(double share, std::int64_t count) {
  if (share <= 0) return 0;
  return std::max<std::int64_t>(count >= 3 ? 1 : 0, std::llround(share * static_cast<double>(count)));
}

struct SplitName {
  const char* name;
  const char* split;
  bool is_uncertain = false;
};

const SplitName* find_split_name(const std::string& name) {
  static constexpr std::array<SplitName, 14> kNames{{{"train", "train"},
                                                     {"training", "train"},
                                                     {"val", "val"},
                                                     {"valid", "val"},
                                                     {"validation", "val"},
                                                     {"dev", "val", true},
                                                     {"development", "val", true},
                                                     {"test", "test"},
                                                     {"testing", "test"},
                                                     {"eval", "test", true},
                                                     {"evaluation", "test", true},
                                                     {"holdout", "test", true},
                                                     {"hold-out", "test", true},
                                                     {"hold_out", "test", true}}};
  const std::string lower = lowercase(name);
  const auto found = std::find_if(kNames.begin(), kNames.end(), [&](const auto& each) { return lower == each.name; });
  return found != kNames.end() ? &*found : nullptr;
}

}  // namespace

Splits split_by_class(const std::shared_ptr<const Dataset>& dataset, const OpenOptions& open, const std::string& name) {
  Splits out;
  out.whole = dataset;
  const std::optional<SplitOptions>& options = open.split;
  if (!options || (open.split_applies && !open.split_applies(dataset))) {
    out.test = dataset;
    out.notes.push_back(cat(name, ": has no splits; all its images are used (", with_commas(dataset->size()), ")"));
    return out;
  }
  std::map<std::int64_t, std::vector<std::int64_t>> by_class;
  for (std::int64_t i = 0; i < dataset->size(); ++i) by_class[dataset->label(i)].push_back(i);
  std::vector<std::int64_t> train, validation, test;
  for (auto& [label, indices] : by_class) {
    Random(derived_seed(options->seed, static_cast<std::uint64_t>(label))).shuffle(indices);
    const auto count = static_cast<std::int64_t>(indices.size());
    const std::int64_t tested = std::min(held_out(options->test, count), count - 1);
    const std::int64_t validated = std::min(held_out(options->validation, count), count - 1 - tested);
    test.insert(test.end(), indices.begin(), indices.begin() + tested);
    validation.insert(validation.end(), indices.begin() + tested, indices.begin() + tested + validated);
    train.insert(train.end(), indices.begin() + tested + validated, indices.end());
  }
  std::string held, sizes = cat(train.size(), " training");
  for (const auto& [share, use, images, kind] :
       {std::tuple(options->validation, "validation", validation.size(), " validation"),
        std::tuple(options->test, "testing", test.size(), " test")}) {
    if (share <= 0) continue;
    held +=
        cat(held.empty() ? "" : " and ", fixed(100 * share, 0), held.empty() ? " % are held out for " : " % for ", use);
    sizes += cat(", ", images, kind);
  }
  out.notes.push_back(cat(name, ": has no splits; of each class, ", held.empty() ? "nothing is held out" : held,
                          " (validation_share, test_share, split_seed ", options->seed, "): images: ", sizes));
  out.train = part_of(dataset, std::move(train));
  out.validation = part_of(dataset, std::move(validation));
  out.test = part_of(dataset, std::move(test));
  return out;
}

std::string split_of_name(const std::string& name) {
  const SplitName* found = find_split_name(name);
  return found != nullptr ? found->split : "";
}

bool is_uncertain_split_name(const std::string& name) {
  const SplitName* found = find_split_name(name);
  return found != nullptr && found->is_uncertain;
}

}  // namespace lorikeet
