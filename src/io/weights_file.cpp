#include "io/weights_file.h"

#include <algorithm>
#include <array>
#include <span>
#include <string_view>

#include "base/bytes.h"
#include "base/error.h"
#include "base/text.h"
#include "io/pytorch_file.h"
#include "io/safetensors.h"

using namespace std::string_view_literals;

namespace lorikeet {
namespace {

constexpr std::uint64_t kMaxSafetensorsHeader = 100'000'000;

std::string first_bytes(const InputFile& file, std::uint64_t count) {
  std::string out(static_cast<std::size_t>(std::min(count, file.size())), '\0');
  file.read(0, std::as_writable_bytes(std::span(out)));
  return out;
}

struct Signature {
  std::string_view begins;
  const char* what;
};
constexpr std::array kSignatures{
    Signature{"\x1f\x8b"sv, "a gzip file (unpack it first)"},
    Signature{"\xfd"
              "7zXZ"sv,
              "an xz file (unpack it first)"},
    Signature{"\x28\xb5\x2f\xfd"sv, "a zstd file (unpack it first)"},
    Signature{"BZh"sv, "a bzip2 file (unpack it first)"},
    Signature{"\x89HDF"sv, "an HDF5 file (Keras, TensorFlow)"},
    Signature{"\x93NUMPY"sv, "a NumPy array"},
    Signature{"GGUF"sv, "a GGUF file"},
    Signature{"version https://git-lfs"sv, "a Git LFS pointer instead of the file (run git lfs pull)"},
    Signature{"\x89PNG"sv, "a PNG image"},
    Signature{"\xff\xd8\xff"sv, "a JPEG image"},
    Signature{"<"sv, "an HTML or XML page (the download went wrong)"},
    Signature{"{"sv, "a JSON text"},
};

}  // namespace

WeightsFormat weights_format(const InputFile& file) {
  const std::string head = first_bytes(file, 9);
  // Checked first, because the length at the start of a safetensors file may look like the start of a pickle.
  if (head.size() == 9 && head[8] == '{' && load_le<std::uint64_t>(head.data()) <= kMaxSafetensorsHeader) {
    return WeightsFormat::kSafetensors;
  }
  if (head.starts_with("PK\x03\x04"sv) || head.starts_with("PK\x05\x06"sv)) return WeightsFormat::kZip;
  if (head.size() >= 2 && head[0] == '\x80' && head[1] >= 2 && head[1] <= 5) return WeightsFormat::kPickle;
  return WeightsFormat::kOther;
}

std::string describe_content(const InputFile& file) {
  if (file.size() == 0) return "an empty file";
  switch (weights_format(file)) {
    case WeightsFormat::kSafetensors: return "a safetensors file";
    case WeightsFormat::kZip: return "a zip archive";
    case WeightsFormat::kPickle: return "a Python pickle";
    case WeightsFormat::kOther: break;
  }
  constexpr std::uint64_t kEnough = 512;  // the signature of a tar archive is at byte 257
  const std::string head = first_bytes(file, kEnough);
  const auto first = head.find_first_not_of(" \t\r\n");
  const std::string_view text =
      first == std::string::npos ? std::string_view(head) : std::string_view(head).substr(first);
  for (const Signature& signature : kSignatures) {
    if (text.starts_with(signature.begins)) return signature.what;
  }
  if (head.size() > 262 && head.compare(257, 5, "ustar") == 0) return "a tar archive (unpack it first)";
  return "a file of an unknown kind";
}

NamedTensors read_weights_file(const std::filesystem::path& path) {
  const InputFile file(path);
  switch (weights_format(file)) {
    case WeightsFormat::kSafetensors: {
      NamedTensors tensors = read_safetensors(file);
      tensors.remove_wrapper_prefixes();
      return tensors;
    }
    case WeightsFormat::kZip:
    case WeightsFormat::kPickle: return read_pytorch_file(file);
    case WeightsFormat::kOther: break;
  }
  fail(path.string(), ": got ", describe_content(file),
       ", expected a safetensors file or a state dict that torch.save wrote.");
}

void check_weights_name(const std::filesystem::path& path) {
  const auto ending = path.extension();
  if (ending == ".safetensors" || ending == ".pth") return;
  fail_usage(printable(path.string()), ": got the ending '", printable(ending.string()),
             "', expected .safetensors or .pth.");
}

void write_weights_file(const std::filesystem::path& path, const NamedTensors& tensors) {
  check_weights_name(path);
  if (path.extension() == ".pth") {
    write_pytorch_file(path, tensors);
    return;
  }
  NamedTensors out = tensors;
  out.metadata.emplace("format", "pt");  // required by some readers
  write_safetensors(path, out);
}

}  // namespace lorikeet
