#include "train/compress.h"

#include <ATen/Functions.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <memory>
#include <numeric>
#include <optional>
#include <span>
#include <utility>

#include "adapters/layer_adapter.h"
#include "base/error.h"
#include "base/text.h"
#include "data/datasets.h"
#include "data/loader.h"
#include "engine/prefix_cache.h"
#include "engine/tensor_type.h"
#include "image/transform.h"
#include "loading/adapter_start.h"
#include "loading/inference.h"
#include "train/evaluate.h"
#include "train/metrics.h"
#include "train/training_data.h"

namespace lorikeet {
namespace {

constexpr double kMaxCacheBytes = 2e9;
constexpr std::int64_t kTrainingImages = 5000;  // used where there are no validation images
constexpr std::size_t kMostTried = 60;

// The images that decide.
struct Judges {
  std::shared_ptr<const Dataset> images;
  std::string split;
};

std::int64_t number_in(const Json& record, const char* key) {
  const auto found = record.find(key);
  return found != record.end() && found->is_number_integer() ? found->get<std::int64_t>() : 0;
}

Judges open_judges(const LoadedModel& model, const CompressOptions& options) {
  const Json& record = model.adapter->metadata->training;
  const auto recorded = record.find("data");
  const bool has_record = recorded != record.end() && recorded->is_string();
  const std::string name = has_record ? recorded->get<std::string>() : "";
  const std::string data = options.data.empty() ? name : options.data;
  if (data.empty())
    fail_usage("data: got none, and the adapter does not record its own. Name the data: data=mnist or data=FOLDER.");
  OpenOptions how{
      .classes = model.classes, .use = DatasetUse::kTraining, .split = {}, .exif = model.preprocessing.exif};
  use_recorded_split(record, data, how);
  const Splits splits = open_dataset(data, options.download, how);
  if (options.log) std::for_each(splits.notes.begin(), splits.notes.end(), options.log);
  Judges out{splits.validation, "validation"};
  if (!out.images && splits.train) {
    TrainingOptions training;
    training.data.name = data;
    training.data.validation = shared_data_name(data) == shared_data_name(name) ? number_in(record, kHeldOutKey) : 0;
    training.loop.seed = static_cast<std::uint64_t>(number_in(record, "seed"));
    if (const auto shuffle = record.find(kShuffleKey); shuffle != record.end())
      training.loop.shuffle = *shuffle != false;
    if (training.data.validation > 0) {
      out.images = split_data(training, splits).validation;
    } else {
      out = {stratified(splits.train, kTrainingImages), "training"};
      if (options.log)
        options.log(cat(data, ": no images were held out for validation; ", out.images->size(),
                        " training images are used, on which the loss is less than on others. Train with validation: ",
                        "N, or name other images with data=FOLDER"));
    }
  }
  if (!out.images) fail(data, ": got neither a val nor a train split, expected one. Test images are not used.");
  if (out.images->classes() != model.classes)
    fail_usage("data: got ", out.images->classes().size(), " classes in ", data, ", expected the adapter's ",
               model.classes.size(), ".");
  out.images = stratified(out.images, options.limit);
  const auto bad = record.find(kBadImagesKey);
  if (bad != record.end() && *bad == kSkipBadImages) {
    out.images = readable_images(out.images)->images;  // without a callback nothing stops it
  } else {
    check_images({out.images});
  }
  return out;
}

// Which images the network gets right, for one set of tensors after another.
class Judge {
 public:
  Judge(LoadedModel& model, Judges judges, EvaluateCallback progress)
      : model_(model), judges_(std::move(judges)), progress_(std::move(progress)) {
    device_ = model_.network.tensors(model_.network.graph().output()).weight().device();
    batch_ = evaluation_batch(model_.network.graph(), *judges_.images, model_.preprocessing);
  }

  std::vector<bool> correct(const NamedTensors& tensors) {
    const at::NoGradGuard no_grad;
    model_.network.load_adapter_tensors(tensors);
    // int8 rounds the merged weights, so that nothing can be kept.
    if (!executor_ || model_.precision == Precision::kInt8) executor_ = make_inference_executor(model_);
    std::vector<bool> out;
    const auto count = [&](Frontier frontier, const at::Tensor& labels) {
      const at::Tensor logits = executor_->run_suffix(std::move(frontier), /*training=*/false);
      const at::Tensor is_right = logits.argmax(1).to(at::kCPU).eq(labels.to(at::kCPU)).contiguous();
      const bool* values = is_right.const_data_ptr<bool>();
      out.insert(out.end(), values, values + is_right.numel());
      if (progress_ && !progress_(static_cast<std::int64_t>(out.size()), judges_.images->size()))
        fail("compress: interrupted.");
    };
    if (cache_ && cache_->complete()) {
      for (std::int64_t begin = 0; begin < judges_.images->size(); begin += batch_) {
        const at::Tensor rows = at::arange(begin, std::min(begin + batch_, judges_.images->size()), at::kLong);
        count(cache_->load(rows), cache_->labels().index_select(0, rows));
      }
      return out;
    }
    Loader loader(prepared(judges_.images, model_.preprocessing),
                  epoch_order(judges_.images->size(), /*shuffle=*/false, 0, 0), {.batch_size = batch_});
    for (Batch batch; loader.next(batch);) {
      Frontier frontier = executor_->run_prefix(normalise(batch.images.to(device_), model_.preprocessing));
      if (out.empty() && model_.precision != Precision::kInt8) choose_cache(frontier, batch.labels.size(0));
      if (cache_) cache_->store(batch.indices, batch.labels, frontier);
      count(std::move(frontier), batch.labels);
    }
    return out;
  }

 private:
  void choose_cache(const Frontier& frontier, std::int64_t images) {
    double bytes = 0;
    for (const auto& tensor : frontier) bytes += static_cast<double>(tensor.nbytes());
    if (bytes / static_cast<double>(images) * static_cast<double>(judges_.images->size()) <= kMaxCacheBytes)
      cache_.emplace(judges_.images->size());
  }

  LoadedModel& model_;
  Judges judges_;
  EvaluateCallback progress_;
  at::Device device_ = at::kCPU;
  std::int64_t batch_ = 0;
  std::unique_ptr<Executor> executor_;
  std::optional<PrefixCache> cache_;
};

// Tensors whose precision is lowered together: those of a method with the same suffix, or one of a trained module.
struct TensorGroup {
  std::string name;
  std::vector<std::string> tensors;
  StoredBits bits = kFloat32Bits;
};

std::vector<TensorGroup> groups_of(const Adaptation& adaptation) {
  std::vector<TensorGroup> out;
  for (const Parameter& parameter : stored_order(adaptation)) {
    if (parameter.buffer) continue;
    const std::string& module = adaptation.graph.node(parameter.node).name;
    const bool is_adapter = base_tensor_of(adaptation, parameter).empty() && !is_head_tensor(parameter.name) &&
                            adaptation.replaced != parameter.node && parameter.name.starts_with(module + ".");
    std::string name = is_shared_tensor(parameter.name) ? parameter.name.substr(0, parameter.name.find('.'))
                       : is_adapter                     ? parameter.name.substr(module.size() + 1)
                       : parameter.shape.size() > 1     ? parameter.name
                                                        : std::string("vectors");
    const auto found =
        std::find_if(out.begin(), out.end(), [&](const TensorGroup& group) { return group.name == name; });
    TensorGroup& group = found != out.end() ? *found : out.emplace_back(TensorGroup{std::move(name), {}});
    group.tensors.push_back(parameter.name);
  }
  return out;
}

// "int4", or "int4, but fc.weight int3": the most frequent precision, and the others.
std::string form_name(const std::vector<TensorGroup>& groups) {
  std::map<StoredBits, std::size_t> counts;
  for (const TensorGroup& group : groups) ++counts[group.bits];
  StoredBits usual = kFloat32Bits;
  std::size_t most = 0;
  for (const auto& [bits, count] : counts) {
    if (count > most) usual = bits;
    most = std::max(most, count);
  }
  std::vector<std::string> others;
  for (const TensorGroup& group : groups) {
    if (group.bits != usual) others.push_back(group.name + " " + stored_bits_name(group.bits));
  }
  return stored_bits_name(usual) + (others.empty() ? "" : ", but " + join(others, ", "));
}

std::int64_t count_of(const std::vector<bool>& correct) { return std::count(correct.begin(), correct.end(), true); }

// The images that only the second, and only the first gets right.
std::pair<double, double> discordant(const std::vector<bool>& before, const std::vector<bool>& after) {
  double gained = 0, lost = 0;
  for (std::size_t i = 0; i < before.size(); ++i) {
    gained += after[i] && !before[i] ? 1 : 0;
    lost += before[i] && !after[i] ? 1 : 0;
  }
  return {gained, lost};
}

// The next smaller precision; 0 if there is none.
StoredBits lower(StoredBits bits) {
  if (bits == kFloat32Bits) return kBFloat16Bits;
  if (bits == kBFloat16Bits) return kMostLevelBits;
  return bits > kLeastLevelBits ? bits - 1 : 0;
}

// A form with what was measured.
struct Measured {
  EncodedAdapter file;
  std::vector<bool> correct;
};

class Search {
 public:
  Search(LoadedModel& model, const CompressOptions& options)
      : options_(options), model_(model), folder_(*model.adapter), adaptation_(adapt(model.base_graph, folder_.spec)),
        start_(start_tensors(adaptation_, model.base_weights)), groups_(groups_of(adaptation_)) {
    Judges judges = open_judges(model, options);
    out_.split = judges.split;
    out_.images = judges.images->size();
    judge_ = std::make_unique<Judge>(model, std::move(judges), options.progress);
  }

  CompressedAdapter run() {
    const NamedTensors original = copied(model_.network.adapter_tensors());
    try {
      search();
    } catch (...) {
      model_.network.load_adapter_tensors(original);
      throw;
    }
    model_.network.load_adapter_tensors(original);
    return std::move(out_);
  }

 private:
  void search() {
    measure_given();
    find_uniform();
    // The order of the groups: the least loss for each byte first.
    std::vector<std::pair<double, std::size_t>> order;
    for (std::size_t i = 0; groups_.size() > 1 && i < groups_.size(); ++i) {
      std::vector<TensorGroup> form = groups_;
      if (!lower_one(form[i])) continue;
      const Measured found = measured(form);
      const double saved = static_cast<double>(best_->file.bytes.size()) - static_cast<double>(found.file.bytes.size());
      if (saved <= 0 || !is_within_loss(found.correct)) continue;
      order.emplace_back(static_cast<double>(count_of(best_->correct) - count_of(found.correct)) / saved, i);
    }
    std::sort(order.begin(), order.end());
    while (!order.empty() && out_.tried.size() < kMostTried) {
      std::erase_if(order, [&](const auto& place) {
        std::vector<TensorGroup> form = groups_;
        return out_.tried.size() >= kMostTried || !lower_one(form[place.second]) || !take_if_smaller(form);
      });
    }
    finish();
  }

  // The lowest precision of all tensors alike. Losing more at fewer bits, it is found by bisection.
  void find_uniform() {
    const std::vector<StoredBits> ladder{2, 3, 4, 5, 6, 7, 8, kBFloat16Bits};
    std::size_t low = 0, high = ladder.size();  // the first within the limit is in [low, high]
    for (std::size_t at = 2; low < high; at = (low + high) / 2) {
      std::vector<TensorGroup> form = groups_;
      for (TensorGroup& group : form) group.bits = ladder[at];
      if (take_if_smaller(form)) {
        high = at;
      } else {
        low = at + 1;
      }
    }
  }

  static bool lower_one(TensorGroup& group) {
    const StoredBits bits = lower(group.bits);
    if (bits != 0) group.bits = bits;
    return bits != 0;
  }

  void finish() {
    const auto [gained, lost] = discordant(before_, best_->correct);
    const double n = static_cast<double>(out_.images) + 2;
    const double change = (gained - lost) / n;
    const double deviation = std::sqrt(std::max(0.0, (gained + lost + 1) / n - change * change) / n);
    out_.change_low = change - kNormalQuantile * deviation;
    out_.change_high = change + kNormalQuantile * deviation;
    out_.correct_before = count_of(before_);
    out_.correct_after = count_of(best_->correct);
    out_.best = std::move(best_->file);
  }

  bool is_within_loss(const std::vector<bool>& correct) const {
    const auto loss = static_cast<double>(count_of(before_) - count_of(correct));
    return loss <= options_.max_loss * static_cast<double>(out_.images) + 1e-9;
  }

  bool take_if_smaller(const std::vector<TensorGroup>& form) {
    Measured found = measured(form);
    if (!is_within_loss(found.correct) || found.file.bytes.size() >= best_->file.bytes.size()) return false;
    out_.best_name = form_name(form);
    groups_ = form;
    best_ = std::move(found);
    return true;
  }

  // The start: a file as it is, a folder in float32.
  void measure_given() {
    const StoredPrecision given = folder_.file ? same_precision(*folder_.file) : StoredPrecision{};
    best_ = Measured{encode_adapter(folder_, adaptation_, start_, given), {}};
    before_ = best_->correct = correct_of(best_->file);
    bool is_form = true;
    for (TensorGroup& group : groups_) {
      if (!folder_.file) break;
      std::vector<StoredBits> bits;
      for (const auto& name : group.tensors) bits.push_back(given.by_tensor.at(name));
      group.bits = *std::max_element(bits.begin(), bits.end());
      is_form = is_form && std::count(bits.begin(), bits.end(), group.bits) == static_cast<std::ptrdiff_t>(bits.size());
    }
    if (is_form) known_.emplace(bits_of(groups_), before_);
    out_.best_name = folder_.file ? cat("as given, ", precision_name(*folder_.file)) : form_name(groups_);
    out_.tried.push_back({out_.best_name, best_->file.bytes.size(), count_of(before_), /*is_within_loss=*/true});
  }

  static std::vector<StoredBits> bits_of(const std::vector<TensorGroup>& form) {
    std::vector<StoredBits> out;
    for (const TensorGroup& group : form) out.push_back(group.bits);
    return out;
  }

  // Encodes a form and runs what is read from it, unless that was done before.
  Measured measured(const std::vector<TensorGroup>& form) {
    StoredPrecision precision;
    if (folder_.file) precision.scales = same_precision(*folder_.file).scales;
    for (const TensorGroup& group : form) {
      for (const auto& name : group.tensors) precision.by_tensor[name] = group.bits;
    }
    Measured out{encode_adapter(folder_, adaptation_, start_, precision), {}};
    const auto [known, is_new] = known_.try_emplace(bits_of(form));
    if (is_new) {
      known->second = correct_of(out.file);
      out_.tried.push_back(
          {form_name(form), out.file.bytes.size(), count_of(known->second), is_within_loss(known->second)});
    }
    out.correct = known->second;
    return out;
  }

  std::vector<bool> correct_of(const EncodedAdapter& file) {
    AdapterFolder read = read_adapter_file(InputFile("compress", std::as_bytes(std::span<const char>(file.bytes))));
    decode_tensors(read, adaptation_, "compress");
    complete_tensors(read, start_);
    return judge_->correct(read.tensors);
  }

  const CompressOptions& options_;
  LoadedModel& model_;
  const AdapterFolder& folder_;
  Adaptation adaptation_;
  NamedTensors start_;
  std::vector<TensorGroup> groups_;
  std::unique_ptr<Judge> judge_;
  std::vector<bool> before_;
  std::map<std::vector<StoredBits>, std::vector<bool>> known_;  // of the forms that were run, by the groups' bits
  std::optional<Measured> best_;
  CompressedAdapter out_;
};

}  // namespace

CompressedAdapter compress_adapter(LoadedModel& model, const CompressOptions& options) {
  if (!model.adapter) fail_usage("compress: got a model without an adapter, expected an adapter.");
  if (!model.adapter->metadata)
    fail("compress: got an adapter that does not record its base (PEFT wrote it). Convert it first: lorikeet convert.");
  return Search(model, options).run();
}

}  // namespace lorikeet
