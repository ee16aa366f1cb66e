// adapters/lora_config.h: an adapter_config.json. What is written of it reads back as the same.
#include "adapters/lora_config.h"
#include "fuzz.h"

using namespace lorikeet;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  LoraConfig config;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (!accepted([&] { config = parse_lora_config(parse_json(text, "fuzz"), "fuzz"); })) return 0;
  const std::string written = lora_config_json(config).dump();
  const std::string again = lora_config_json(parse_lora_config(parse_json(written, "again"), "again")).dump();
  require(again == written, "a configuration that is written reads back as the same");
  return 0;
}
