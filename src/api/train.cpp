#include "lorikeet/train.h"

#include "api/boundary.h"
#include "base/error.h"
#include "base/json.h"
#include "train/train.h"

namespace lorikeet {

RunReport train_recipe(const RunRequest& request) {
  return at_boundary("train_recipe", [&]() -> RunReport {
    const Recipe recipe = load_recipe(request.recipe, request.overrides);
    if (recipe.run.empty()) fail_usage("run: got nothing, expected the run's folder: run=FOLDER.");
    const TrainSummary summary = train(recipe,
                                       {guarded(request.callbacks.progress), guarded(request.callbacks.log),
                                        guarded(request.callbacks.epoch), guarded(request.callbacks.download)},
                                       request.replace);
    TrainReport training = summary.loop;
    training.interrupted = summary.interrupted;
    return {training,
            summary.test,
            summary.trainable_parameters,
            summary.total_parameters,
            recipe.run,
            summary.adapter,
            json_text(summary_json(summary, recipe), 2)};
  });
}

}  // namespace lorikeet
