// An adapter on disk: a standard PEFT folder, with additional files for what PEFT does not record.
//
//   adapter_config.json         PEFT's configuration
//   adapter_model.safetensors   `base_model.model.NAME.lora_A.weight` …, and modules_to_save as plain tensors; if it
//                               does not exist, adapter_model.bin (a state dict of torch.save) is read instead
//   head.safetensors            the layers of an added head (`head.0.weight` …), and the tensors of a small output
//                               (`fc.head_V`), whose dense weight is in PEFT's file, if there are any
//   README.md                   the model card
//   lorikeet.json               base model and its SHA-256, classes, preprocessing, head; written only by Lorikeet
//
// A folder written by PEFT has only the first two. The contents of lorikeet.json are then inferred or supplied by the
// caller.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "adapters/adapt.h"
#include "adapters/adapter_metadata.h"
#include "io/named_tensors.h"
#include "io/tensor_codec.h"

namespace lorikeet {

/// How an adapter's file stores one of its tensors.
struct StoredTensor {
  std::string name;
  std::vector<std::int64_t> shape;
  TensorCoding coding;
};

/// What is known of an adapter's file (adapters/adapter_file.h).
struct AdapterFileParts {
  std::uint64_t bytes = 0;
  /// Of the deflated header.
  std::uint64_t header_bytes = 0;
  /// The coded tensors until they are decoded.
  std::string coded = {};
  /// Once they are decoded.
  std::vector<StoredTensor> tensors = {};
};

struct AdapterFolder {
  AdapterSpec spec;
  /// Absent in a folder that PEFT wrote.
  std::optional<AdapterMetadata> metadata;
  /// Names without "base_model.model.": "fc.weight", "layer1.2.conv3.lora_A.weight". Names of the head are unchanged.
  NamedTensors tensors;
  /// Tensors that PEFT's file contains in addition, with the same names: the dense weight of a small output.
  NamedTensors for_peft = {};
  /// The model card, written as README.md unless empty; not read.
  std::string card = {};
  /// Set if the adapter was read from one file.
  std::optional<AdapterFileParts> file = {};
};

/// Whether a tensor of that name belongs to the added head: "head.0.weight". The base's own module may be named "head",
/// as in timm.
bool is_head_tensor(std::string_view name);

/// Whether `path` is a folder with an adapter_config.json.
bool is_adapter_folder(const std::filesystem::path& path);

/// Reads and checks each file separately. check_adapter_tensors checks whether the tensors fit a network.
AdapterFolder read_adapter_folder(const std::filesystem::path& path);

/// Throws Error, naming the tensor, unless `tensors` are exactly those of `adaptation`: none missing, none unknown,
/// correct shapes, floating-point, finite.
void check_adapter_tensors(const NamedTensors& tensors, const Adaptation& adaptation, const std::string& where);

/// For a folder without lorikeet.json, which PEFT wrote: throws Error where its layer computes what no weight can hold
/// (OFT on kernels larger than 1×1, see adapters/oft.h).
void check_defined_in_peft(const AdapterFolder& folder, const Adaptation& adaptation, const std::string& where);

/// For a folder without lorikeet.json: marks the output as replaced if the output layer's tensor has another number of
/// rows than the base.
void infer_output_classes(AdapterFolder& folder, const Graph& base);

/// Throws Error if `path` is a file, or a folder with other content than an adapter, which writing an adapter would
/// delete. Throws UsageError if it is one of `sources`, the folders from which the adapter is made. Commands call it
/// before they start to work.
void check_adapter_destination(const std::filesystem::path& path,
                               const std::vector<std::filesystem::path>& sources = {});

/// Writes the complete folder atomically and replaces an existing adapter. Throws Error before writing if
/// check_adapter_destination does, or if a class name is not UTF-8.
void write_adapter_folder(const std::filesystem::path& path, const AdapterFolder& folder);

/// Size in bytes of the folder's adapter_model.safetensors.
std::uint64_t adapter_file_bytes(const std::filesystem::path& path);

}  // namespace lorikeet
