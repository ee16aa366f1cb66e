// Runs a model of the table, or one that a config.json of transformers describes, for tests/reference/networks_test.py
// to compare with the library's own. FOLDER holds
//   request.json         {"model": NAME} or {"config": {…}}; "onnx": true asks for model.onnx
//   weights.safetensors  under the library's names
//   inputs.safetensors   images (N, 3, H, W), direction (N, classes)
// and gets output.safetensors: logits, those of the fused executor, and the gradients of (logits · direction) with
// respect to each learned tensor; the names of the tensors, in order, in its metadata. With "adapter": PATH, for
// tests/reference/adapted_models_test.py, it gets the logits with that adapter, and in its metadata which modules
// all-linear, all-conv and auto mean; merged.safetensors gets the merged weights. With "adapter_config": {…}, for
// tests/reference/seeded_methods_test.py, a new adapter of that configuration, as if trained, is first written to
// FOLDER/adapter. state.safetensors gets what the library's strict load_state_dict() takes. With
// "int8": true, for tests/reference/int8_test.py, it gets the fused executor's logits and those of int8, whose
// activation ranges come from the first 64 images.
//
//   model_networks FOLDER
#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>

#include <cstdio>
#include <filesystem>
#include <memory>

#include "adapters/adapter_folder.h"
#include "adapters/target_sets.h"
#include "base/file.h"
#include "base/json.h"
#include "engine/executor.h"
#include "engine/int8.h"
#include "export/onnx_export.h"
#include "export/state_dict.h"
#include "io/safetensors.h"
#include "loading/loaded_model.h"
#include "lorikeet/error.h"
#include "models/models.h"
#include "models/transformers_config.h"
#include "models/weights.h"

using namespace lorikeet;

namespace {

at::Tensor evaluate(const Network& network, const at::Tensor& images) {
  std::vector<at::Tensor> values{images};
  for (NodeId id = 1; id < network.graph().nodes().size(); ++id) {
    std::vector<at::Tensor> inputs;
    for (const NodeId input : network.graph().node(id).inputs) inputs.push_back(values[input]);
    values.push_back(apply(network.graph().node(id).op, network.tensors(id), inputs));
  }
  return values.back();
}

void run_adapted(const std::filesystem::path& folder, const std::string& adapter, const ModelEntry& entry) {
  BaseModel base;
  base.entry = std::make_shared<ModelEntry>(entry);
  base.graph = entry.build();
  base.weights = load_base_weights(folder / "weights.safetensors", entry, base.graph);
  const LoadedModel model = adapt_base(base, adapter, /*force=*/true);
  write_safetensors(folder / "merged.safetensors", model.network.merged());
  NamedTensors out;
  out.add("logits", make_plain_executor(model.network, {})
                        ->predict(*read_safetensors(folder / "inputs.safetensors").find("images"))
                        .contiguous());
  for (const char* set : {"all-linear", "all-conv", "auto"}) {
    std::vector<std::string> names;
    for (const NodeId id : targets_of(*target_set(std::string(set)), base.graph, PeftType::kLora).nodes)
      names.push_back(base.graph.node(id).name);
    out.metadata[set] = json_text(names);
  }
  write_safetensors(folder / "output.safetensors", out);
}

// Writes an adapter with random changes of all that it learns.
void write_adapter(const std::filesystem::path& folder, const Json& config, const ModelEntry& entry) {
  const Graph graph = entry.build();
  AdapterFolder adapter;
  adapter.spec.config = parse_adapter_config(config, "adapter_config");
  Network network(adapt(graph, adapter.spec), load_base_weights(folder / "weights.safetensors", entry, graph),
                  /*seed=*/1);
  at::Generator generator = at::detail::createCPUGenerator(2);
  for (const auto& [name, tensor] : network.trainable())
    tensor.detach().add_(at::empty_like(tensor).normal_(0, 0.1, generator));
  SavedAdapter saved = network.saved_adapter();
  adapter.spec.config = saved.config;
  adapter.tensors = std::move(saved.tensors);
  write_adapter_folder(folder / "adapter", adapter);
}

void run_int8(const std::filesystem::path& folder, const ModelEntry& entry) {
  constexpr std::int64_t kCalibration = 64, kBatch = 20;
  const Graph graph = entry.build();
  const Network network(graph, load_base_weights(folder / "weights.safetensors", entry, graph));
  const NamedTensors inputs = read_safetensors(folder / "inputs.safetensors");
  const at::Tensor& images = *inputs.find("images");
  RangeMeter meter(network, make_plan(network));
  meter.add(images.slice(0, 0, kCalibration));
  const auto predict = [&](const std::unique_ptr<Executor>& executor) {
    std::vector<at::Tensor> logits;
    for (const at::Tensor& batch : images.split(kBatch)) logits.push_back(executor->predict(batch));
    return at::cat(logits);
  };
  NamedTensors out;
  out.add("logits", predict(make_fused_executor(network, {})));
  out.add("int8.logits", predict(make_int8_executor(network, {}, meter.ranges())));
  write_safetensors(folder / "output.safetensors", out);
}

void run(const std::filesystem::path& folder) {
  const Json request = parse_json(read_file(folder / "request.json", 1 << 24), "request.json");
  const ModelEntry entry = request.contains("config") ? transformers_model(request["config"])
                                                      : find_model(request["model"].get<std::string>());
  if (request.contains("adapter_config")) write_adapter(folder, request["adapter_config"], entry);
  if (request.contains("adapter")) return run_adapted(folder, request["adapter"].get<std::string>(), entry);
  if (request.value("int8", false)) return run_int8(folder, entry);
  const Graph graph = entry.build();
  const NamedTensors weights = load_base_weights(folder / "weights.safetensors", entry, graph);
  const NamedTensors inputs = read_safetensors(folder / "inputs.safetensors");
  const at::Tensor& images = *inputs.find("images");

  NamedTensors learned;
  for (const auto& parameter : graph.parameters())
    learned.add(parameter.name, weights.find(parameter.name)->clone().set_requires_grad(!parameter.buffer));
  const at::Tensor logits = evaluate(Network(graph, learned), images);
  (logits * *inputs.find("direction")).sum().backward();

  NamedTensors out;
  out.add("logits", logits.detach().contiguous());
  const Network plain(graph, weights);
  write_safetensors(folder / "state.safetensors", state_dict(plain));
  out.add("fused.logits", make_fused_executor(plain, {})->predict(images).contiguous());
  Json names = Json::array();
  for (const auto& parameter : graph.parameters()) {
    names.push_back(parameter.name);
    const at::Tensor& gradient = learned.find(parameter.name)->grad();
    if (!parameter.buffer && gradient.defined()) out.add("gradient." + parameter.name, gradient.contiguous());
  }
  out.metadata = {{"names", json_text(names)}};
  write_safetensors(folder / "output.safetensors", out);
  if (request.value("onnx", false)) {
    OnnxExportOptions options;
    options.size = static_cast<int>(images.size(3));
    OnnxModel model = to_onnx(graph, weights, options);
    model.name = entry.name;
    write_onnx(folder / "model.onnx", model);
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) return std::fprintf(stderr, "usage: model_networks FOLDER\n"), 2;
  try {
    run(argv[1]);
  } catch (const Error& error) {
    return std::fprintf(stderr, "%s\n", error.what()), 1;
  }
  return 0;
}
