#include "loading/adapter_start.h"

#include <algorithm>

#include "base/file.h"
#include "loading/loaded_model.h"

namespace lorikeet {
namespace {

// `fresh` may be null if no method computes a start.
NamedTensors start_tensors(const Adaptation& adaptation, const NamedTensors& base_weights, const Network* fresh) {
  const NamedTensors own = fresh != nullptr ? fresh->adapter_tensors() : NamedTensors();
  NamedTensors out;
  for (const Parameter& parameter : stored_order(adaptation)) {
    if (!has_start(adaptation, parameter)) continue;
    const std::string base = base_tensor_of(adaptation, parameter);
    out.add(parameter.name, base.empty() ? own.find(parameter.name)->clone() : *base_weights.find(base));
  }
  return out;
}

}  // namespace

NamedTensors start_tensors(const Adaptation& adaptation, const NamedTensors& base_weights, const Network& fresh) {
  return start_tensors(adaptation, base_weights, &fresh);
}

NamedTensors start_tensors(const Adaptation& adaptation, const NamedTensors& base_weights) {
  const auto parameters = stored_order(adaptation);
  const bool needs_network = std::any_of(parameters.begin(), parameters.end(), [&](const Parameter& parameter) {
    return has_start(adaptation, parameter) && base_tensor_of(adaptation, parameter).empty();
  });
  if (!needs_network) return start_tensors(adaptation, base_weights, nullptr);
  return start_tensors(adaptation, base_weights, Network(adaptation, base_weights, /*seed=*/0));
}

EncodedAdapter encode_adapter(const AdapterFolder& folder, const BaseView& base, const StoredPrecision& precision) {
  const Adaptation adaptation = adapt(base.graph, folder.spec);
  return encode_adapter(folder, adaptation, start_tensors(adaptation, base.weights), precision);
}

EncodedAdapter write_adapter_file(const std::filesystem::path& path, const AdapterFolder& folder, const BaseView& base,
                                  const StoredPrecision& precision) {
  check_adapter_file_destination(path);
  EncodedAdapter out = encode_adapter(folder, base, precision);
  write_file(path, out.bytes);
  return out;
}

AdapterFolder read_adapter_over(const std::filesystem::path& path, const BaseView& base) {
  AdapterFolder out = read_adapter(path);
  const Adaptation adaptation = adapt_as(out, base.graph, path);
  if (is_incomplete(out)) {
    complete_tensors(out, start_tensors(adaptation, base.weights));
    check_adapter_tensors(out.tensors, adaptation, path.string());
  }
  if (out.spec.small_output && out.for_peft.empty()) {
    const Node& output = adaptation.graph.node(*adaptation.replaced);
    const std::string weight = output.name + ".weight";
    out.for_peft.add(weight,
                     dense_output_weight(*out.spec.small_output, output, *base.weights.find(weight), out.tensors));
  }
  return out;
}

}  // namespace lorikeet
