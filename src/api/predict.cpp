#include <algorithm>
#include <cmath>
#include <span>

#include "api/batches.h"
#include "api/boundary.h"
#include "api/images.h"
#include "api/model_state.h"
#include "api/predictions.h"
#include "base/error.h"
#include "base/text.h"
#include "data/dataset.h"
#include "data/datasets.h"
#include "engine/tensor_type.h"
#include "io/named_tensors.h"
#include "io/safetensors.h"
#include "train/evaluate.h"
#include "train/training_data.h"

#include <ATen/Functions.h>

namespace lorikeet {
namespace {

constexpr std::size_t kPredictBatch = 16;

void check_logits(const Logits& logits) {
  const auto count = static_cast<std::int64_t>(logits.values.size());
  const bool fits = logits.rows >= 0 && logits.columns >= 1 &&
                    (logits.rows == 0 ? count == 0 : count % logits.rows == 0 && count / logits.rows == logits.columns);
  if (!fits) {
    fail_usage("logits: got ", counted(count, "value"), " for ", counted(logits.rows, "row"), " and ",
               counted(logits.columns, "column"), ", expected rows * columns values and at least one column.");
  }
}

// Opens data for an evaluation. Without class names, the data defines them, if it has one for each output.
Splits open_for(const LoadedModel& loaded, const std::string& data, const DownloadCallback& progress) {
  const bool has_record = loaded.adapter && loaded.adapter->metadata;
  OpenOptions how{.classes = {}, .use = DatasetUse::kEvaluation, .split = {}, .exif = loaded.preprocessing.exif};
  if (has_record) use_recorded_split(loaded.adapter->metadata->training, data, how);
  if (!loaded.has_class_names) {
    Splits out = open_dataset(data, progress, how);
    const auto& split = out.test ? out.test : out.validation;
    if (split && split->classes().size() == loaded.classes.size()) return out;
  }
  how.classes = loaded.classes;
  return open_dataset(data, progress, how);
}

// Whether the adapter's training left out images that cannot be read.
bool skips_bad_images(const LoadedModel& loaded) {
  if (!loaded.adapter || !loaded.adapter->metadata) return false;
  const Json& training = loaded.adapter->metadata->training;
  const auto found = training.find(kBadImagesKey);
  return found != training.end() && *found == kSkipBadImages;
}

}  // namespace

EvaluationResult Model::evaluate(const std::string& data, const EvaluateOptions& options) {
  return at_boundary("evaluate", [&] {
    LoadedModel& loaded = state().loaded;
    if (data.empty()) fail_usage("data: got nothing, expected the name of a dataset or a folder.");
    if (options.limit < 0) fail_usage("limit: got ", options.limit, ", expected 0 or more images.");
    const Splits splits = open_for(loaded, data, guarded(options.download));
    auto split = splits.test ? splits.test : splits.validation;
    if (!split) {
      fail(data, ": got neither a test nor a val split, expected one to evaluate on.",
           splits.notes.empty() ? "" : cat(" ", join(splits.notes, "; "), "."));
    }
    if (options.log) {
      std::for_each(splits.notes.begin(), splits.notes.end(), guarded(options.log));
      if (!splits.test) guarded(options.log)(data + ": has no test split; the validation images are used");
    }
    if (!loaded.has_class_names && split->classes().size() == loaded.classes.size()) {
      loaded.classes = split->classes();
      loaded.has_class_names = true;
    }
    if (split->classes() != loaded.classes) {
      fail_usage("data: got ", counted(split->classes().size(), "class"), " in ", data, ", expected the model's ",
                 loaded.classes.size(), ".");
    }
    split = stratified(split, options.limit);
    if (skips_bad_images(loaded)) {
      TrainCallback show;
      if (options.check_progress) {
        show = [check = guarded(options.check_progress)](const TrainProgress& progress) {
          return check(progress.done, progress.total);
        };
      }
      const auto readable =
          with_bad_images(BadImages::kSkip, {.train = nullptr, .validation = nullptr, .test = split}, show);
      if (options.log) std::for_each(readable.notes.begin(), readable.notes.end(), guarded(options.log));
      split = readable.test;
    } else {
      const std::string note = check_images({split});
      if (options.log && !note.empty()) guarded(options.log)(note);
    }
    const Preprocessing preprocessing = chosen_preprocessing(loaded.preprocessing, options.preprocess);
    return lorikeet::evaluate(state().run(), split, preprocessing,
                              {.device = tensor_device(state().device),
                               .batch_size = evaluation_batch(loaded.network.graph(), *split, preprocessing),
                               .progress = guarded(options.progress)});
  });
}

Logits Model::logits(const std::vector<Image>& images, Preprocess preprocess) {
  return at_boundary("predict", [&] {
    const Preprocessing preprocessing = chosen_preprocessing(state().loaded.preprocessing, preprocess);
    const at::Device device = tensor_device(state().device);
    Logits out{0, static_cast<std::int64_t>(classes().size()), {}};
    run_in_batches(
        images.size(), kPredictBatch, [&](std::size_t i) { return network_input(images[i], i, preprocessing); },
        [&](std::size_t first, const at::Tensor& batch) {
          check_fits(state().loaded.network.graph(), batch, name_of(images[first], first));
          const at::Tensor rows = state().run().predict(batch.to(device)).cpu().contiguous();
          const std::span values(rows.const_data_ptr<float>(), static_cast<std::size_t>(rows.numel()));
          const auto columns = static_cast<std::size_t>(out.columns);
          for (std::size_t i = 0; i * columns < values.size(); ++i)
            check_outputs(values.subspan(i * columns, columns), name_of(images[first + i], first + i));
          out.values.insert(out.values.end(), values.begin(), values.end());
          out.rows += rows.size(0);
        });
    return out;
  });
}

std::vector<std::vector<Prediction>> Model::predictions(const Logits& logits, std::size_t top) const {
  return at_boundary("predictions", [&] {
    check_logits(logits);
    if (logits.columns != static_cast<std::int64_t>(classes().size())) {
      fail_usage("logits: got ", counted(logits.columns, "column"), ", expected ", classes().size(),
                 ", the model's number of classes.");
    }
    check_top(top, classes().size());
    const auto columns = static_cast<std::size_t>(logits.columns);
    std::vector<std::vector<Prediction>> out;
    for (std::size_t row = 0; row < static_cast<std::size_t>(logits.rows); ++row) {
      const auto values = std::span(logits.values).subspan(row * columns, columns);
      for (const float value : values) {
        if (!std::isfinite(value)) fail_usage("logits: got ", value, " in row ", row, ", expected finite numbers.");
      }
      out.push_back(top_predictions(values, classes(), top));
    }
    return out;
  });
}

std::vector<std::vector<Prediction>> Model::predict(const std::vector<Image>& images, std::size_t top,
                                                    Preprocess preprocess) {
  check_top(top, classes().size());  // before computing
  return predictions(logits(images, preprocess), top);
}

void save_logits(const Logits& logits, const std::filesystem::path& file) {
  at_boundary("save_logits", [&] {
    check_logits(logits);
    NamedTensors tensors;
    tensors.add("logits",
                at::from_blob(const_cast<float*>(logits.values.data()), {logits.rows, logits.columns}, at::kFloat));
    write_safetensors(file, tensors);
  });
}

}  // namespace lorikeet
