#include "loading/known_places.h"

#include <algorithm>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/file.h"

namespace fs = std::filesystem;

namespace lorikeet {
namespace {

constexpr std::uint64_t kMaxRecord = 1 << 20;
constexpr std::size_t kMostPlaces = 8;

fs::path record_of(const std::string& sha256) { return home_folder() / "bases" / sha256; }

// The last one first.
std::vector<fs::path> recorded_places(const std::string& sha256) {
  std::vector<fs::path> out;
  try {
    const std::string lines = read_file(record_of(sha256), kMaxRecord);
    for (std::string_view rest = lines; !rest.empty();) {
      const std::size_t end = std::min(rest.find('\n'), rest.size());
      out.emplace_back(rest.substr(0, end));
      rest.remove_prefix(std::min(end + 1, rest.size()));
    }
  } catch (const Error&) {  // none yet
  }
  return out;
}

}  // namespace

void remember_base(const std::string& sha256, const fs::path& place) {
  std::vector<fs::path> places = recorded_places(sha256);
  if (!places.empty() && places.front() == place) return;
  std::erase(places, place);
  places.insert(places.begin(), place);
  places.resize(std::min(places.size(), kMostPlaces));
  std::string lines;
  for (const fs::path& each : places) lines += each.native() + "\n";
  try {
    const fs::path record = record_of(sha256);
    fs::create_directories(record.parent_path());
    write_file(record, lines);
  } catch (const std::exception&) {  // only the convenience is lost
  }
}

fs::path known_base(const std::string& sha256) {
  const std::vector<fs::path> places = recorded_places(sha256);
  const auto found = std::find_if(places.begin(), places.end(), [](const fs::path& place) {
    std::error_code ignored;
    return fs::exists(place, ignored);
  });
  return found != places.end() ? *found : places.empty() ? fs::path() : places.front();
}

}  // namespace lorikeet
