// Device, precision and engine of the computation, and the precision of files.
#pragma once

namespace lorikeet {

enum class Device { kCpu, kCuda };

/// Number format of activations and frozen weights. Trained parameters stay float32.
enum class Precision {
  kFloat32,
  kBFloat16,
  /// Int8 with calibrated activation ranges: the frozen layers during training, with gradients in bfloat16 if the
  /// processor supports it natively, otherwise float32; the merged network afterwards. CPU only.
  kInt8,
  /// Only in options: bfloat16 if the processor or GPU supports it natively, otherwise float32.
  kAuto,
};

/// Number format of the learned tensors in an adapter's file, NAME.lorikeet. Int8 and int4 are levels with scales;
/// tensors of one dimension, such as biases, get int8 for both.
enum class FilePrecision { kFloat32, kBFloat16, kInt8, kInt4 };

enum class EngineKind {
  kFused,
  /// ATen operators one after another, in PyTorch's order. Slower, but numerically closest to PyTorch.
  kPlain,
};

}  // namespace lorikeet
