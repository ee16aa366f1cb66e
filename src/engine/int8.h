// Calibrates the activation ranges that determine int8 scales (Jacob et al., 2018, arXiv:1712.05877, section 2.1).
#pragma once

#include <memory>

#include "engine/executor.h"

namespace lorikeet {

/// Runs images through a network in float32 and records the ranges. The network must outlive it.
class RangeMeter {
 public:
  /// `prepared` is what is made of the network's base, to be shared; null: its own.
  RangeMeter(const Network& network, const Plan& plan, std::shared_ptr<PreparedBase> prepared = nullptr);
  RangeMeter(const RangeMeter&) = delete;
  RangeMeter& operator=(const RangeMeter&) = delete;

  /// images: float32 (N, 3, H, W), normalised.
  void add(const at::Tensor& images) { executor_->predict(images); }
  /// The ranges over all images so far.
  const ActivationRanges& ranges() const { return ranges_; }

 private:
  ActivationRanges ranges_;
  std::unique_ptr<Executor> executor_;  // updates ranges_
};

}  // namespace lorikeet
