// The checkpoints of a run, from which it continues bit for bit (float32, CPU): RUN/checkpoints/step-N.safetensors.
// Each is one safetensors file with the tensors of the training state, and everything else as JSON in its metadata
// under the key "lorikeet". Files are written atomically; the last two are kept, the older one in case the newer is
// damaged.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "train/training_state.h"

namespace lorikeet {

struct Checkpoint {
  TrainingState state;
  /// recipe_yaml of the run.
  std::string recipe;
  /// Identifies the base (LoadedModel) and the training and validation images (content_fingerprint).
  std::string base_sha256;
  std::string data;
  /// Length of metrics.jsonl at this point.
  std::uint64_t metrics_bytes = 0;
};

/// Writes the checkpoint into `folder` and removes all others except its predecessor. Throws Error if it cannot be
/// written; the others then stay.
void write_checkpoint(const std::filesystem::path& folder, const Checkpoint& checkpoint);

/// Returns the last readable checkpoint in `folder`, or nothing if there is none. Adds a note for each one that cannot
/// be read. Throws Error if there are checkpoints, but none can be read.
std::optional<Checkpoint> read_last_checkpoint(const std::filesystem::path& folder, std::vector<std::string>& notes);

}  // namespace lorikeet
