// An adapter on disk: PEFT's folder, which PEFT opens as it is, and beside its two files what PEFT does not record.
//
//   adapter_config.json         PEFT's configuration
//   adapter_model.safetensors   `base_model.model.NAME.lora_A.weight` …, and modules_to_save as plain tensors;
//                               read from adapter_model.bin, a state dict of torch.save, where it is not there
//   head.safetensors            the layers after the network (`head.0.weight` …), where there are any
//   README.md                   the model card, for people
//   lorikeet.json               base model and its SHA-256, classes, preprocessing, head; written by Lorikeet only
//
// A folder of PEFT's own has only the first two; what the last would say is then inferred or given by the caller.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "adapters/adapt.h"
#include "graph/activation_ranges.h"
#include "image/preprocessing.h"
#include "io/named_tensors.h"
#include "lorikeet/compute.h"

namespace lorikeet {

/// What lorikeet.json holds.
struct AdapterMetadata {
  std::string base_model;    // "resnet50"
  std::string base_weights;  // "resnet50.v1", or the name of the file they came from
  std::string base_sha256;   // fingerprint() of the base weights
  std::vector<std::string> classes;
  Preprocessing preprocessing;
  /// In which it was trained and evaluated; never Precision::kAuto.
  Precision precision = Precision::kFloat32;
  /// What the last training measured, for people: accuracy, data … Kept as it is.
  Json training = Json::object();
  /// For int8: those of the merged network.
  ActivationRanges activation_ranges = {};
  /// Where the base's file was, absolute, for this machine only; empty for official weights.
  std::string weights_path = {};
};

struct AdapterFolder {
  AdapterSpec spec;
  /// Absent in a folder that PEFT wrote.
  std::optional<AdapterMetadata> metadata;
  /// Names without "base_model.model.": "fc.weight", "layer1.2.conv3.lora_A.weight"; the head's as they are.
  NamedTensors tensors;
  /// The model card, written as README.md where there is one; not read.
  std::string card = {};
};

/// Whether `path` is a folder with an adapter_config.json.
bool is_adapter_folder(const std::filesystem::path& path);

/// Reads and checks each file on its own; whether the tensors fit a network is `check_adapter_tensors`'s to say.
AdapterFolder read_adapter_folder(const std::filesystem::path& path);

/// Throws Error, naming the tensor, unless `tensors` are just those that `adaptation` asks for: none missing, none
/// unknown, shapes as expected, floating-point, finite.
void check_adapter_tensors(const NamedTensors& tensors, const Adaptation& adaptation, const std::string& where);

/// For a folder without lorikeet.json, which PEFT wrote: throws Error where its layer computes what no weight can hold
/// (OFT on kernels larger than 1×1, see adapters/oft.h).
void check_defined_in_peft(const AdapterFolder& folder, const Adaptation& adaptation, const std::string& where);

/// For a folder without lorikeet.json: where the tensor of the network's own output has another number of rows than the
/// base, the output was replaced.
void infer_output_classes(AdapterFolder& folder, const Graph& base);

/// Throws Error where `path` is a file, or a folder that holds other things than an adapter: writing an adapter there
/// would delete them. Commands call it before they begin to work.
void check_adapter_destination(const std::filesystem::path& path);

/// Puts the complete folder in place, replacing an adapter that was there. Throws Error as check_adapter_destination
/// does, and where the name of a class is not UTF-8, before anything is written.
void write_adapter_folder(const std::filesystem::path& path, const AdapterFolder& folder);

/// Preprocessing as lorikeet.json says it.
Json preprocessing_json(const Preprocessing& preprocessing);

/// Bytes of the folder's PEFT file, adapter_model.safetensors.
std::uint64_t adapter_file_bytes(const std::filesystem::path& path);

}  // namespace lorikeet
