#include "io/onnx.h"

#include <ATen/core/Tensor.h>

#include <protozero/pbf_builder.hpp>

#include "base/error.h"
#include "base/file.h"
#include "base/text.h"

namespace lorikeet {
namespace {

constexpr std::int64_t kIrVersion = 8;
constexpr std::uint64_t kMaxModelBytes = (1ULL << 31) - 1;  // protobuf's limit

// The written fields, by their numbers in onnx.proto.
using Tag = protozero::pbf_tag_type;
enum class ModelField : Tag {
  kIr = 1,
  kProducerName = 2,
  kProducerVersion = 3,
  kGraph = 7,
  kOpsetImport = 8,
  kMetadata = 14
};
enum class OpsetField : Tag { kDomain = 1, kVersion = 2 };
enum class PropertyField : Tag { kKey = 1, kValue = 2 };
enum class GraphField : Tag { kNode = 1, kName = 2, kInitializer = 5, kInput = 11, kOutput = 12 };
enum class NodeField : Tag { kInput = 1, kOutput = 2, kName = 3, kOpType = 4, kAttribute = 5 };
enum class AttributeField : Tag { kName = 1, kFloat = 2, kInt = 3, kString = 4, kInts = 8, kType = 20 };
enum class TensorField : Tag { kDims = 1, kDataType = 2, kName = 8, kRawData = 9 };
enum class ValueField : Tag { kName = 1, kType = 2, kDocString = 3 };
enum class TypeField : Tag { kTensor = 1 };
enum class TensorTypeField : Tag { kElement = 1, kShape = 2 };
enum class ShapeField : Tag { kDim = 1 };
enum class DimensionField : Tag { kValue = 1, kParameter = 2 };
template <typename Fields>
using Message = protozero::pbf_builder<Fields>;

// AttributeProto.AttributeType
constexpr std::int32_t kFloatType = 1, kIntType = 2, kStringType = 3, kIntsType = 7;

// TensorProto.DataType
std::int32_t data_type(at::ScalarType type) {
  switch (type) {
    case at::kFloat: return 1;
    case at::kByte: return 2;
    case at::kInt: return 6;
    case at::kLong: return 7;
    case at::kDouble: return 11;
    default:
      fail("onnx: got a tensor of type ", c10::toString(type), ", expected float32, float64, uint8, int32 or int64.");
  }
}

void write_attribute(Message<NodeField>& node, const OnnxAttribute& attribute) {
  Message<AttributeField> out(node, NodeField::kAttribute);
  out.add_string(AttributeField::kName, attribute.name);
  if (const auto* number = std::get_if<std::int64_t>(&attribute.value)) {
    out.add_int64(AttributeField::kInt, *number);
    out.add_enum(AttributeField::kType, kIntType);
  } else if (const auto* real = std::get_if<float>(&attribute.value)) {
    out.add_float(AttributeField::kFloat, *real);
    out.add_enum(AttributeField::kType, kFloatType);
  } else if (const auto* text = std::get_if<std::string>(&attribute.value)) {
    out.add_bytes(AttributeField::kString, *text);
    out.add_enum(AttributeField::kType, kStringType);
  } else {
    for (const std::int64_t entry : std::get<std::vector<std::int64_t>>(attribute.value))
      out.add_int64(AttributeField::kInts, entry);
    out.add_enum(AttributeField::kType, kIntsType);
  }
}

void write_node(Message<GraphField>& graph, const OnnxNode& node) {
  Message<NodeField> out(graph, GraphField::kNode);
  for (const auto& input : node.inputs) out.add_string(NodeField::kInput, input);
  out.add_string(NodeField::kOutput, node.output);
  out.add_string(NodeField::kName, node.output);
  out.add_string(NodeField::kOpType, node.op);
  for (const auto& attribute : node.attributes) write_attribute(out, attribute);
}

void write_tensor(Message<GraphField>& graph, const std::string& name, const at::Tensor& tensor) {
  Message<TensorField> out(graph, GraphField::kInitializer);
  for (const std::int64_t size : tensor.sizes()) out.add_int64(TensorField::kDims, size);
  out.add_int32(TensorField::kDataType, data_type(tensor.scalar_type()));
  out.add_string(TensorField::kName, name);
  const at::Tensor plain = tensor.detach().cpu().contiguous();
  out.add_bytes(TensorField::kRawData, static_cast<const char*>(plain.const_data_ptr()), plain.nbytes());
}

void write_value(Message<GraphField>& graph, GraphField field, const OnnxValue& value) {
  Message<ValueField> out(graph, field);
  out.add_string(ValueField::kName, value.name);
  {
    Message<TypeField> type(out, ValueField::kType);
    Message<TensorTypeField> tensor(type, TypeField::kTensor);
    tensor.add_int32(TensorTypeField::kElement, data_type(value.type));
    Message<ShapeField> shape(tensor, TensorTypeField::kShape);
    for (const auto& dimension : value.shape) {
      Message<DimensionField> dim(shape, ShapeField::kDim);
      if (const auto* size = std::get_if<std::int64_t>(&dimension)) {
        dim.add_int64(DimensionField::kValue, *size);
      } else {
        dim.add_string(DimensionField::kParameter, std::get<std::string>(dimension));
      }
    }
  }
  if (!value.description.empty()) out.add_string(ValueField::kDocString, value.description);
}

}  // namespace

std::string onnx_bytes(const OnnxModel& model, const std::string& where) {
  const auto check_size = [&](std::uint64_t bytes) {
    if (bytes > kMaxModelBytes)
      fail(where, ": got a model of ", human_bytes(bytes), ", expected less than 2 GiB, the maximum for an ONNX file.");
  };
  check_size(model.initialisers.bytes());
  std::string bytes;
  bytes.reserve(model.initialisers.bytes() + (1 << 20));
  Message<ModelField> out(bytes);
  out.add_int64(ModelField::kIr, kIrVersion);
  out.add_string(ModelField::kProducerName, model.producer);
  out.add_string(ModelField::kProducerVersion, model.producer_version);
  {
    Message<GraphField> graph(out, ModelField::kGraph);
    for (const auto& node : model.nodes) write_node(graph, node);
    graph.add_string(GraphField::kName, model.name);
    for (const auto& [name, tensor] : model.initialisers) write_tensor(graph, name, tensor);
    for (const auto& value : model.inputs) write_value(graph, GraphField::kInput, value);
    for (const auto& value : model.outputs) write_value(graph, GraphField::kOutput, value);
  }
  {
    Message<OpsetField> opset(out, ModelField::kOpsetImport);
    opset.add_string(OpsetField::kDomain, "");
    opset.add_int64(OpsetField::kVersion, kOnnxOpset);
  }
  for (const auto& [key, value] : model.metadata) {
    Message<PropertyField> property(out, ModelField::kMetadata);
    property.add_string(PropertyField::kKey, key);
    property.add_string(PropertyField::kValue, value);
  }
  check_size(bytes.size());
  return bytes;
}

void write_onnx(const std::filesystem::path& path, const OnnxModel& model) {
  write_file(path, onnx_bytes(model, path.string()));
}

}  // namespace lorikeet
