// lorikeet.json, the part of an adapter that PEFT does not record: base model and its SHA-256, classes, preprocessing,
// head. Read from untrusted files; docs/format/adapter.md has the fields.
#pragma once

#include <string>
#include <vector>

#include "adapters/adapt.h"
#include "base/json.h"
#include "graph/activation_ranges.h"
#include "image/preprocessing.h"
#include "lorikeet/compute.h"

namespace lorikeet {

/// Content of lorikeet.json.
struct AdapterMetadata {
  std::string base_model;    // "resnet50"
  std::string base_weights;  // "resnet50.v1", or the name of the weights file
  std::string base_sha256;   // fingerprint() of the base weights
  std::vector<std::string> classes;
  Preprocessing preprocessing;
  /// Precision of training and evaluation; never Precision::kAuto.
  Precision precision = Precision::kFloat32;
  /// Results of the last training, for display: accuracy, data … Stored unchanged, but for the folders in the path of
  /// the data.
  Json training = Json::object();
  /// For int8: the ranges of the merged network.
  ActivationRanges activation_ranges = {};
};

/// Parses the object in lorikeet.json; the head and the replaced output are added to `spec`. Error messages start with
/// `where`.
AdapterMetadata parse_metadata(const Json& json, const std::string& where, AdapterSpec& spec);

/// The object, with the head and the replaced output of `spec`.
Json metadata_json(const AdapterSpec& spec, const AdapterMetadata& metadata);

/// `data` as an adapter records it: the name of a dataset, or of a folder or file, without the folders that it is in.
std::string shared_data_name(const std::string& data);

/// Converts preprocessing to its JSON form in lorikeet.json.
Json preprocessing_json(const Preprocessing& preprocessing);

}  // namespace lorikeet
