// An adapter in one small file, NAME.lorikeet: configuration, classes, preprocessing, head, the identity of the base
// and all learned tensors. docs/format/lorikeet.md has the grammar. Names and shapes of the tensors are not stored:
// they follow from the configuration and the base's graph, so that reading has three steps.
//
//   read_adapter        the header: everything but the tensors
//   decode_tensors      the stored tensors, once the base's graph is known
//   complete_tensors    those that are stored relative to a new network, or not at all because they equal its own
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "adapters/adapter_folder.h"
#include "base/file.h"
#include "io/tensor_codec.h"

namespace lorikeet {

/// "adapter.lorikeet", beside the folder "adapter" of a run.
inline constexpr const char* kAdapterFileEnding = ".lorikeet";

/// Whether `path` names a file of this format: by its ending, whether it exists or not.
bool has_adapter_file_ending(const std::filesystem::path& path);
/// Whether `path` is a file that begins as this format, or a file with its ending.
bool is_adapter_file(const std::filesystem::path& path);
/// Whether `path` is the folder or the file of an adapter.
bool is_adapter(const std::filesystem::path& path);

/// Reads the folder or the file of an adapter. Of a file, the tensors stay undecoded.
AdapterFolder read_adapter(const std::filesystem::path& path);
/// The same of a file.
AdapterFolder read_adapter_file(const InputFile& file);

/// Decodes the tensors of a file, and checks them; does nothing for a folder. REQUIRES: `adaptation` is that of
/// `folder` over its base.
void decode_tensors(AdapterFolder& folder, const Adaptation& adaptation, const std::string& where);

/// Whether decode_tensors left tensors that complete_tensors must add.
bool is_incomplete(const AdapterFolder& folder);
/// Adds what `start`, as for encode_adapter, holds. Does nothing for a folder.
void complete_tensors(AdapterFolder& folder, const NamedTensors& start);

/// The tensors of an adapter in the order of the file: by the bytes of their names.
std::vector<Parameter> stored_order(const Adaptation& adaptation);

/// The name of the base's tensor whose value this one has in a new network: that of a bias, a fully trained module, or
/// a norm. Empty if it has another one.
std::string base_tensor_of(const Adaptation& adaptation, const Parameter& parameter);

/// Whether a new network has a value of this tensor that every machine computes alike, up to rounding, and from which
/// training moves it little: that of base_tensor_of, a buffer, or a scale of IA3 or DoRA.
bool has_start(const Adaptation& adaptation, const Parameter& parameter);

/// The precision of the learned tensors in a file.
struct StoredPrecision {
  StoredBits bits = kFloat32Bits;
  /// Other precisions, by name.
  std::map<std::string, StoredBits> by_tensor = {};
  /// Scales of levels of so many bits, by name; others have the least error.
  std::map<std::string, std::pair<StoredBits, float>> scales = {};

  /// Fewer than 8 bits are for matrices: tensors of one dimension, such as biases, get 8 unless by_tensor names them.
  StoredBits of(const Parameter& parameter) const;
};

/// The precision of a file, with which its tensors are encoded without a loss. REQUIRES: they are decoded.
StoredPrecision same_precision(const AdapterFileParts& file);

/// "int8", or "int8 to float32": of the tensors of more than one dimension that are stored; of all if there are none.
std::string precision_name(const AdapterFileParts& file);

/// Removes the accuracies in the record of training if `folder` was read from a file with rounded tensors, whose own
/// they are not.
void forget_accuracies_before_rounding(AdapterFolder& folder);

struct EncodedAdapter {
  std::string bytes;
  std::uint64_t header_bytes = 0;
  std::vector<StoredTensor> tensors;
};

/// The content of a file. `start` has the tensors of has_start, as a new network of the same adaptation over the same
/// base has them. Throws Error if the adapter has no metadata, or its tensors are not those of `adaptation`.
EncodedAdapter encode_adapter(const AdapterFolder& folder, const Adaptation& adaptation, const NamedTensors& start,
                              const StoredPrecision& precision);

/// Throws Error if `path` is a folder, or a file that is not an adapter's, which writing would delete. Throws
/// UsageError if it is one of `sources`, from which the adapter is made.
void check_adapter_file_destination(const std::filesystem::path& path,
                                    const std::vector<std::filesystem::path>& sources = {});

/// The same if `path` has the ending of a file, otherwise check_adapter_destination.
void check_new_adapter(const std::filesystem::path& path, const std::vector<std::filesystem::path>& sources = {});

}  // namespace lorikeet
