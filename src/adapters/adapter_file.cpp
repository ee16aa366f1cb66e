#include "adapters/adapter_file.h"

#include <algorithm>
#include <array>
#include <set>
#include <span>
#include <utility>

#include "adapters/adapter_file_header.h"
#include "adapters/unilora.h"
#include "base/error.h"
#include "base/text.h"
#include "graph/parameter_values.h"
#include "io/deflate.h"

namespace fs = std::filesystem;

namespace lorikeet {
namespace {

// A byte that is not ASCII, so that the file is not taken for text; then the version.
constexpr std::string_view kMagic("\x89LK", 3);
constexpr char kVersion = 1;
constexpr std::size_t kShaBytes = 32;
constexpr std::size_t kChecksumBytes = 4;
constexpr std::uint64_t kMaxFile = 4ULL << 30;
constexpr std::size_t kMaxHeaderText = 16 << 20;
constexpr int kMaxLengthBytes = 4;
constexpr double kMostIndex = 1 << 24;   // indices are stored in float32
constexpr const char* kInput = "input";  // of the activation ranges

std::string checksum(std::string_view bytes) {
  const std::uint32_t crc = crc32_of(bytes);
  std::string out;
  for (int i = 0; i < 4; ++i) out.push_back(static_cast<char>(crc >> (8 * i)));
  return out;
}

// LEB128: seven bits a byte, the lowest first.
std::string length_bytes(std::size_t length) {
  std::string out;
  for (; length >= 0x80; length >>= 7) out.push_back(static_cast<char>(length | 0x80));
  out.push_back(static_cast<char>(length));
  return out;
}

// Reads from the start of `bytes` and removes it.
std::size_t take_length(std::string_view& bytes, const std::string& where) {
  std::size_t out = 0;
  for (int i = 0; i < kMaxLengthBytes && !bytes.empty(); ++i) {
    const auto each = static_cast<unsigned char>(bytes.front());
    bytes.remove_prefix(1);
    out |= static_cast<std::size_t>(each & 0x7f) << (7 * i);
    if (each >= 0x80) continue;
    if (each == 0 && i > 0) break;  // a byte too many
    return out;
  }
  fail(where, ": got a damaged length of the header.");
}

std::string from_hex(const std::string& digits) {
  std::string out;
  for (std::size_t i = 0; i + 1 < digits.size(); i += 2)
    out.push_back(static_cast<char>(std::stoi(digits.substr(i, 2), nullptr, 16)));
  return out;
}

std::string to_hex(std::string_view bytes) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string out;
  for (const char each : bytes) {
    out.push_back(kDigits[static_cast<unsigned char>(each) >> 4]);
    out.push_back(kDigits[static_cast<unsigned char>(each) & 0xf]);
  }
  return out;
}

bool begins_as_adapter(const fs::path& path) {
  try {
    const InputFile file(path);
    std::array<char, kMagic.size()> begin{};
    if (file.size() < begin.size()) return false;
    file.read(0, std::as_writable_bytes(std::span(begin)));
    return std::string_view(begin.data(), begin.size()) == kMagic;
  } catch (const Error&) {
    return false;  // whoever opens it says why it cannot be read
  }
}

// Checks what comes before the header, and returns the header's length.
std::size_t header_length(const InputFile& file, const std::string& where) {
  constexpr std::uint64_t kLeast = kMagic.size() + 1 + 1 + kShaBytes + kChecksumBytes;
  if (file.size() > kMaxFile)
    fail(where, ": got ", human_bytes(file.size()), ", expected at most ", human_bytes(kMaxFile), ".");
  constexpr std::uint64_t kMostBefore = kMagic.size() + 1 + kMaxLengthBytes;
  std::string begin(std::min(file.size(), kMostBefore), '\0');
  file.read(0, std::as_writable_bytes(std::span(begin)));
  std::string_view rest = begin;
  if (!rest.starts_with(kMagic)) fail(where, ": got another format, expected the file of an adapter.");
  if (file.size() < kLeast)
    fail(where, ": got ", counted(file.size(), "byte"), ", expected an adapter. The file is truncated.");
  if (const char version = rest[kMagic.size()]; version != kVersion)
    fail(where, ": got version ", static_cast<int>(static_cast<unsigned char>(version)), ", expected ",
         static_cast<int>(kVersion), ". Use a newer Lorikeet.");
  rest.remove_prefix(kMagic.size() + 1);
  const std::size_t length = take_length(rest, where);
  const std::uint64_t left = file.size() - (begin.size() - rest.size()) - kShaBytes - kChecksumBytes;
  if (file.size() < begin.size() - rest.size() + kShaBytes + kChecksumBytes || length > left)
    fail(where, ": got a header of ", counted(length, "byte"), ", which the file does not have. It is damaged.");
  return length;
}

// The steps that may have a range, in the order in which their flags are stored.
std::set<std::string> ranged_steps(const Graph& graph) {
  std::set<std::string> out{kInput};
  for (NodeId id = 1; id < graph.nodes().size(); ++id) out.insert(graph.node(id).name);
  return out;
}

void encode_ranges(const ActivationRanges& ranges, const Graph& graph, TensorEncoder& encoder) {
  for (const std::string& step : ranged_steps(graph)) {
    const auto found = ranges.find(step);
    encoder.add_flag(found != ranges.end());
    if (found != ranges.end()) encoder.add_floats({found->second.first, found->second.second});
  }
}

ActivationRanges decode_ranges(const Graph& graph, TensorDecoder& decoder, const std::string& where) {
  ActivationRanges out;
  for (const std::string& step : ranged_steps(graph)) {
    if (!decoder.next_flag()) continue;
    const std::vector<float> range = decoder.next_floats(2, "activation_ranges." + step);
    if (range[0] > range[1])
      fail(where, ": activation_ranges: ", step, ": got ", range[0], " to ", range[1], ", expected [least, greatest].");
    out.emplace(step, std::pair(range[0], range[1]));
  }
  return out;
}

}  // namespace

bool has_adapter_file_ending(const fs::path& path) { return path.extension() == kAdapterFileEnding; }

bool is_adapter_file(const fs::path& path) {
  std::error_code error;
  return fs::is_regular_file(path, error) && (has_adapter_file_ending(path) || begins_as_adapter(path));
}

bool is_adapter(const fs::path& path) { return is_adapter_folder(path) || is_adapter_file(path); }

AdapterFolder read_adapter(const fs::path& path) {
  if (std::error_code ignored; !fs::exists(path, ignored))
    fail(printable(path.string()), ": not found, expected the folder or file of an adapter.");
  return is_adapter_file(path) ? read_adapter_file(InputFile(path)) : read_adapter_folder(path);
}

AdapterFolder read_adapter_file(const InputFile& file) {
  const std::string where = file.path().string();
  const std::size_t length = header_length(file, where);  // before the whole is read: it may be anything
  std::string content(file.size(), '\0');
  file.read(0, std::as_writable_bytes(std::span(content)));
  std::string_view rest = content;
  const std::string_view sum = rest.substr(rest.size() - kChecksumBytes);
  rest.remove_suffix(kChecksumBytes);
  if (checksum(rest) != sum)
    fail(where, ": got another checksum than that of its content. The file is damaged or truncated; copy it again.");
  rest.remove_prefix(kMagic.size() + 1 + length_bytes(length).size());

  AdapterFolder out;
  const std::string header_name = where + ": header";
  const std::string text = inflate_text(rest.substr(0, length), header_dictionary(), kMaxHeaderText, header_name);
  rest.remove_prefix(length);
  const std::string sha256 = to_hex(rest.substr(0, kShaBytes));
  rest.remove_prefix(kShaBytes);
  out.metadata = parse_small_header(parse_json(text, header_name), sha256, header_name, out.spec);
  out.file = AdapterFileParts{.bytes = file.size(), .header_bytes = length, .coded = std::string(rest)};
  return out;
}

std::vector<Parameter> stored_order(const Adaptation& adaptation) {
  std::vector<Parameter> out = adapter_parameters(adaptation);
  std::sort(out.begin(), out.end(), [](const Parameter& a, const Parameter& b) { return a.name < b.name; });
  const auto is_same = [](const Parameter& a, const Parameter& b) { return a.name == b.name; };
  out.erase(std::unique(out.begin(), out.end(), is_same), out.end());
  return out;
}

std::string base_tensor_of(const Adaptation& adaptation, const Parameter& parameter) {
  const auto& head = adaptation.head;
  if (adaptation.replaced == parameter.node || std::find(head.begin(), head.end(), parameter.node) != head.end())
    return "";
  std::string name = parameter.name;
  for (const std::string_view inserted : {".base_layer", ".ln_tuning_layers"}) {
    if (const std::size_t at = name.rfind(inserted); at != std::string::npos) name.erase(at, inserted.size());
  }
  for (const Parameter& own : adaptation.graph.parameters(parameter.node)) {
    if (own.name == name && own.shape == parameter.shape) return name;
  }
  return "";
}

bool has_start(const Adaptation& adaptation, const Parameter& parameter) {
  constexpr std::array<std::string_view, 2> kScales{".ia3_l", ".lora_magnitude_vector"};
  return parameter.buffer || !base_tensor_of(adaptation, parameter).empty() ||
         std::any_of(kScales.begin(), kScales.end(),
                     [&](std::string_view suffix) { return parameter.name.ends_with(suffix); });
}

void decode_tensors(AdapterFolder& folder, const Adaptation& adaptation, const std::string& where) {
  if (!folder.file || !folder.file->tensors.empty()) return;
  const std::string coded = std::exchange(folder.file->coded, {});
  TensorDecoder decoder(coded, where);
  for (const Parameter& parameter : stored_order(adaptation)) {
    TensorDecoder::Stored stored = decoder.next(parameter.shape, has_start(adaptation, parameter), parameter.name);
    folder.file->tensors.push_back({parameter.name, parameter.shape, stored.coding});
    if (!stored.values.defined()) continue;
    folder.tensors.add(parameter.name, is_index_tensor(parameter.name) ? stored.values.to(at::kLong) : stored.values);
  }
  if (folder.metadata->precision == Precision::kInt8)
    folder.metadata->activation_ranges = decode_ranges(adaptation.graph, decoder, where);
  decoder.finish();
}

bool is_incomplete(const AdapterFolder& folder) {
  return folder.file &&
         std::any_of(folder.file->tensors.begin(), folder.file->tensors.end(), [](const StoredTensor& tensor) {
           return tensor.coding.form == TensorForm::kStart || tensor.coding.form == TensorForm::kLevelsOnStart;
         });
}

void complete_tensors(AdapterFolder& folder, const NamedTensors& start) {
  if (!folder.file) return;
  for (const StoredTensor& tensor : folder.file->tensors) {
    const at::Tensor* own = start.find(tensor.name);
    if (tensor.coding.form == TensorForm::kStart) folder.tensors.set(tensor.name, *own);
    if (tensor.coding.form == TensorForm::kLevelsOnStart)
      folder.tensors.set(tensor.name, added_to_start(*own, *folder.tensors.find(tensor.name)));
  }
}

StoredBits StoredPrecision::of(const Parameter& parameter) const {
  if (parameter.buffer) return kFloat32Bits;
  if (const auto found = by_tensor.find(parameter.name); found != by_tensor.end()) return found->second;
  return parameter.shape.size() > 1 ? bits : std::max(bits, kMostLevelBits);
}

namespace {

// Of what is stored; 0 for a tensor that is not.
StoredBits bits_of(const TensorCoding& coding) {
  switch (coding.form) {
    case TensorForm::kStart:
    case TensorForm::kZero: return 0;
    case TensorForm::kFloat32: return kFloat32Bits;
    case TensorForm::kBFloat16: return kBFloat16Bits;
    case TensorForm::kLevels:
    case TensorForm::kLevelsOnStart: return coding.bits;
  }
  return 0;
}

// Whether the file has levels, or bfloat16 alone: a float32 file has that where it is exact.
bool is_rounded(const AdapterFileParts& file) {
  bool has_bfloat16 = false, has_float32 = false;
  for (const StoredTensor& tensor : file.tensors) {
    const StoredBits bits = bits_of(tensor.coding);
    if (bits > 0 && bits < kBFloat16Bits) return true;
    has_bfloat16 = has_bfloat16 || bits == kBFloat16Bits;
    has_float32 = has_float32 || bits == kFloat32Bits;
  }
  return has_bfloat16 && !has_float32;
}

}  // namespace

StoredPrecision same_precision(const AdapterFileParts& file) {
  StoredPrecision out;
  for (const StoredTensor& tensor : file.tensors) {
    const StoredBits bits = bits_of(tensor.coding);
    out.by_tensor[tensor.name] = bits == 0 ? kFloat32Bits : bits;
    if (tensor.coding.scale > 0) out.scales[tensor.name] = {bits, tensor.coding.scale};
  }
  return out;
}

std::string precision_name(const AdapterFileParts& file) {
  std::set<StoredBits> found;
  for (const std::size_t least_dimensions : {2U, 0U}) {
    for (const StoredTensor& tensor : file.tensors) {
      if (tensor.shape.size() >= least_dimensions) found.insert(bits_of(tensor.coding));
    }
    found.erase(0);
    if (!found.empty()) break;
  }
  if (found.empty()) return stored_bits_name(kFloat32Bits);
  const std::string least = stored_bits_name(*found.begin());
  return found.size() == 1 ? least : cat(least, " to ", stored_bits_name(*found.rbegin()));
}

void forget_accuracies_before_rounding(AdapterFolder& folder) {
  if (!folder.file || !folder.metadata || !folder.metadata->training.is_object() || !is_rounded(*folder.file)) return;
  for (const char* split : {"test", "validation"}) folder.metadata->training.erase(split);
}

EncodedAdapter encode_adapter(const AdapterFolder& folder, const Adaptation& adaptation, const NamedTensors& start,
                              const StoredPrecision& precision) {
  if (!folder.metadata) fail("adapter: got none of lorikeet.json's fields, expected those of its base.");
  check_adapter_tensors(folder.tensors, adaptation, "adapter");
  EncodedAdapter out;
  const std::string header = deflate_text(json_text(small_header(folder.spec, *folder.metadata)), header_dictionary());
  out.header_bytes = header.size();
  TensorEncoder encoder;
  for (const Parameter& parameter : stored_order(adaptation)) {
    TensorToStore tensor{*folder.tensors.find(parameter.name), {}, precision.of(parameter)};
    const auto scale = precision.scales.find(parameter.name);
    if (scale != precision.scales.end() && scale->second.first == tensor.bits) tensor.scale = scale->second.second;
    if (is_index_tensor(parameter.name) && tensor.values.numel() > 0 && tensor.values.max().item<double>() > kMostIndex)
      fail("adapter: ", parameter.name, ": got an index above ", kMostIndex, ", which a file cannot hold.");
    if (has_start(adaptation, parameter)) tensor.start = *start.find(parameter.name);
    out.tensors.push_back({parameter.name, parameter.shape, encoder.add(tensor)});
  }
  if (folder.metadata->precision == Precision::kInt8)
    encode_ranges(folder.metadata->activation_ranges, adaptation.graph, encoder);
  out.bytes = std::string(kMagic) + kVersion + length_bytes(header.size()) + header +
              from_hex(folder.metadata->base_sha256) + encoder.finish();
  out.bytes += checksum(out.bytes);
  return out;
}

void check_adapter_file_destination(const fs::path& path, const std::vector<fs::path>& sources) {
  std::error_code error;
  if (!fs::exists(path, error)) return;
  for (const fs::path& source : sources) {
    if (fs::equivalent(source, path, error))
      fail_usage(path.string(), ": got the adapter that is read, expected another file to write to.");
  }
  if (fs::is_directory(path, error)) fail(path.string(), ": got a folder, expected the name of a file.");
  if (!fs::is_empty(path, error) && !begins_as_adapter(path))
    fail(path.string(), ": got a file that is not an adapter's, expected an adapter's or an unused name.");
}

void check_new_adapter(const fs::path& path, const std::vector<fs::path>& sources) {
  if (has_adapter_file_ending(path)) {
    check_adapter_file_destination(path, sources);
  } else {
    check_adapter_destination(path, sources);
  }
}

}  // namespace lorikeet
