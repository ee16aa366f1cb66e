#include "train/class_balance.h"

#include <ATen/Functions.h>

#include <algorithm>
#include <map>

#include "base/error.h"
#include "base/random.h"
#include "base/text.h"

namespace lorikeet {

std::vector<std::int64_t> class_counts(const Dataset& dataset) {
  std::vector<std::int64_t> out(dataset.classes().size());
  for (std::int64_t i = 0; i < dataset.size(); ++i) ++out[static_cast<std::size_t>(dataset.label(i))];
  return out;
}

void check_weights(const ClassWeights& weights, const Dataset& train) {
  if (weights.values.empty() || weights.values.size() == train.classes().size()) return;
  fail_usage("class_weights: got ", counted(weights.values.size(), "weight"), ", expected ", train.classes().size(),
             ", one for each class.");
}

at::Tensor loss_weights(const ClassWeights& weights, const Dataset& train) {
  if (!weights.balanced && weights.values.empty()) return {};
  const std::size_t classes = train.classes().size();
  at::Tensor out = at::zeros({static_cast<std::int64_t>(classes)}, at::kFloat);
  auto* to = out.mutable_data_ptr<float>();
  if (!weights.balanced) {
    std::transform(weights.values.begin(), weights.values.end(), to, [](double w) { return static_cast<float>(w); });
    return out;
  }
  const auto counts = class_counts(train);
  const auto present = classes - static_cast<std::size_t>(std::count(counts.begin(), counts.end(), 0));
  for (std::size_t i = 0; i < classes; ++i) {
    if (counts[i] == 0) continue;
    to[i] = static_cast<float>(static_cast<double>(train.size()) /
                               (static_cast<double>(present) * static_cast<double>(counts[i])));
  }
  return out;
}

std::vector<std::int64_t> balanced_order(const std::vector<std::int64_t>& labels, std::uint64_t seed,
                                         std::int64_t epoch) {
  Random random(derived_seed(seed, static_cast<std::uint64_t>(epoch)));
  std::map<std::int64_t, std::vector<std::int64_t>> by_class;
  for (std::size_t i = 0; i < labels.size(); ++i) by_class[labels[i]].push_back(static_cast<std::int64_t>(i));
  std::vector<std::int64_t> classes;
  for (const auto& [label, images] : by_class) classes.push_back(label);
  random.shuffle(classes);  // the first ones get the images that are left over
  std::vector<std::int64_t> out;
  for (std::size_t i = 0; i < classes.size(); ++i) {
    const std::size_t share = labels.size() / classes.size() + (i < labels.size() % classes.size() ? 1 : 0);
    auto& images = by_class[classes[i]];
    for (std::size_t taken = 0; taken < share; ++taken) {
      if (taken % images.size() == 0) random.shuffle(images);
      out.push_back(images[taken % images.size()]);
    }
  }
  random.shuffle(out);
  return out;
}

std::vector<std::int64_t> labels_of(const Dataset& dataset) {
  std::vector<std::int64_t> out;
  for (std::int64_t i = 0; i < dataset.size(); ++i) out.push_back(dataset.label(i));
  return out;
}

}  // namespace lorikeet
