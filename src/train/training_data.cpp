#include "train/training_data.h"

#include <algorithm>
#include <numeric>
#include <vector>

#include "base/error.h"
#include "base/random.h"

namespace lorikeet {
namespace {

std::vector<std::int64_t> slice(const std::vector<std::int64_t>& from, std::int64_t begin, std::int64_t end) {
  return {from.begin() + begin, from.begin() + end};
}

}  // namespace

Splits split_data(const TrainingOptions& options, const Splits& splits) {
  if (!splits.train) fail(options.data.name, ": got no train split, expected one to train on.");
  Splits out = splits;
  if (options.data.validation > 0) {
    if (splits.validation)
      fail_usage("validation: got ", options.data.validation, ", expected 0: ", options.data.name,
                 " already has a val split.");
    if (options.data.validation >= splits.train->size()) {
      fail_usage("validation: got ", options.data.validation, ", expected fewer than the ", splits.train->size(),
                 " training images.");
    }
  }
  if (options.loop.early_stop > 0 && options.data.validation == 0 && !splits.validation) {
    fail_usage("early_stop: got ", options.loop.early_stop,
               " without validation images, expected a val split or validation: N.");
  }
  if (options.data.validation > 0 || options.data.train_limit > 0) {
    std::vector<std::int64_t> order(static_cast<std::size_t>(splits.train->size()));
    std::iota(order.begin(), order.end(), 0);
    if (options.loop.shuffle) Random(options.loop.seed).shuffle(order);
    const std::int64_t rest = splits.train->size() - options.data.validation;
    const std::int64_t used = options.data.train_limit > 0 ? std::min(options.data.train_limit, rest) : rest;
    out.train = subset(splits.train, slice(order, 0, used));
    if (options.data.validation > 0) out.validation = subset(splits.train, slice(order, rest, splits.train->size()));
  }
  if (out.test) out.test = first(out.test, options.data.test_limit);
  return out;
}

}  // namespace lorikeet
