// Names of devices, precisions and engines (lorikeet/compute.h) as used in recipes, lorikeet.json and the command line.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "lorikeet/compute.h"

namespace lorikeet {

/// "float32", "bfloat16", "int8", "auto", in the order of Precision.
const std::vector<std::string>& precision_names();
/// "float32", "bfloat16", "int8", "int4", in the order of FilePrecision.
const std::vector<std::string>& file_precision_names();
/// "cpu", "cuda", in the order of Device.
const std::vector<std::string>& device_names();
/// "fused", "plain", in the order of EngineKind.
const std::vector<std::string>& engine_names();

const std::string& name_of(Precision precision);
const std::string& name_of(FilePrecision precision);
const std::string& name_of(Device device);
const std::string& name_of(EngineKind engine);

/// Empty if no precision has that name.
std::optional<Precision> parse_precision(std::string_view name);
std::optional<FilePrecision> parse_file_precision(std::string_view name);
std::optional<Device> parse_device(std::string_view name);

}  // namespace lorikeet
