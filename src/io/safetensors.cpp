#include "io/safetensors.h"

#include <ATen/Functions.h>

#include <algorithm>
#include <array>
#include <optional>
#include <span>

#include "base/bytes.h"
#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "base/text.h"

namespace lorikeet {
namespace {

constexpr std::uint64_t kMaxHeader = 100'000'000;  // the limit of the reference implementation

struct SafetensorsType {
  const char* name;
  at::ScalarType type;
};
constexpr std::array<SafetensorsType, 11> kSafetensorsTypes{{{"F32", at::kFloat},
                                                             {"F64", at::kDouble},
                                                             {"F16", at::kHalf},
                                                             {"BF16", at::kBFloat16},
                                                             {"I64", at::kLong},
                                                             {"I32", at::kInt},
                                                             {"I16", at::kShort},
                                                             {"I8", at::kChar},
                                                             {"U8", at::kByte},
                                                             {"BOOL", at::kBool},
                                                             {"F8_E4M3", at::kFloat8_e4m3fn}}};

struct Record {
  std::string name;
  at::ScalarType type;
  std::vector<std::int64_t> shape;
  std::uint64_t begin;
  std::uint64_t end;
};

std::uint64_t unsigned_number(const Json& value, const std::string& where, const char* what) {
  if (!value.is_number_unsigned()) fail(where, ": got ", json_kind(value), " as ", what, ", expected an integer.");
  return value.get<std::uint64_t>();
}

Record parse_record(const std::string& name, const Json& value, const std::string& where) {
  if (!value.is_object()) fail(where, ": got ", json_kind(value), ", expected {dtype, shape, data_offsets}.");
  for (const auto& [key, unused] : value.items()) {
    if (key != "dtype" && key != "shape" && key != "data_offsets") {
      fail(where, ": got the key '", printable(key), "', expected dtype, shape and data_offsets only.");
    }
  }
  if (value.size() != 3)
    fail(where, ": got ", counted(value.size(), "key"), ", expected dtype, shape and data_offsets.");

  Record record{name, at::kFloat, {}, 0, 0};
  const Json& dtype = value["dtype"];
  const auto known = std::find_if(kSafetensorsTypes.begin(), kSafetensorsTypes.end(),
                                  [&](const SafetensorsType& d) { return dtype == d.name; });
  if (known == kSafetensorsTypes.end())
    fail(where, ": got dtype ", printable(dtype.dump(), 40), ", expected F32, F16, BF16, I64 or another known one.");
  record.type = known->type;

  const Json& shape = value["shape"];
  if (!shape.is_array() || shape.size() > kMaxTensorRank)
    fail(where, ": got a shape that is not a list of at most ", kMaxTensorRank, " sizes.");
  std::uint64_t capacity =
      c10::elementSize(record.type);  // sizes of 0 count as 1, because strides are products of the others
  bool is_empty = false;
  for (const auto& size : shape) {
    const std::uint64_t n = unsigned_number(size, where, "a size");
    const auto product = checked_mul(capacity, std::max<std::uint64_t>(n, 1));
    if (!product || *product > INT64_MAX)
      fail(where, ": got the shape ", printable(shape.dump()), ", expected one whose size fits 64 bits.");
    capacity = *product;
    is_empty = is_empty || n == 0;
    record.shape.push_back(static_cast<std::int64_t>(n));
  }
  const std::uint64_t bytes = is_empty ? 0 : capacity;

  const Json& offsets = value["data_offsets"];
  if (!offsets.is_array() || offsets.size() != 2) fail(where, ": got data_offsets that are not [begin, end].");
  record.begin = unsigned_number(offsets[0], where, "an offset");
  record.end = unsigned_number(offsets[1], where, "an offset");
  if (record.end < record.begin || record.end - record.begin != bytes) {
    fail(where, ": got data_offsets ", offsets.dump(), ", expected ", counted(bytes, "byte"), " for the shape ",
         shape.dump(), ".");
  }
  return record;
}

}  // namespace

NamedTensors read_safetensors(const std::filesystem::path& path) { return read_safetensors(InputFile(path)); }

NamedTensors read_safetensors(const InputFile& file) {
  const std::string path = file.path().string();
  std::array<std::byte, 8> prefix{};
  if (file.size() < prefix.size())
    fail(path, ": got ", counted(file.size(), "byte"),
         ", expected a safetensors file. It is truncated or has another format.");
  file.read(0, prefix);
  const auto header_size = load_le<std::uint64_t>(prefix.data());
  if (header_size > kMaxHeader || header_size > file.size() - prefix.size()) {
    fail(path, ": got a header of ", counted(header_size, "byte"), " in a file of ", with_commas(file.size()),
         ", expected less. It is truncated or not a safetensors file.");
  }
  std::string header(header_size, '\0');
  file.read(prefix.size(), std::as_writable_bytes(std::span(header)));
  const Json root = parse_json(header, path, 8);
  if (!root.is_object()) fail(path, ": got ", json_kind(root), " as the header, expected an object.");

  NamedTensors out;
  std::vector<Record> records;
  for (const auto& [name, value] : root.items()) {
    if (name != "__metadata__") {
      records.push_back(parse_record(name, value, cat(path, ": tensor '", printable(name), "'")));
      continue;
    }
    if (!value.is_object()) fail(path, ": got ", json_kind(value), " as __metadata__, expected an object of texts.");
    for (const auto& [key, text] : value.items()) {
      if (!text.is_string()) fail(path, ": got ", json_kind(text), " in __metadata__, expected a text.");
      out.metadata[key] = text.get<std::string>();
    }
  }

  std::stable_sort(records.begin(), records.end(), [](const Record& a, const Record& b) {
    return std::pair(a.begin, a.end) < std::pair(b.begin, b.end);
  });
  const std::uint64_t data_start = prefix.size() + header_size;
  std::uint64_t expected = 0;
  for (const auto& record : records) {
    if (record.begin != expected) {
      fail(path, ": tensor '", printable(record.name), "': got data that starts at ", record.begin, ", expected ",
           expected, ". Tensors may neither overlap nor leave gaps.");
    }
    expected = record.end;
  }
  if (expected != file.size() - data_start) {
    fail(path, ": got ", counted(file.size() - data_start, "byte"), " of data, expected ", with_commas(expected),
         expected > file.size() - data_start ? ". The file is truncated." : ". There is data after the tensors.");
  }

  for (const auto& record : records) {
    at::Tensor tensor = at::empty(record.shape, at::TensorOptions().dtype(record.type));
    file.read(data_start + record.begin, std::span(static_cast<std::byte*>(tensor.data_ptr()),
                                                   static_cast<std::size_t>(record.end - record.begin)));
    out.add(record.name, std::move(tensor));
  }
  return out;
}

void write_safetensors(const std::filesystem::path& path, const NamedTensors& tensors) {
  Json header = Json::object();
  if (!tensors.metadata.empty()) header["__metadata__"] = tensors.metadata;
  std::uint64_t offset = 0;
  for (const auto& [name, tensor] : tensors) {
    const auto known = std::find_if(kSafetensorsTypes.begin(), kSafetensorsTypes.end(),
                                    [&](const SafetensorsType& d) { return d.type == tensor.scalar_type(); });
    if (known == kSafetensorsTypes.end())
      fail(path.string(), ": tensor '", name, "': got dtype ", c10::toString(tensor.scalar_type()),
           ", which safetensors does not have.");
    header[name] = {
        {"dtype", known->name}, {"shape", tensor.sizes().vec()}, {"data_offsets", {offset, offset + tensor.nbytes()}}};
    offset += tensor.nbytes();
  }
  std::string text = header.dump();
  text.append((8 - text.size() % 8) % 8, ' ');

  AtomicFile file(path);
  const std::uint64_t length = text.size();
  file.write(&length, sizeof(length));
  file.write(text);
  for (const auto& [name, tensor] : tensors) {
    const at::Tensor plain = tensor.detach().cpu().contiguous();
    file.write(plain.data_ptr(), plain.nbytes());
  }
  file.commit();
}

}  // namespace lorikeet
