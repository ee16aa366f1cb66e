#include "search/search.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <thread>
#include <utility>

#include "base/compute.h"
#include "base/error.h"
#include "base/file.h"
#include "base/text.h"
#include "data/datasets.h"
#include "engine/tensor_type.h"
#include "loading/inference.h"
#include "search/gradients.h"
#include "search/halving.h"
#include "search/places.h"
#include "search/shared_caches.h"
#include "search/trial.h"
#include "train/caching.h"
#include "train/diverged.h"
#include "train/evaluate.h"

namespace fs = std::filesystem;

namespace lorikeet {
namespace {

constexpr std::uint64_t kMaxResult = 64 << 20;

// The search was stopped from outside.
struct Stopped {};

// The share of the budget that is left for the end of the search.
constexpr double kReserve = 0.05;

SearchTrial described(const SearchPlan& plan, std::size_t number) {
  const Candidate& candidate = plan.candidates[number];
  SearchTrial out;
  out.number = number + 1;
  out.method = candidate.method;
  out.places = candidate.places;
  out.parameters = candidate.parameters;
  std::vector<std::string> sizes;
  for (const auto& [key, value] : candidate.settings) {
    if (key == "head") out.head = value;
    if (key == "learning_rate") out.learning_rate = value;
    if (key != "head" && key != "learning_rate" && key != "peft_type" && key != "target_modules")
      sizes.push_back(cat(key, "=", value));
  }
  out.size = join(sizes, " ");
  return out;
}

SearchTrial described(const SearchPlan& plan, std::size_t number, const StageResult& stage, const MeasuredForm& form) {
  SearchTrial out = described(plan, number);
  out.precision = name_of(form.precision);
  out.bytes = form.bytes;
  out.accuracy = static_cast<double>(form.correct) / static_cast<double>(stage.images);
  out.steps = stage.steps;
  out.seconds = stage.seconds;
  return out;
}

TrialPoint point_of(const SearchPlan& plan, const SearchTrial& trial) {
  const double cost = plan.minimise == SearchCost::kBytes        ? static_cast<double>(trial.bytes)
                      : plan.minimise == SearchCost::kParameters ? static_cast<double>(trial.parameters)
                                                                 : trial.seconds;
  return {cost, trial.accuracy};
}

class Search {
 public:
  Search(const SearchRequest& request, const SearchCallbacks& callbacks)
      : request_(request), callbacks_(callbacks), folder_(request.folder) {}

  SearchOutcome run() {
    try {
      open();
      for (std::size_t stage = 0; stage < plan_.stages.size() && seconds() < request_.budget; ++stage) {
        if (!is_last(stage) && promoted_to(stage + 1)) continue;
        run_trials(stage, trials_of(stage));
      }
    } catch (const Stopped&) {
      out_.is_interrupted = true;
    }
    if (!plan_.candidates.empty()) finish();
    return std::move(out_);
  }

 private:
  double seconds() const { return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count(); }

  // Called while another process holds a lock.
  void wait() const {
    if (callbacks_.waiting && !callbacks_.waiting()) throw Stopped{};
  }

  // Loads what all trials need, and makes the plan or reads that of another process.
  void open() {
    if (!request_.recipe && !folder_.plan())
      fail_usage(printable(folder_.path().string()), ": got no search.json, expected the folder of a search.");
    const FileLock lock = folder_.lock([&] { wait(); });
    std::optional<SearchPlan> plan = folder_.plan();
    try {
      load(plan);
    } catch (...) {
      if (!plan) folder_.discard();
      throw;
    }
    plan_ = std::move(*plan);
    out_.plan = plan_;
    const Recipe complete = parse_recipe(plan_.recipe, folder_.path() / "search.json", {});
    caches_.emplace(folder_.path() / "caches", complete, data_preprocessing(complete.data, base_->preprocessing));
    if (is_new_) {
      for (const std::string& note : plan_.notes) log(note);
    }
    log(cat(counted(plan_.candidates.size(), "candidate"), " in ", counted(plan_.stages.size(), "stage"), " of ",
            stage_text(), " steps; ", with_commas(data_.used.train->size()), " training and ",
            with_commas(validation_->size()), " validation images"));
  }

  void load(std::optional<SearchPlan>& plan) {
    const std::string request = request_.recipe ? request_text() : "";
    if (plan && request_.recipe &&
        (plan->request != request || plan->target != request_.target || plan->minimise != request_.minimise)) {
      fail_usage(printable(folder_.path().string()), ": got the folder of another search (", difference(*plan, request),
                 "), expected the same. Name another with --out, or continue that one with --resume.");
    }
    const Recipe recipe = plan ? parse_recipe(plan->recipe, folder_.path() / "search.json", {}) : *request_.recipe;
    base_ = std::make_shared<const BaseModel>(load_base_model({recipe.model, recipe.weights}, callbacks_.download));
    data_.opened = open_dataset(recipe.data.name, callbacks_.download, open_options(recipe.data));
    split(with_validation(recipe));
    if (plan) return;
    is_new_ = true;
    SearchPlan made = make_search_plan(recipe);
    made.request = request;
    folder_.write_plan(made);
    plan = std::move(made);
  }

  // How the search in the folder differs from the requested one.
  std::string difference(const SearchPlan& plan, const std::string& request) const {
    std::vector<std::string> out;
    const auto compare = [&](const std::string& key, const std::string& there, const std::string& here) {
      if (there != here) out.push_back(cat(key, " is ", printable(there), " there and ", printable(here), " here"));
    };
    const auto& costs = search_cost_names();
    compare("target", cat(plan.target), cat(request_.target));
    compare("minimise", costs[static_cast<std::size_t>(plan.minimise)],
            costs[static_cast<std::size_t>(request_.minimise)]);
    const auto there = recipe_values(parse_recipe(plan.request, folder_.path() / "search.json", {}));
    const auto here = recipe_values(parse_recipe(request, "recipe", {}));
    for (std::size_t i = 0; i < here.size(); ++i) compare(here[i].first, there[i].second, here[i].second);
    return out.empty() ? "its recipe names other keys" : join(out, ", ");
  }

  std::string stage_text() const {
    std::vector<std::string> out;
    for (const std::int64_t steps : plan_.stages) out.push_back(with_commas(steps));
    return join(out, ", ");
  }

  void log(const std::string& line) const {
    if (callbacks_.log) callbacks_.log(line);
  }

  std::string request_text() const {
    return cat("# ", join({request_.named.begin(), request_.named.end()}, ", "), "\n",
               recipe_yaml(with_absolute_paths(*request_.recipe)));
  }

  void split(const Recipe& recipe) {
    const auto go_on = [&](const TrainProgress& now) { return !callbacks_.progress || callbacks_.progress({}, now); };
    data_.used = with_bad_images(recipe.data.bad_images, split_data(recipe, data_.opened), go_on);
    test_ = std::exchange(data_.used.test, nullptr);
    validation_ = std::exchange(data_.used.validation, nullptr);
    if (!validation_ || validation_->size() == 0)
      fail(recipe.data.name, ": got no validation images, expected some, by which the search selects.");
    some_validation_ = stratified(validation_, kEarlyImages);
  }

  // Holds out a tenth of the training images that are used, at most 5,000, unless the data or the recipe has validation
  // images.
  Recipe with_validation(Recipe recipe) const {
    constexpr std::int64_t kMost = 5000;
    if (!data_.opened.validation && recipe.data.validation == 0 && data_.opened.train) {
      std::int64_t images = data_.opened.train->size();
      if (recipe.data.train_limit > 0) images = std::min(images, recipe.data.train_limit);
      recipe.data.validation = std::clamp<std::int64_t>(images / 10, 1, kMost);
    }
    return recipe;
  }

  SearchPlan make_search_plan(const Recipe& requested) {
    Recipe recipe = with_absolute_paths(with_validation(requested));
    SearchPlan out;
    out.target = request_.target;
    out.minimise = request_.minimise;
    out.precisions = searched_precisions(recipe, request_.named);
    std::vector<std::string> modules;
    for (const Stage& stage : stages_of(base_->graph, PeftType::kLora))
      modules.insert(modules.end(), stage.modules.begin(), stage.modules.end());
    GradientPass pass;
    if (!modules.empty()) pass = module_gradients(*base_, recipe, loop_data(recipe), modules);
    const auto classes = static_cast<std::int64_t>(data_.used.train->classes().size());
    out.candidates = make_candidates({requested, request_.named, *base_, classes, pass.gradients}, out.notes);
    out.speed = {pass.step_seconds, pass.image_seconds * static_cast<double>(out.precisions.size())};
    const bool holds_out = recipe.data.validation != requested.data.validation;
    const std::int64_t images =
        fit_budget(out, run_length(recipe.loop, data_.used.train->size()).total_steps, holds_out);
    if (holds_out) {
      if (std::exchange(recipe.data.validation, images) != images) split(recipe);
      out.notes.push_back(cat("validation: ", counted(images, "training image"), " are held out"));
    }
    recipe.search.clear();
    recipe.loop.best = BestEpoch::kLast;
    recipe.loop.max_steps = out.stages.back();
    recipe.optimizer.stages.assign(out.stages.begin(), out.stages.end() - 1);
    if (!request_.named.contains("schedule")) recipe.optimizer.schedule = ScheduleKind::kOneCycle;
    out.recipe = recipe_yaml(resolved(recipe));
    return out;
  }

  // Leaves out the last candidates, shortens all, or measures fewer of the images that are held out, if the budget is
  // too small. Returns the number of validation images. Steps of small adapters are faster than those that were timed.
  std::int64_t fit_budget(SearchPlan& plan, std::int64_t steps, bool holds_out) const {
    const SearchSize wanted{plan.candidates.size(), steps, validation_->size()};
    const double left = (1 - kReserve) * request_.budget - seconds();
    const SearchSize size = affordable_size(wanted, plan.speed, left, !holds_out);
    if (size.candidates < wanted.candidates) {
      plan.notes.push_back(cat("budget: ", size.candidates, " of ", wanted.candidates, " candidates are tried, at ",
                               fixed(plan.speed.step, 2), " s a step"));
      plan.candidates.resize(size.candidates);
    }
    if (size.steps < wanted.steps)
      plan.notes.push_back(cat("budget: the last stage has ", size.steps, " instead of ", wanted.steps, " steps"));
    plan.stages = stage_lengths(size.steps, size.candidates);
    return size.images;
  }

  LoopData loop_data(const Recipe& recipe) const {
    return {data_.used.train, nullptr, data_preprocessing(recipe.data, base_->preprocessing)};
  }

  std::optional<std::vector<std::size_t>> promoted_to(std::size_t stage) const {
    return folder_.promoted(stage, plan_.candidates.size());
  }

  // What the trial has measured, which must be what this search measures.
  TrialResult result_of(std::size_t number) const {
    TrialResult out = folder_.result(number);
    for (std::size_t stage = 0; stage < out.stages.size(); ++stage) {
      const StageResult& of = out.stages[stage];
      const bool is_planned = stage < plan_.stages.size() && of.steps == plan_.stages[stage];
      if (is_planned && of.images == images_of(stage).size()) continue;
      fail((folder_.trial(number) / "result.json").string(), ": got a damaged file (stage ", stage + 1, " of ",
           of.steps, " steps, measured on ", counted(of.images, "image"), "), expected one that this search wrote.");
    }
    return out;
  }

  // Decides which trials a stage has, unless that was decided.
  std::vector<std::size_t> trials_of(std::size_t stage) {
    if (stage == 0) {
      std::vector<std::size_t> all(plan_.candidates.size());
      for (std::size_t i = 0; i < all.size(); ++i) all[i] = i;
      return all;
    }
    const FileLock lock = folder_.lock([&] { wait(); });
    if (auto decided = promoted_to(stage)) return *decided;
    std::vector<std::size_t> numbers;
    std::vector<TrialPoint> points;
    for (const std::size_t number : trials_of_before(stage)) {
      const TrialResult result = result_of(number);
      if (!result.error.empty() || result.stages.size() < stage) continue;
      const StageResult& last = result.stages[stage - 1];
      numbers.push_back(number);
      points.push_back(point_of(plan_, described(plan_, number, last, representative_form(last))));
    }
    std::vector<std::size_t> out;
    const std::size_t third = (points.size() + kReduction - 1) / kReduction;
    const std::size_t most = is_last(stage) ? points.size() : third;
    for (const std::size_t i : lorikeet::promoted(points, third, most, plan_.target, plan_.stages.size() - stage))
      out.push_back(numbers[i]);
    if (!out.empty()) folder_.write_promoted(stage, out);  // else the earlier stage goes on when there is time
    return out;
  }
  std::vector<std::size_t> trials_of_before(std::size_t stage) {
    if (stage > 1) return promoted_to(stage - 1).value_or(std::vector<std::size_t>{});
    return trials_of(0);
  }

  // Trains those that no other process has trained, until all have a result or the stage's part of the budget is used.
  void run_trials(std::size_t stage, const std::vector<std::size_t>& numbers) {
    const auto left = std::count_if(numbers.begin(), numbers.end(), [&](auto n) { return !is_done(n, stage); });
    if (left > 0) {
      log(cat("stage ", stage + 1, " of ", plan_.stages.size(), ": ", left, " of ", counted(numbers.size(), "trial"),
              " left, up to step ", with_commas(plan_.stages[stage]), ", measured on ",
              counted(images_of(stage).size(), "image"), " in ", counted(plan_.precisions.size(), "precision")));
    }
    for (;;) {
      bool is_waiting = false, has_run = false;
      std::size_t left_out = 0;
      for (const std::size_t number : numbers) {
        if (is_done(number, stage)) continue;
        if (!fs::exists(folder_.path() / "search.json"))
          fail(folder_.path().string(),
               ": got no search.json any more, expected the folder of this search. Was it deleted?");
        const auto claim = folder_.claim(number);
        is_waiting = is_waiting || !claim;
        if (!claim || is_done(number, stage)) continue;
        if (!fits(number, stage)) {
          ++left_out;
          continue;
        }
        run_trial(number, stage);
        has_run = true;
      }
      if (has_run) continue;
      if (!is_waiting) {
        out_.left_out += left_out;
        return;
      }
      wait();
      std::this_thread::sleep_for(std::chrono::milliseconds(200));
    }
  }

  TrialInputs inputs() const {
    return {.folder = folder_,
            .plan = plan_,
            .base = base_,
            .data = data_,
            .validation = validation_,
            .some_validation = some_validation_,
            .open_cache = [&](const CachedSplit& split) { return caches_->open(split); }};
  }

  bool is_done(std::size_t number, std::size_t stage) const {
    const TrialResult result = result_of(number);
    return !result.error.empty() || result.stages.size() > stage;
  }

  bool is_last(std::size_t stage) const { return stage + 1 == plan_.stages.size(); }
  const Dataset& images_of(std::size_t stage) const { return is_last(stage) ? *validation_ : *some_validation_; }

  // Earlier stages leave a part of the budget for later ones. The first trial may begin in any case.
  bool fits(std::size_t number, std::size_t stage) const {
    constexpr double kFirst = 0.5, kEach = 0.3;
    const double share = is_last(stage) ? 1 - kReserve : kFirst + kEach * static_cast<double>(stage);
    if (stage == 0 && images_ == 0) return seconds() < share * request_.budget;
    const TrialResult result = result_of(number);
    const std::int64_t before = result.stages.empty() ? 0 : result.stages.back().steps;
    const auto steps = static_cast<double>(plan_.stages[stage] - before);
    double step_seconds = steps_ > 0 ? step_seconds_ / static_cast<double>(steps_) : plan_.speed.step;
    if (before > 0) step_seconds = result.stages.back().seconds / static_cast<double>(before);
    const double image_seconds = images_ > 0 ? image_seconds_ / static_cast<double>(images_) : plan_.speed.image;
    const auto images = static_cast<double>(images_of(stage).size());
    return seconds() + steps * step_seconds + images * image_seconds <= share * request_.budget;
  }

  void run_trial(std::size_t number, std::size_t stage) {
    TrialResult result = result_of(number);
    const SearchTrial trial = described(plan_, number);
    bool is_stopped = false;
    const auto progress = [&](const TrainProgress& now) {
      is_stopped = callbacks_.progress && !callbacks_.progress(trial, now);
      // The measurement of what was trained ends in any case: fits() has allowed for it.
      return !is_stopped && (now.phase != "train" || seconds() < request_.budget);
    };
    const double begin = seconds();
    const double before = result.stages.empty() ? 0 : result.stages.back().seconds;
    const std::int64_t steps_before = result.stages.empty() ? 0 : result.stages.back().steps;
    try {
      const auto found = run_stage(inputs(), number, stage, progress);
      if (is_stopped) throw Stopped{};
      if (!found) return;  // the budget is used
      result.stages.push_back(*found);
      step_seconds_ += found->seconds - before;
      steps_ += found->steps - steps_before;
      image_seconds_ += seconds() - begin - (found->seconds - before);
      images_ += found->images;
    } catch (const DivergedError& error) {
      result.error = error.what();
    } catch (const UsageError& error) {
      result.error = error.what();
    }
    folder_.write_result(number, result);
    if (!callbacks_.trial) return;
    SearchTrial row = result.stages.empty() || !result.error.empty()
                          ? trial
                          : described(plan_, number, result.stages.back(), representative_form(result.stages.back()));
    row.error = result.error;
    callbacks_.trial(row);
  }

  // Collects all results, selects the winner and writes its files and the report.
  void finish() {
    // Of the latest stage that any trial has reached: only the last one is measured on all validation images.
    std::vector<SearchTrial> forms;
    std::vector<TrialPoint> points;
    std::size_t latest = 0;
    for (std::size_t number = 0; number < plan_.candidates.size(); ++number) {
      const TrialResult result = result_of(number);
      for (std::size_t stage = 0; stage < result.stages.size(); ++stage) {
        const StageResult& of = result.stages[stage];
        if (stage > latest) {
          latest = stage;
          forms.clear();
        }
        for (const MeasuredForm& form : of.forms) {
          if (stage == latest) forms.push_back(described(plan_, number, of, form));
        }
        out_.trials.push_back(described(plan_, number, of, representative_form(of)));
      }
      if (!result.error.empty()) {
        out_.trials.push_back(described(plan_, number));
        out_.trials.back().error = result.error;
      }
    }
    for (const SearchTrial& form : forms) points.push_back(point_of(plan_, form));
    for (const std::size_t i : pareto_front(points)) out_.front.push_back(forms[i]);
    out_.validation_images = images_of(latest).size();
    if (points.empty()) return;
    const std::size_t best = best_point(points, plan_.target);
    out_.is_reached = points[best].accuracy >= plan_.target;
    out_.winner = forms[best];
    if (!out_.is_interrupted) write_winner(forms[best].number - 1, latest, forms[best]);
  }

  void write_winner(std::size_t number, std::size_t stage, const SearchTrial& winner) {
    const FileLock lock = folder_.lock([] {});
    const auto& names = file_precision_names();
    const auto precision =
        static_cast<FilePrecision>(std::find(names.begin(), names.end(), winner.precision) - names.begin());
    Recipe recipe = trial_recipe(plan_, number, stage);
    recipe.file_precision = precision;
    std::erase_if(recipe.optimizer.stages, [&](std::int64_t end) { return end >= recipe.loop.max_steps; });
    const PassingFile adapter(folder_.path() / ".winner.lorikeet");
    write_trial_adapter(inputs(), number, stage, precision, adapter.path());
    if (!read_test(winner) && test_) {
      LoadedModel model = adapt_base(*base_, adapter.path());
      model.network.to(tensor_device(recipe.machine.device));
      const auto executor = make_inference_executor(model);
      const EvaluationResult found =
          evaluate(*executor, test_, model.preprocessing,
                   {.device = tensor_device(recipe.machine.device),
                    .batch_size = evaluation_batch(model.network.graph(), *test_, model.preprocessing),
                    .progress = [&](std::int64_t done, std::int64_t total) {
                      return !callbacks_.progress ||
                             callbacks_.progress(winner, {.phase = "test", .done = done, .total = total});
                    }});
      if (found.total < test_->size()) {
        out_.is_interrupted = true;
        return;
      }
      out_.test_correct = found.correct;
      out_.test_total = found.total;
    }
    // Last, so that these files belong together even if the adapter cannot be read or tested.
    write_file(folder_.path() / "winner.lorikeet", read_file(adapter.path(), fs::file_size(adapter.path())));
    write_file(folder_.path() / "winner.yaml", recipe_yaml(recipe));
    if (out_.left_out == 0) caches_->remove();  // all trials are complete
    write_file(folder_.path() / "result.json", json_text(outcome_json(out_), 1) + "\n");
    write_file(folder_.path() / "report.html", search_page_html(search_page(out_)));
  }

  // The test result of the same winner, if an earlier process or another one has it.
  bool read_test(const SearchTrial& winner) {
    const fs::path path = folder_.path() / "result.json";
    if (std::error_code missing; !fs::exists(path, missing)) return false;
    try {
      const Json json = parse_json(read_file(path, kMaxResult), path.string());
      const Json& old = json.at("winner");
      const bool is_same = old.at("trial") == winner.number && old.at("steps") == winner.steps &&
                           old.at("precision") == winner.precision;
      if (!is_same || !json.contains("test")) return false;
      out_.test_correct = json.at("test").at("correct");
      out_.test_total = json.at("test").at("total");
      return true;
    } catch (const Json::exception&) {
      return false;
    } catch (const Error&) {
      return false;
    }
  }

  const SearchRequest& request_;
  const SearchCallbacks& callbacks_;
  SearchFolder folder_;
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
  std::shared_ptr<const BaseModel> base_;
  CheckedData data_;
  std::shared_ptr<const Dataset> test_, validation_, some_validation_;
  SearchPlan plan_;
  bool is_new_ = false;  // the plan: this process has made it
  std::optional<SharedCaches> caches_;
  SearchOutcome out_;
  // Of the trials of this process.
  double step_seconds_ = 0, image_seconds_ = 0;  // the latter with all that is done besides steps
  std::int64_t steps_ = 0, images_ = 0;
};

}  // namespace

const MeasuredForm& representative_form(const StageResult& stage) {
  constexpr double kLoss = 0.002;
  std::int64_t most = 0;
  for (const MeasuredForm& form : stage.forms) most = std::max(most, form.correct);
  const auto least = most - static_cast<std::int64_t>(kLoss * static_cast<double>(stage.images));
  const MeasuredForm* out = nullptr;
  for (const MeasuredForm& form : stage.forms) {
    if (form.correct >= least && (out == nullptr || form.bytes < out->bytes)) out = &form;
  }
  return *out;
}

SearchOutcome run_search(const SearchRequest& request, const SearchCallbacks& callbacks) {
  check_searchable(request.named);
  return Search(request, callbacks).run();
}

}  // namespace lorikeet
