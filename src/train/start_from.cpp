#include "train/start_from.h"

#include "adapters/adapter_folder.h"
#include "base/error.h"
#include "base/text.h"
#include "loading/resolve_name.h"

namespace fs = std::filesystem;

namespace lorikeet {

void start_from(const fs::path& path, const Adaptation& adaptation, Network& network) {
  const auto folder = adapter_path(path);
  if (!folder) {
    fail_usage("start_from: got '", printable(path.string()), "', expected the folder of an adapter.");
  }
  const AdapterFolder start = read_adapter_folder(*folder);
  check_adapter_tensors(start.tensors, adaptation, folder->string());
  network.load_adapter_tensors(start.tensors);
}

}  // namespace lorikeet
