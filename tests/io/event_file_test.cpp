#include "io/event_file.h"

#include <doctest/doctest.h>

#include "base/file.h"
#include "refusal.h"
#include "temporary_folder.h"

using namespace lorikeet;

TEST_CASE("CRC-32C has the check value of its definition, and RFC 3720's examples") {
  CHECK(crc32c("123456789") == 0xe3069283U);
  CHECK(crc32c(std::string(32, '\0')) == 0x8a9136aaU);
  CHECK(crc32c(std::string(32, '\xff')) == 0x62a8ab43U);
}

TEST_CASE("records have TFRecord's framing") {
  const TemporaryFolder folder;
  const auto path = folder.path / "events.out.tfevents.x";
  EventFile file(path, 1.5);
  file.add(7, 2.5, {{"a/b", 0.25}});
  file.flush();
  const std::string bytes = read_file(path, 1 << 20);
  std::size_t records = 0;
  for (std::size_t at = 0; at < bytes.size(); ++records) {
    REQUIRE(bytes.size() >= at + 12);
    const auto size = static_cast<std::size_t>(static_cast<unsigned char>(bytes[at]));
    at += 12 + size + 4;
    REQUIRE(bytes.size() >= at);
  }
  CHECK(records == 2);
  CHECK(bytes.find("brain.Event:2") != std::string::npos);
  CHECK(bytes.find("a/b") != std::string::npos);
  CHECK(refusal([&] { EventFile(folder.path / "no/such", 0); }) == has("cannot be written"));
}
