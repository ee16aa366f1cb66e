// What the tensors of a file must be to serve as a network's parameters, beyond their names and shapes.
#pragma once

#include <ATen/core/Tensor.h>

#include <string>
#include <string_view>

#include "graph/graph.h"

namespace lorikeet {

/// Whether the tensor `name` of a state dict holds nothing that evaluation reads from it: BatchNorm's counter of
/// batches, and the tables that Swin's window sizes determine (relative_position_index, attn_mask …).
bool is_redundant_buffer(std::string_view name);

/// `tensor` in float32. Throws Error, which `where` begins, where it does not hold floating-point numbers, where one of
/// them is not finite in float32, and where a variance is negative.
at::Tensor checked_values(const Parameter& parameter, const at::Tensor& tensor, const std::string& where);

}  // namespace lorikeet
