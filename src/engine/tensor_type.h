// Converts devices and precisions (lorikeet/compute.h) to ATen's types.
#pragma once

#include <c10/core/Device.h>
#include <c10/core/ScalarType.h>

#include <cstdint>

#include "lorikeet/compute.h"

namespace lorikeet {

inline at::Device tensor_device(Device device) { return device == Device::kCuda ? at::kCUDA : at::kCPU; }

/// The element type of activations that are not int8, and of gradients. With Precision::kInt8, it is bfloat16 where the
/// processor has it. REQUIRES: not Precision::kAuto.
at::ScalarType activation_type(Precision precision);

/// Bytes per element of such activations.
inline std::uint64_t activation_bytes(Precision precision) { return c10::elementSize(activation_type(precision)); }

/// Throws UsageError if the device is not usable: this libtorch or this machine has no CUDA.
void check_device(Device device);

/// Resolves Precision::kAuto for this machine; returns other values unchanged.
Precision resolved_precision(Precision precision, Device device);

}  // namespace lorikeet
