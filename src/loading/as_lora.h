// Writes an adapter of a method that PEFT lacks, or has for Linear only, as plain LoRA that PEFT opens: the matrices
// that LoRA-XS, TinyLoRA, VeRA and UniLoRA compute from their few numbers are written out. What else the adapter trains
// is kept.
#pragma once

#include "adapters/adapter_folder.h"
#include "engine/network.h"

namespace lorikeet {

/// `network` is `base` with the adapter `folder`. Throws Error, naming the layer, if the method is not a product of two
/// matrices (adapters/low_rank_adapter.h). For a grouped convolution the rank becomes a multiple of its groups, as PEFT
/// requires.
AdapterFolder as_lora(const Network& network, const AdapterFolder& folder, const Graph& base);

}  // namespace lorikeet
