// What a search found, as JSON and as a page.
#include <algorithm>

#include "base/compute.h"
#include "base/text.h"
#include "search/search.h"

namespace lorikeet {
namespace {

Json trial_json(const SearchTrial& trial) {
  Json out{{"trial", trial.number},
           {"method", trial.method},
           {"places", trial.places},
           {"size", trial.size},
           {"head", trial.head},
           {"learning_rate", trial.learning_rate},
           {"parameters", trial.parameters}};
  if (!trial.error.empty()) {
    out["error"] = trial.error;
    return out;
  }
  out["precision"] = trial.precision;
  out["bytes"] = trial.bytes;
  out["steps"] = trial.steps;
  out["validation_accuracy"] = trial.accuracy;
  out["seconds"] = trial.seconds;
  return out;
}

Json trials_json(const std::vector<SearchTrial>& trials) {
  Json out = Json::array();
  for (const SearchTrial& trial : trials) out.push_back(trial_json(trial));
  return out;
}

}  // namespace

std::string left_out_text(const SearchOutcome& outcome) {
  return outcome.plan.stages.size() == 1 ? counted(outcome.left_out, "trial")
                                         : counted(outcome.left_out, "stage") + " of trials";
}

Json outcome_json(const SearchOutcome& outcome) {
  Json out{{"target", outcome.plan.target},
           {"minimise", search_cost_names()[static_cast<std::size_t>(outcome.plan.minimise)]},
           {"reached", outcome.is_reached},
           {"validation_images", outcome.validation_images},
           {"winner", outcome.winner ? trial_json(*outcome.winner) : Json()}};
  if (outcome.test_total > 0) {
    out["test"] = {{"accuracy", static_cast<double>(outcome.test_correct) / static_cast<double>(outcome.test_total)},
                   {"correct", outcome.test_correct},
                   {"total", outcome.test_total}};
  }
  out["front"] = trials_json(outcome.front);
  out["trials"] = trials_json(outcome.trials);
  out["candidates"] = outcome.plan.candidates.size();
  out["stages"] = outcome.plan.stages;
  out["left_out"] = outcome.left_out;
  return out;
}

SearchPage search_page(const SearchOutcome& outcome) {
  const SearchPlan& plan = outcome.plan;
  const Recipe recipe = parse_recipe(plan.recipe, "search.json", {});
  SearchPage out;
  out.title = cat("Search: ", recipe.model, " on ", recipe.data.name);
  out.subtitle =
      cat("The fewest ", search_cost_names()[static_cast<std::size_t>(plan.minimise)], " with an accuracy of ",
          fixed(plan.target, 4), " on ", with_commas(outcome.validation_images), " validation images. ",
          counted(plan.candidates.size(), "candidate"), ", ", counted(outcome.trials.size(), "measured stage"), ".");
  if (outcome.winner) {
    const SearchTrial& winner = *outcome.winner;
    out.headline = {
        {outcome.is_reached ? "smallest file that reaches it" : "the nearest point", human_bytes(winner.bytes)},
        {"trained parameters", with_commas(winner.parameters)},
        {"validation accuracy", fixed(winner.accuracy, 4)}};
    if (outcome.test_total > 0) {
      out.headline.push_back(
          {"test accuracy",
           fixed(static_cast<double>(outcome.test_correct) / static_cast<double>(outcome.test_total), 4)});
    }
    out.winner = *outcome.winner;
  }
  out.trials = outcome.trials;
  out.front = outcome.front;
  out.target = plan.target;
  out.notes = plan.notes;
  if (outcome.left_out > 0) out.notes.push_back(cat(left_out_text(outcome), " did not fit the budget"));
  out.references = published_results(recipe.model, recipe.data.name);
  return out;
}

}  // namespace lorikeet
