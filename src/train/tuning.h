// The recipe keys that say what is trained without naming modules of one model: `tune`, and `head: new`. They become
// target_modules, modules_to_save and replace_output for a network.
#pragma once

#include <string>
#include <vector>

#include "graph/graph.h"
#include "train/recipe.h"

namespace lorikeet {

/// The modules with parameters that `tune: partial` trains besides the output, in graph order: the last stage of a
/// network whose feature maps shrink, or the last quarter of the modules, from the start of a block, if that is
/// smaller or the feature maps have one size.
std::vector<NodeId> last_modules(const Graph& graph);

/// Replaces `tune` and `new_head` by what they mean for `graph`. Returns notes for people. Idempotent.
///   probe    nothing but the new output
///   adapter  peft_type on target_modules, by default `auto`
///   norm     the normalisations (LN_TUNING)
///   partial  last_modules()
///   full     every module; parameters outside of modules, such as position embeddings, stay
/// All of them train a new output, unless the recipe adds a head.
std::vector<std::string> resolve_tuning(AdaptationOptions& options, const Graph& graph);

}  // namespace lorikeet
