// data/manifest.h: CSV, or JSON Lines if the first byte is '{'.
#include "data/manifest.h"
#include "fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  accepted([&] {
    const bool is_json = size > 0 && data[0] == '{';
    const auto lines =
        lorikeet::parse_manifest({reinterpret_cast<const char*>(data), size}, is_json ? "fuzz.jsonl" : "fuzz.csv");
    require(!lines.empty() && lines.size() <= size + 1, "a manifest has lines, not more than bytes");
  });
  return 0;
}
