#include "train/run_loop.h"

#include <vector>

#include "base/error.h"
#include "train/diverged.h"
#include "train/session.h"

namespace fs = std::filesystem;

namespace lorikeet {
namespace {

constexpr double kLowerRate = 0.1;

// `earlier`: seconds of training before this process.
TrainReport run_session(const RunLoop& loop, double earlier, SessionOptions options) {
  const std::chrono::duration<double> here = std::chrono::steady_clock::now() - loop.started;
  options.seconds_spent = earlier + here.count();
  options.test_images = loop.test_images;
  options.open_cache = loop.open_cache;
  const TrainingSession* current = nullptr;
  const auto write_state = [&](const fs::path& folder) {
    Checkpoint checkpoint = loop.identity();
    checkpoint.state = current->state();
    checkpoint.metrics_bytes = loop.run.sync_metrics();
    write_checkpoint(folder, checkpoint);
  };
  TrainingSession session(loop.network, loop.executor, loop.data, loop.options,
                          {.progress = loop.progress,
                           .metrics = [&](const Json& line) { loop.run.add_metrics(line); },
                           .log = loop.log,
                           .epoch = loop.epoch,
                           .checkpoint =
                               [&] {
                                 loop.run.checkpoint(loop.write_adapter, write_state);
                                 loop.metrics_changed();
                               }},
                          options);
  current = &session;
  while (session.advance()) {
  }
  return session.finish();
}

}  // namespace

TrainReport run_with_checkpoints(const RunLoop& loop, const std::optional<Checkpoint>& from) {
  const double earlier = from ? from->state.seconds : 0;
  try {
    return run_session(loop, earlier, {.order = {}, .reduce_gradients = {}, .state = from ? &from->state : nullptr});
  } catch (const DivergedError& error) {
    std::optional<Checkpoint> last = from;
    std::vector<std::string> notes;
    if (loop.run.has_checkpoint()) last = read_last_checkpoint(loop.run.checkpoints(), notes);
    for (const std::string& note : notes) loop.log(note);
    const std::int64_t step = last ? last->state.step : 0;
    const auto again = [&](const DivergedError& second) {
      return DivergedError(cat(second.what(), " The learning rate had already been lowered once, to a tenth",
                               step > 0 ? cat("; the last good state is that of step ", step) : "", "."));
    };
    if (last && last->state.rate_factor < 1) throw again(error);
    loop.log(cat(error.what(), " Going back to ", step > 0 ? cat("step ", step) : "the start",
                 " and continuing with a tenth of the learning rate."));
    loop.run.truncate_metrics(last ? last->metrics_bytes : 0);
    loop.metrics_changed();  // before lines are added, which would hide that there are fewer
    if (last) {
      last->state.rate_factor = kLowerRate;
    } else {
      loop.start_over();
    }
    try {
      return run_session(
          loop, earlier,
          {.order = {}, .reduce_gradients = {}, .state = last ? &last->state : nullptr, .rate_factor = kLowerRate});
    } catch (const DivergedError& second) {
      throw again(second);
    }
  }
}

}  // namespace lorikeet
