// data/web_dataset.h: one shard. libarchive itself is neither instrumented nor sanitised.
#include "data/web_dataset.h"
#include "fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const MemoryFile file;
  const std::string& path = file.hold(data, size);
  accepted([&] {
    const lorikeet::Splits splits = lorikeet::open_shards({path}, {}, "fuzz", path);
    require(splits.train != nullptr, "labelled samples are in train");
    for (const auto& split : {splits.train, splits.validation, splits.test}) {
      if (!split) continue;
      for (std::int64_t i = 0; i < split->size(); ++i) {
        const std::int64_t label = split->label(i);
        require(label >= 0 && label < static_cast<std::int64_t>(split->classes().size()), "a label is a class");
        accepted([&] { check_bytes(split->get(i).image); });
      }
    }
  });
  return 0;
}
