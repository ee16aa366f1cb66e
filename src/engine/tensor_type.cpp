#include "engine/tensor_type.h"

#include <ATen/Context.h>

#include "base/error.h"
#include "kernels/machine.h"

namespace lorikeet {

void check_device(Device device) {
  if (device == Device::kCuda && !at::hasCUDA()) {
    fail_usage(
        "device: got cuda, expected cpu: this libtorch or this machine has no usable CUDA device. 'lorikeet doctor' "
        "shows details.");
  }
}

at::ScalarType activation_type(Precision precision) {
  const bool is_half =
      precision == Precision::kBFloat16 || (precision == Precision::kInt8 && examine_machine().bfloat16);
  return is_half ? at::kBFloat16 : at::kFloat;
}

Precision resolved_precision(Precision precision, Device device) {
  if (precision != Precision::kAuto) return precision;
  const bool is_native = device == Device::kCuda || examine_machine().bfloat16;
  return is_native ? Precision::kBFloat16 : Precision::kFloat32;
}

}  // namespace lorikeet
