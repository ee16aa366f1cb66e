// Runs a batch whose rows use different adapters of one base. Layers that are frozen in all of them run once for the
// complete batch. The rest runs per adapter, with its own method, trained modules and head, so each row equals the
// result of its adapter alone.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstddef>
#include <memory>
#include <vector>

#include "engine/executor.h"

namespace lorikeet {

class MixedBatch {
 public:
  /// The networks share the weights of one base, and must outlive this object. They also share `prepared`; if it is
  /// null, a new one is created. REQUIRES: at least one network.
  MixedBatch(const std::vector<const Network*>& networks, at::ScalarType precision,
             std::shared_ptr<PreparedBase> prepared = nullptr);

  /// images: (N, 3, H, W), normalised; which: the network of each row. Returns N rows of logits, each (classes of its
  /// network,).
  std::vector<at::Tensor> predict(const at::Tensor& images, const std::vector<std::size_t>& which);

 private:
  std::vector<std::unique_ptr<Executor>> executors_;
};

}  // namespace lorikeet
