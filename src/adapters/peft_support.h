// What PEFT 0.21 does not open, or computes otherwise; docs/adapters.md has the table that
// tests/reference/methods_test.py makes with PEFT itself.
#pragma once

#include <string>

#include "adapters/adapt.h"

namespace lorikeet {

/// Why PEFT does not compute the same with an adapter of this method on the layer: "PEFT 0.21 adapts Linear layers only
/// with VeRA". Empty if it does. `on_maps`: the layer is a Linear on (N, H, W, C).
std::string peft_obstacle(const Op& op, const AdapterConfig& config, std::int64_t rank, bool on_maps);

/// The first such layer's reason, with its name. `graph` is the base's.
std::string peft_obstacle(const Graph& graph, const Adaptation& adaptation);

/// Whether the adapter can be written as LoRA (loading/as_lora.h).
bool has_lora_form(const Graph& graph, const Adaptation& adaptation);

}  // namespace lorikeet
