// adapters/adapter_file.h: a file over a small network. Bytes change the checksum and the deflated header, so that few
// changed files would get past them. The first byte says what the rest is: a file, whose checksum is put right, or the
// text of a header and what follows it.
#include "adapters/adapter_file.h"

#include "adapters/adapter_file_header.h"
#include "fuzz.h"
#include "graph/small_graphs.h"
#include "io/deflate.h"

using namespace lorikeet;

namespace {

std::string with_checksum(std::string content) {
  const std::uint32_t sum = crc32_of(content);
  for (int i = 0; i < 4; ++i) content.push_back(static_cast<char>(sum >> (8 * i)));
  return content;
}

// [length of the header's text, 2 bytes] [the text] [the rest]
std::string assembled(std::string_view bytes) {
  const std::size_t length =
      bytes.size() < 2 ? 0 : static_cast<unsigned char>(bytes[0]) + 256U * static_cast<unsigned char>(bytes[1]);
  bytes.remove_prefix(std::min<std::size_t>(2, bytes.size()));
  const std::string header = deflate_text(bytes.substr(0, length), header_dictionary());
  bytes.remove_prefix(std::min(length, bytes.size()));
  std::string out = "\x89LK\x01";
  out.push_back(static_cast<char>(header.size() | 0x80));
  out.push_back(static_cast<char>(header.size() >> 7 | 0x80));
  out.push_back(static_cast<char>(header.size() >> 14));
  return with_checksum(out + header + std::string(32, '\x5a') + std::string(bytes));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  const std::string content =
      data[0] % 2 == 0
          ? with_checksum(std::string(bytes.substr(0, bytes.size() - std::min<std::size_t>(4, bytes.size()))))
          : assembled(bytes);
  AdapterFolder folder;
  Adaptation adaptation;
  const bool is_read = accepted([&] {
    folder = read_adapter_file(InputFile("fuzz", std::as_bytes(std::span<const char>(content))));
    adaptation = adapt(small_resnet(), folder.spec);
    decode_tensors(folder, adaptation, "fuzz");
  });
  if (!is_read) return 0;
  check_tensors(folder.tensors);
  for (const auto& [name, tensor] : folder.tensors) require(all_finite(tensor), "numbers are finite");
  if (is_incomplete(folder)) return 0;
  require(accepted([&] {
            for (const Parameter& parameter : stored_order(adaptation))
              require(folder.tensors.find(parameter.name)->sizes() == at::IntArrayRef(parameter.shape),
                      "tensors have their shapes");
          }),
          "a complete adapter has its tensors");
  return 0;
}
