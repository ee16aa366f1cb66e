// models/class_labels.h: the file of --classes.
#include <algorithm>
#include <set>

#include "fuzz.h"
#include "models/class_labels.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const MemoryFile file;
  const std::string& path = file.hold(data, size);
  accepted([&] {
    const auto names = lorikeet::read_class_file(path);
    require(!names.empty() && names.size() <= size, "a file has names, not more than bytes");
    require(std::set<std::string>(names.begin(), names.end()).size() == names.size() &&
                std::find(names.begin(), names.end(), "") == names.end(),
            "names differ, and none is empty");
  });
  return 0;
}
