#include <utility>

#include "adapters/adapter_folder.h"
#include "api/boundary.h"
#include "api/model_state.h"
#include "base/compute.h"
#include "base/error.h"
#include "base/text.h"
#include "export/adapter_card.h"
#include "export/onnx_export.h"
#include "export/state_dict.h"
#include "io/weights_file.h"
#include "lorikeet/version.h"

namespace fs = std::filesystem;

namespace lorikeet {

namespace {

// Only an adapter may be replaced, not other files of the user.
void check_replaceable(const fs::path& folder) {
  if (folder.empty()) fail_usage("save: got an empty path, expected a folder.");
  if (has_adapter_file_ending(folder)) return check_adapter_file_destination(folder);
  const fs::file_status found = fs::status(folder);
  if (!fs::exists(found) || is_adapter_folder(folder)) return;
  if (!fs::is_directory(found) || !fs::is_empty(folder)) {
    fail_usage(printable(folder.string()), ": got ", fs::is_directory(found) ? "a folder with other files" : "a file",
               ", expected a new folder, an empty one, or an adapter to replace.");
  }
}

}  // namespace

void Model::save(const fs::path& path, FilePrecision precision) const {
  at_boundary("save", [&] {
    check_replaceable(path);
    if (precision != FilePrecision::kFloat32 && !has_adapter_file_ending(path)) {
      fail_usage("save: got ", name_of(precision), " for a folder, expected it with NAME", kAdapterFileEnding,
                 ". Folders are in float32.");
    }
    if (!is_adapted()) fail_usage("save: got ", name(), " without an adapter, expected one. Call adapt first.");
    AdapterFolder copy = *state().loaded.adapter;
    SavedAdapter saved = state().loaded.network.saved_adapter();
    copy.spec.config = std::move(saved.config);
    copy.tensors = std::move(saved.tensors);
    copy.for_peft = std::move(saved.for_peft);
    forget_accuracies_before_rounding(copy);
    const LoadedModel& loaded = state().loaded;
    save_adapter(path, copy, {loaded.base_graph, loaded.base_weights}, {.bits = stored_bits(precision)});
  });
}

MergeResult Model::merge(const fs::path& file, const MergeOptions& options) const {
  return at_boundary("merge", [&] {
    check_weights_name(file);
    const LoadedModel& loaded = state().loaded;
    const NamedTensors merged =
        options.names.empty() ? state_dict(loaded.network) : state_dict(loaded, library_named(options.names));
    write_weights_file(file, merged);
    MergeResult out{static_cast<std::int64_t>(merged.size()), merged.bytes(), {}};
    if (loaded.adapter && loaded.adapter->spec.head) {
      for (std::size_t i = 0; i <= loaded.adapter->spec.head->hidden.size(); ++i) out.head.push_back(cat("head.", i));
    }
    return out;
  });
}

void Model::export_onnx(const fs::path& file, const OnnxOptions& options) const {
  at_boundary("export_onnx", [&] {
    constexpr std::int64_t kLargest = 4096;
    if (file.empty()) fail_usage("export_onnx: got an empty path, expected a file.");
    if (options.size < 0 || options.size > kLargest) {
      fail_usage("size: got ", options.size, ", expected 0 to ", kLargest, " pixels.");
    }
    OnnxExportOptions onnx{.softmax = options.softmax, .size = options.size};
    if (options.preprocess)
      onnx.preprocessing = chosen_preprocessing(state().loaded.preprocessing, *options.preprocess);
    OnnxModel model = to_onnx(state().loaded, onnx);
    model.producer_version = version();
    write_onnx(file, model);
  });
}

}  // namespace lorikeet
