// Device, number format and engine of the computation.
#pragma once

namespace lorikeet {

enum class Device { kCpu, kCuda };

/// Of activations and frozen weights; what is learned stays float32.
enum class Precision {
  kFloat32,
  kBFloat16,
  /// The frozen prefix in int8 by measured scales while training, the merged network afterwards. CPU only.
  kInt8,
  /// Only in options: bfloat16 where the processor or the GPU computes it natively, else float32.
  kAuto,
};

enum class EngineKind {
  kFused,
  /// ATen operator by operator, in PyTorch's order: slower, follows PyTorch step by step.
  kPlain,
};

}  // namespace lorikeet
