// A batch whose rows use different adapters of one base. What is frozen in all of them runs once for the whole batch;
// from there each adapter's rows go on by themselves, with its own method, retrained modules and head, so that every
// row is what its adapter alone would have made of it.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstddef>
#include <memory>
#include <vector>

#include "engine/executor.h"

namespace lorikeet {

class MixedBatch {
 public:
  /// Networks over one base's weights; they must outlive this. They share `prepared`, or one of their
  /// own. REQUIRES: at least one.
  MixedBatch(const std::vector<const Network*>& networks, at::ScalarType precision,
             std::shared_ptr<PreparedBase> prepared = nullptr);

  /// images (N, 3, H, W), normalised; `which` says for each row whose it is. → N rows of logits, each (classes of its
  /// network,).
  std::vector<at::Tensor> predict(const at::Tensor& images, const std::vector<std::size_t>& which);

 private:
  std::vector<std::unique_ptr<Executor>> executors_;
};

}  // namespace lorikeet
