#include "train/start_from.h"

#include "base/error.h"
#include "base/text.h"
#include "loading/resolve_name.h"

namespace fs = std::filesystem;

namespace lorikeet {

void start_from(const fs::path& path, const BaseView& base, const Adaptation& adaptation, Network& network) {
  const auto found = adapter_path(path);
  if (!found) {
    fail_usage("start_from: got '", printable(path.string()), "', expected the folder or the file of an adapter.");
  }
  const AdapterFolder start = is_adapter_file(*found) ? read_adapter_over(*found, base) : read_adapter(*found);
  check_adapter_tensors(start.tensors, adaptation, found->string());
  network.load_adapter_tensors(start.tensors);
}

}  // namespace lorikeet
