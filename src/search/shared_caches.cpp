#include "search/shared_caches.h"

#include <fstream>

#include "base/error.h"
#include "base/sha256.h"
#include "base/text.h"
#include "train/caching.h"

namespace fs = std::filesystem;

namespace lorikeet {
namespace {

// Names this machine since it was started: other machines do not see what is written to a mapped file, and after a
// crash a part of it may be missing. Empty if the system does not tell.
std::string machine_name() {
  std::string out;
  std::getline(std::ifstream("/proc/sys/kernel/random/boot_id"), out);
  return plain_text(out, "-");
}

double bytes_in(const fs::path& folder) {
  double out = 0;
  std::error_code ignored;
  for (fs::directory_iterator it(folder, ignored), end; !ignored && it != end; it.increment(ignored)) {
    const auto size = it->file_size(ignored);
    if (!ignored) out += static_cast<double>(size);
  }
  return out;
}

}  // namespace

SharedCaches::SharedCaches(fs::path folder, const Recipe& recipe, const Preprocessing& preprocessing)
    : folder_(std::move(folder)), recipe_(recipe), preprocessing_(preprocessing), machine_(machine_name()) {}

std::unique_ptr<PrefixCache> SharedCaches::open(const CachedSplit& split) const {
  const MachineOptions& machine = recipe_.machine;
  if (machine_.empty() || preprocessing_.crop == 0 || recipe_.data.augmentation.any() ||
      machine.precision == Precision::kInt8 || machine.device != Device::kCpu)
    return nullptr;
  Sha256 frontier;
  for (const NodeId id : split.plan.frontier) {
    const std::string name = split.graph.node(id).name + "\n";
    frontier.update(name.data(), name.size());
  }
  const fs::path file =
      folder_ / cat(split.split, "-", split.batch_size, "-", frontier.hex().substr(0, 16), ".", machine_);
  std::error_code error;
  if (!fs::exists(file, error)) {
    constexpr double kGib = 1ULL << 30;
    const double bytes =
        static_cast<double>(split.images) *
        static_cast<double>(frontier_bytes(split.plan, split.graph, image_cost(machine, preprocessing_)));
    fs::create_directories(folder_, error);
    const fs::space_info space = fs::space(folder_, error);
    if (error || bytes > static_cast<double>(space.available) / 2 ||
        bytes_in(folder_) + bytes > machine.cache_disk_gib * kGib)
      return nullptr;
  }
  return std::make_unique<PrefixCache>(split.images, PrefixCache::Shared{file});
}

void SharedCaches::remove() const {
  std::error_code ignored;
  fs::remove_all(folder_, ignored);
}

}  // namespace lorikeet
