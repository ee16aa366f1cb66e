#include "loading/known_places.h"

#include "base/error.h"
#include "base/file.h"

namespace fs = std::filesystem;

namespace lorikeet {
namespace {

constexpr std::uint64_t kMaxPath = 64 << 10;

fs::path record_of(const std::string& sha256) { return home_folder() / "bases" / sha256; }

}  // namespace

void remember_base(const std::string& sha256, const fs::path& place) {
  if (known_base(sha256) == place) return;
  try {
    const fs::path record = record_of(sha256);
    fs::create_directories(record.parent_path());
    write_file(record, place.native());
  } catch (const std::exception&) {  // only the convenience is lost
  }
}

fs::path known_base(const std::string& sha256) {
  if (sha256.empty()) return {};
  try {
    return read_file(record_of(sha256), kMaxPath);
  } catch (const Error&) {
    return {};
  }
}

}  // namespace lorikeet
