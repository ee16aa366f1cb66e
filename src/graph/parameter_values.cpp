#include "graph/parameter_values.h"

#include <ATen/Functions.h>

#include <algorithm>
#include <iterator>

#include "base/error.h"
#include "io/named_tensors.h"

namespace lorikeet {

bool is_redundant_buffer(std::string_view name) {
  constexpr std::string_view kSuffixes[]{".num_batches_tracked", ".relative_position_index", ".relative_coords_table",
                                         ".attn_mask"};
  return std::any_of(std::begin(kSuffixes), std::end(kSuffixes),
                     [&](std::string_view suffix) { return name.size() > suffix.size() && name.ends_with(suffix); });
}

at::Tensor checked_values(const Parameter& parameter, const at::Tensor& tensor, const std::string& where) {
  const auto refuse = [&](const auto&... what) { fail(where, ": tensor '", parameter.name, "': got ", what...); };
  if (!tensor.is_floating_point())
    refuse("type ", c10::toString(tensor.scalar_type()), ", expected floating-point numbers.");
  at::Tensor values = tensor.to(at::kFloat);
  if (!all_finite(values)) refuse("NaN or infinity, expected finite numbers. The file is damaged.");
  if (parameter.key == "running_var" && values.numel() > 0) {
    if (const float least = values.min().item<float>(); least < 0)
      refuse("the variance ", least, ", expected none below 0. The file is damaged.");
  }
  return values;
}

}  // namespace lorikeet
