// Which values are read at one token alone. A vision transformer that ends in its class token needs of its last block,
// after the keys and values, only that token: one row of 197. Linear layers, normalisations and activations work on
// each token by itself, so executors compute these values as (N, 1, features). The results are the same.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "graph/graph.h"
#include "graph/shapes.h"

namespace lorikeet {

/// One a node: the only token of its value that is read, or none where all of it is, or it has no tokens.
std::vector<std::optional<std::int64_t>> only_tokens_read(const Graph& graph);

/// Whether the operation computes each token of its output from the same token of its inputs.
bool is_token_wise(const Op& op);

/// infer_shapes(), with one token where only one is read.
std::vector<Shape> computed_shapes(const Graph& graph, std::int64_t height, std::int64_t width);

}  // namespace lorikeet
