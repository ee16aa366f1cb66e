#include "lorikeet/train.h"

#include "base/json.h"
#include "train/train.h"

namespace lorikeet {

TrainReport train_recipe(const TrainRequest& request) {
  const Recipe recipe = load_recipe(request.recipe, request.overrides);
  const TrainSummary summary = train(recipe, {request.progress, request.log, request.download}, request.replace);
  return {summary.interrupted, recipe.run, summary.adapter, json_text(summary_json(summary, recipe), 2)};
}

}  // namespace lorikeet
