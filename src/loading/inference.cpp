#include "loading/inference.h"

#include <cassert>
#include <utility>

#include "engine/tensor_type.h"

namespace lorikeet {
namespace {

// Rounds the merged weights. An unmerged adapter on rounded base weights would not equal the trained model.
class MergedInt8Executor final : public Executor {
 public:
  MergedInt8Executor(const Network& network, const ActivationRanges& ranges)
      : merged_(network.graph(), network.merged()), executor_(make_int8_executor(merged_, {}, ranges)) {}

  Frontier run_prefix(const at::Tensor& images) override { return executor_->run_prefix(images); }
  at::Tensor run_suffix(Frontier frontier, bool training) override {
    return executor_->run_suffix(std::move(frontier), training);
  }
  const Plan& plan() const override { return executor_->plan(); }
  const ActivationRanges& activation_ranges() const override { return executor_->activation_ranges(); }

 private:
  Network merged_;
  std::unique_ptr<Executor> executor_;
};

}  // namespace

std::unique_ptr<Executor> make_inference_executor(const Network& network, const InferenceOptions& options) {
  if (options.precision == Precision::kInt8) {
    assert(options.activation_ranges != nullptr);
    return std::make_unique<MergedInt8Executor>(network, *options.activation_ranges);
  }
  return make_fused_executor(network, {.precision = activation_type(options.precision), .prepared = options.prepared});
}

std::unique_ptr<Executor> make_inference_executor(const LoadedModel& model) {
  const bool has_metadata = model.adapter && model.adapter->metadata;
  return make_inference_executor(
      model.network, {.precision = model.precision,
                      .activation_ranges = has_metadata ? &model.adapter->metadata->activation_ranges : nullptr,
                      .prepared = model.prepared});
}

}  // namespace lorikeet
