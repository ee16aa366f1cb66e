#include "train/footprint.h"

#include <ATen/Functions.h>
#include <doctest/doctest.h>

#include <new>
#include <string>

#include "base/error.h"
#include "base/text.h"
#include "refusal.h"
#include "train/out_of_memory.h"
#include "train/small_model.h"

using namespace lorikeet;

namespace {

struct SmallRun {
  SmallModel model;
  Splits data{coloured(640), coloured(8, 640), nullptr};
  Recipe recipe;
  Preprocessing preprocessing = kAsTheyAre;
  Plan plan = make_plan(model.network);

  SmallRun() {
    recipe.loop.epochs = 2;
    recipe.loop.batch_size = 16;
  }
  PlannedRun planned() const { return {model.network, plan, recipe, preprocessing, data}; }
  MemoryEstimate memory() const { return run_memory(planned(), recipe.loop.batch_size); }
};

}  // namespace

TEST_CASE("caches count where training makes them") {
  SmallRun run;
  const std::uint64_t each = frontier_bytes(run.plan, run.model.network.graph(), {kSide, kSide, 4});
  CHECK(run.memory().cache == 648 * each);  // both splits
  run.recipe.machine.cache_gib = 8.0 * static_cast<double>(each) / (1 << 30);
  CHECK(run.memory().cache == 8 * each);  // only validation fits
  run.recipe.machine.cache_gib = 0;
  CHECK(run.memory().cache == 0);
  run.recipe.machine.cache_gib = 2;
  run.recipe.loop.epochs = 1;
  CHECK(run.memory().cache == 0);  // nothing is read twice
  run.recipe.loop.epochs = 2;
  run.recipe.loop.max_steps = 3;
  CHECK(run.memory().cache == 0);
}

TEST_CASE("a larger batch takes more, up to the images that there are") {
  const SmallRun run;
  const auto total = [&](std::int64_t batch) { return run_memory(run.planned(), batch).total(); };
  CHECK(total(128) < total(512));
  CHECK(total(640) == total(6400));
}

TEST_CASE("the best epoch's values count where they are kept") {
  SmallRun run;
  run.recipe.loop.best = BestEpoch::kLast;
  const std::uint64_t without = run.memory().learning;
  run.recipe.loop.best = BestEpoch::kLoss;
  CHECK(run.memory().learning == without + without / 3);
}

TEST_CASE("an adapter that is too large is refused before it is made") {
  const SmallModel model;
  const auto bytes = static_cast<std::uint64_t>(count_trainable(model.adaptation)) * 4;
  require_learned_memory(model.adaptation, kTrainingCopies, 4 * bytes);
  CHECK(refusal<UsageError>([&] { require_learned_memory(model.adaptation, kTrainingCopies, 4 * bytes - 1); }) ==
        has(" numbers to learn, which take about"));

  // 4 TB for the numbers alone: were they asked for, the Error would be another.
  AdapterSpec spec = SmallModel::spec();
  spec.head = Head{{1'000'000, 1'000'000}, kClasses};
  spec.output_classes.reset();
  const Adaptation huge = SmallModel::adapted(spec);
  CHECK(refusal<UsageError>([&] { require_learned_memory(huge, /*copies=*/1, 1ULL << 40); }) ==
        has("Set a smaller r or head"));
}

TEST_CASE("a run that takes more memory than there is is refused with the batch size that fits") {
  SmallRun run;
  run.recipe.loop.batch_size = 512;
  const std::uint64_t total = run_memory(run.planned(), 512).total();
  require_memory(run.planned(), total, 0);
  require_memory(run.planned(), total / 2, total - (total / 2));
  const std::uint64_t enough_for_200 = run_memory(run.planned(), 200).total();
  const auto refused = [&](std::uint64_t available) {
    return refusal<UsageError>([&] { require_memory(run.planned(), available, 0); });
  };
  CHECK(refused(total - 1) == has("batch_size: got 512, which needs about"));
  CHECK(refused(enough_for_200) == has("Set batch_size to 200 or less."));
  CHECK(refused(1000) == has("No batch fits"));
}

TEST_CASE("with a GPU, what it holds is compared with what it has free") {
  SmallRun run;
  run.recipe.machine.device = Device::kCuda;
  run.recipe.loop.batch_size = 512;
  const MemoryEstimate memory = run.memory();
  const std::uint64_t on_gpu = memory.total() - memory.data - memory.program;
  CHECK(on_gpu > 0);
  require_memory(run.planned(), on_gpu, 0);
  require_memory(run.planned(), on_gpu - memory.weights, memory.weights);
  CHECK(refusal<UsageError>([&] { require_memory(run.planned(), on_gpu - 1, 0); }) ==
        has("available on the GPU. Set batch_size to"));
}

TEST_CASE("a failed allocation says what the run needs and which batch fits, other exceptions pass") {
  SmallRun small;
  small.recipe.loop.batch_size = 24;
  const PlannedRun run = small.planned();
  const auto thrown_by = [&](const auto& work) {
    return refusal([&] {
      try {
        work();
      } catch (...) {
        rethrow_out_of_memory(run, run_memory(run, 13).total());
      }
    });
  };
  const std::string with_size = thrown_by([] { at::empty({std::int64_t{1} << 50}); });
  CHECK(with_size == has("training: got no memory for another 4096.0 TiB after "));
  CHECK(with_size == has(" for batch_size 24. Set batch_size to 12 or less, or close other programs."));
  CHECK(thrown_by([] { throw std::bad_alloc(); }) == has("training: got no memory after "));
  CHECK(thrown_by([] { throw std::bad_alloc(); }) ==
        has(cat("expected about ", human_bytes(run_memory(run, 24).total()), " for batch_size 24.")));
  CHECK(thrown_by([] { fail("something else"); }) == "something else");
}
