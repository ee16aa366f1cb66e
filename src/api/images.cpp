#include "api/images.h"

#include <ATen/Functions.h>

#include <string>
#include <string_view>

#include "base/error.h"
#include "base/text.h"
#include "graph/shapes.h"
#include "image/decode.h"
#include "image/transform.h"

namespace fs = std::filesystem;

namespace lorikeet {
namespace {

// Returns a uint8 (3, H, W) view of the caller's pixels.
at::Tensor view_of(const RgbImage& image, const std::string& where) {
  check_image_size(image.width, image.height, where);
  const std::int64_t row = 3 * image.width;
  const std::int64_t stride = image.stride == 0 ? row : image.stride;
  const auto size = static_cast<std::int64_t>(image.pixels.size());
  if (stride < row)
    fail_usage(where, ": got a stride of ", counted(stride, "byte"), ", expected 0 or at least ", row, ".");
  // Written so that no stride overflows.
  if (size < row || (image.height > 1 && (size - row) / (image.height - 1) < stride)) {
    fail_usage(where, ": got ", counted(size, "byte"), " of pixels, expected ", counted(image.height, "row"), " of ",
               row, " bytes with a stride of ", stride, ".");
  }
  return at::from_blob(const_cast<std::uint8_t*>(image.pixels.data()), {3, image.height, image.width}, {1, stride, 3},
                       at::TensorOptions().dtype(at::kByte));
}

struct Pixels {
  std::string where;
  Exif exif;

  at::Tensor operator()(const fs::path& path) const { return read_image(path, exif); }
  at::Tensor operator()(const EncodedImage& image) const {
    return decode_image({reinterpret_cast<const char*>(image.bytes.data()), image.bytes.size()}, where, exif);
  }
  at::Tensor operator()(const RgbImage& image) const { return view_of(image, where); }
};

}  // namespace

std::string name_of(const Image& image, std::size_t index) {
  if (const auto* path = std::get_if<fs::path>(&image)) return path->string();
  if (const auto* encoded = std::get_if<EncodedImage>(&image); encoded != nullptr && !encoded->name.empty())
    return printable(encoded->name);
  return cat("images[", index, "]");
}

at::Tensor network_input(const Image& image, std::size_t index, const Preprocessing& preprocessing) {
  const at::Tensor pixels = std::visit(Pixels{name_of(image, index), preprocessing.exif}, image);
  return normalise(prepare(pixels, preprocessing).unsqueeze(0), preprocessing);
}

void check_fits(const Graph& graph, const at::Tensor& batch, const std::string& name) {
  try {
    infer_shapes(graph, batch.size(2), batch.size(3));
  } catch (const UsageError& error) {
    fail(name, ": ", error.what());  // an image of another size is refused alone
  }
}

}  // namespace lorikeet
