#include "base/compute.h"

#include <algorithm>

namespace lorikeet {
namespace {

template <typename Enum>
std::optional<Enum> value_named(const std::vector<std::string>& names, std::string_view name) {
  const auto found = std::find(names.begin(), names.end(), name);
  if (found == names.end()) return std::nullopt;
  return static_cast<Enum>(found - names.begin());
}

}  // namespace

const std::vector<std::string>& precision_names() {
  static const std::vector<std::string> kNames{"float32", "bfloat16", "int8", "auto"};
  return kNames;
}

const std::vector<std::string>& file_precision_names() {
  static const std::vector<std::string> kNames{"float32", "bfloat16", "int8", "int4"};
  return kNames;
}

const std::vector<std::string>& device_names() {
  static const std::vector<std::string> kNames{"cpu", "cuda"};
  return kNames;
}

const std::vector<std::string>& engine_names() {
  static const std::vector<std::string> kNames{"fused", "plain"};
  return kNames;
}

const std::string& name_of(Precision precision) { return precision_names()[static_cast<std::size_t>(precision)]; }
const std::string& name_of(FilePrecision precision) {
  return file_precision_names()[static_cast<std::size_t>(precision)];
}
const std::string& name_of(Device device) { return device_names()[static_cast<std::size_t>(device)]; }
const std::string& name_of(EngineKind engine) { return engine_names()[static_cast<std::size_t>(engine)]; }

std::optional<Precision> parse_precision(std::string_view name) {
  return value_named<Precision>(precision_names(), name);
}

std::optional<FilePrecision> parse_file_precision(std::string_view name) {
  return value_named<FilePrecision>(file_precision_names(), name);
}

std::optional<Device> parse_device(std::string_view name) { return value_named<Device>(device_names(), name); }

}  // namespace lorikeet
