// adapters/adapter_config.h: an adapter_config.json. Writing and reading the result must reproduce it.
#include "adapters/adapter_config.h"
#include "fuzz.h"

using namespace lorikeet;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  AdapterConfig config;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (!accepted([&] { config = parse_adapter_config(parse_json(text, "fuzz"), "fuzz"); })) return 0;
  const std::string written = adapter_config_json(config).dump();
  const std::string again = adapter_config_json(parse_adapter_config(parse_json(written, "again"), "again")).dump();
  require(again == written, "a configuration that is written reads back as the same");
  return 0;
}
