// ONNX models (onnx.ai; onnx.proto, IR version 8, opset 17): a graph of operators over named values, written as one
// protobuf message that includes the tensors. This file implements the format, not the meaning of operators.
//
// Inputs, initialisers (constant tensors) and node outputs share one namespace. A node comes after those whose outputs
// it reads.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "io/named_tensors.h"

namespace lorikeet {

/// The opset version that models declare: ONNX 1.12, onnxruntime 1.12 and newer.
constexpr std::int64_t kOnnxOpset = 17;

struct OnnxAttribute {
  std::string name;
  std::variant<std::int64_t, float, std::string, std::vector<std::int64_t>> value;
};

struct OnnxNode {
  /// For example "Conv".
  std::string op;
  /// The name of the node and of its only output.
  std::string output;
  /// An empty name means an omitted optional input.
  std::vector<std::string> inputs;
  std::vector<OnnxAttribute> attributes;
};

/// A size, or the name of a dynamic dimension ("N").
using OnnxDimension = std::variant<std::int64_t, std::string>;

/// An input or output of the model.
struct OnnxValue {
  std::string name;
  at::ScalarType type = at::kFloat;
  std::vector<OnnxDimension> shape;
  std::string description;
};

struct OnnxModel {
  /// Name of the graph: "resnet50".
  std::string name;
  std::string producer;
  std::string producer_version;
  std::vector<OnnxNode> nodes = {};
  NamedTensors initialisers = {};
  std::vector<OnnxValue> inputs = {};
  std::vector<OnnxValue> outputs = {};
  /// Key-value pairs, in this order.
  std::vector<std::pair<std::string, std::string>> metadata = {};
};

/// Serialises the model as a ModelProto. Throws Error, starting with `where`, if it exceeds protobuf's limit of 2 GiB.
std::string onnx_bytes(const OnnxModel& model, const std::string& where);

/// Writes the model atomically.
void write_onnx(const std::filesystem::path& path, const OnnxModel& model);

}  // namespace lorikeet
