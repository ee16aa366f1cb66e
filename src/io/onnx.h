// ONNX models (onnx.ai; onnx.proto, IR version 8, the default operator set 17): a graph of operators over named values,
// written as one protobuf message with the tensors inside. It knows the format and nothing of what the operators mean.
//
// Values are named: inputs, initialisers (constant tensors) and outputs of nodes share one space of names, and a node
// comes after those whose outputs it reads.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "io/named_tensors.h"

namespace lorikeet {

/// The version of the default operator set that a model declares: ONNX 1.12, onnxruntime 1.12 and newer.
constexpr std::int64_t kOnnxOpset = 17;

struct OnnxAttribute {
  std::string name;
  std::variant<std::int64_t, float, std::string, std::vector<std::int64_t>> value;
};

struct OnnxNode {
  /// "Conv"
  std::string op;
  /// The node's name and that of its one output.
  std::string output;
  /// Empty names stand for optional inputs that are left out.
  std::vector<std::string> inputs;
  std::vector<OnnxAttribute> attributes;
};

/// A size, or the name of one that is free ("N").
using OnnxDimension = std::variant<std::int64_t, std::string>;

/// What goes in or comes out.
struct OnnxValue {
  std::string name;
  at::ScalarType type = at::kFloat;
  std::vector<OnnxDimension> shape;
  std::string description;
};

struct OnnxModel {
  /// Of the graph: "resnet50".
  std::string name;
  std::string producer;
  std::string producer_version;
  std::vector<OnnxNode> nodes = {};
  NamedTensors initialisers = {};
  std::vector<OnnxValue> inputs = {};
  std::vector<OnnxValue> outputs = {};
  /// Free text by key, in this order.
  std::vector<std::pair<std::string, std::string>> metadata = {};
};

/// The model as one ModelProto. Throws Error, beginning with `where`, if that would be larger than protobuf's 2 GiB.
std::string onnx_bytes(const OnnxModel& model, const std::string& where);

/// Writes it completely or not at all.
void write_onnx(const std::filesystem::path& path, const OnnxModel& model);

}  // namespace lorikeet
