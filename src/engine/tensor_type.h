// ATen's words for a device and a precision (lorikeet/compute.h).
#pragma once

#include <c10/core/Device.h>
#include <c10/core/ScalarType.h>

#include <cstdint>

#include "lorikeet/compute.h"

namespace lorikeet {

inline at::Device tensor_device(Device device) { return device == Device::kCuda ? at::kCUDA : at::kCPU; }

/// The element type of activations outside of what runs in int8. REQUIRES: not Precision::kAuto.
inline at::ScalarType activation_type(Precision precision) {
  return precision == Precision::kBFloat16 ? at::kBFloat16 : at::kFloat;
}

/// Bytes of one such element.
inline std::uint64_t activation_bytes(Precision precision) { return c10::elementSize(activation_type(precision)); }

/// Throws UsageError where the device cannot be used: this libtorch or this machine has no CUDA.
void check_device(Device device);

/// `precision`, or what Precision::kAuto means on this machine.
Precision resolved_precision(Precision precision, Device device);

}  // namespace lorikeet
