#include "image/transform.h"

#include <ATen/Functions.h>
#include <ATen/Parallel.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <array>
#include <vector>

#include "base/error.h"
#include "base/text.h"
#include "image/decode.h"
#include "image/resample.h"

namespace lorikeet {
namespace {

struct Size {
  std::int64_t height;
  std::int64_t width;
};

// Resizes the shorter side to `shorter`. The longer one is computed as in Python: in double, rounded down.
Size resized(Size from, std::int64_t shorter, bool squash = false) {
  if (squash) return {shorter, shorter};
  const auto longer = [&](std::int64_t longest, std::int64_t shortest) {
    return static_cast<std::int64_t>(static_cast<double>(shorter * longest) / static_cast<double>(shortest));
  };
  if (from.width <= from.height) return {longer(from.height, from.width), shorter};
  return {shorter, longer(from.width, from.height)};
}

// Python's int(round((size - crop) / 2)), which rounds half to even, or (size - crop) // 2.
std::int64_t crop_offset(std::int64_t size, std::int64_t crop, bool rounds_down) {
  const std::int64_t spare = size - crop;
  if (rounds_down) return spare / 2;
  return spare / 2 + (spare % 2 != 0 && spare / 2 % 2 != 0 ? 1 : 0);
}

// The part of an image of `size` that a centre crop keeps.
Region cropped(Size size, std::int64_t crop, bool rounds_down) {
  Region region{0, 0, std::min(size.height, crop), std::min(size.width, crop)};
  region.top = crop_offset(size.height, region.height, rounds_down);
  region.left = crop_offset(size.width, region.width, rounds_down);
  return region;
}

Size size_of(const at::Tensor& image) {
  TORCH_INTERNAL_ASSERT(image.dim() == 3 && image.numel() > 0);
  return {image.size(1), image.size(2)};
}

at::Tensor pad_to(const at::Tensor& image, std::int64_t size) {
  if (image.size(1) == size && image.size(2) == size) return image;
  at::Tensor out = at::zeros({size, size, image.size(0)}, image.options()).permute({2, 0, 1});
  out.narrow(1, (size - image.size(1)) / 2, image.size(1))
      .narrow(2, (size - image.size(2)) / 2, image.size(2))
      .copy_(image);
  return out;
}

// Returns an interleaved tensor that shares no memory with a larger image.
at::Tensor compact(const at::Tensor& image) {
  const at::Tensor interleaved = image.permute({1, 2, 0});
  const bool alone = interleaved.is_contiguous() && interleaved.storage().nbytes() == interleaved.nbytes();
  return (alone ? interleaved : interleaved.clone(at::MemoryFormat::Contiguous)).permute({2, 0, 1});
}

}  // namespace

at::Tensor resize_shorter_side(const at::Tensor& image, int size, Interpolation interpolation) {
  TORCH_INTERNAL_ASSERT(size > 0);
  const Size from = size_of(image);
  const Size to = resized(from, size);
  if (to.height > kMaxPixels / to.width) {
    fail("resize: got an image of ", from.width, " x ", from.height, " pixels, which would become ", to.width, " x ",
         to.height, ", expected at most ", with_commas(kMaxPixels), " pixels. Crop it first.");
  }
  if (to.height == from.height && to.width == from.width) return image;
  return resample(image, to.height, to.width, {0, 0, to.height, to.width}, interpolation);
}

at::Tensor center_crop(const at::Tensor& image, int size, bool rounds_down) {
  TORCH_INTERNAL_ASSERT(size > 0);
  const Region keep = cropped(size_of(image), size, rounds_down);
  return pad_to(image.narrow(1, keep.top, keep.height).narrow(2, keep.left, keep.width), size);
}

at::Tensor prepare(const at::Tensor& image, const Preprocessing& preprocessing) {
  const Size from = size_of(image);
  const int crop = preprocessing.crop;
  const bool rounds_down = preprocessing.crop_rounds_down;
  const Interpolation interpolation = preprocessing.interpolation;
  if (preprocessing.resize == 0) return compact(crop == 0 ? image : center_crop(image, crop, rounds_down));
  if (crop == 0 && !preprocessing.squash)
    return compact(resize_shorter_side(image, preprocessing.resize, interpolation));
  const Size to = resized(from, preprocessing.resize, preprocessing.squash);
  if (to.height == from.height && to.width == from.width)
    return compact(crop == 0 ? image : center_crop(image, crop, rounds_down));
  if (crop == 0) return compact(resample(image, to.height, to.width, {0, 0, to.height, to.width}, interpolation));
  const Region keep = cropped(to, crop, rounds_down);
  return compact(pad_to(resample(image, to.height, to.width, keep, interpolation), crop));
}

at::Tensor normalise(const at::Tensor& batch, const Preprocessing& preprocessing) {
  TORCH_INTERNAL_ASSERT(batch.dim() == 4 && batch.size(1) == 3 && batch.scalar_type() == at::kByte);
  // A byte has 256 values, so a table can hold all results, computed in torchvision's order in float32.
  std::array<std::array<float, 256>, 3> table;
  for (std::size_t c = 0; c < 3; ++c) {
    const auto mean = static_cast<float>(preprocessing.mean[c]);
    const auto deviation = static_cast<float>(preprocessing.std[c]);
    for (std::size_t x = 0; x < 256; ++x) table[c][x] = (static_cast<float>(x) / 255.0f - mean) / deviation;
  }
  if (!batch.is_cpu()) {
    const at::Tensor values = at::from_blob(table.data(), {3, 256}, at::kFloat);
    const at::Tensor low = values.select(1, 0).reshape({1, 3, 1, 1}).to(batch.device());
    const at::Tensor step = values.select(1, 255).reshape({1, 3, 1, 1}).to(batch.device()).sub(low).div_(255);
    const at::Tensor pixels = preprocessing.bgr ? batch.flip(1) : batch;
    return at::addcmul(low, pixels.to(at::kFloat, false, false, at::MemoryFormat::ChannelsLast), step);
  }

  const std::int64_t pixels = batch.size(2) * batch.size(3);
  const bool rows_adjoin =
      batch.stride(2) == batch.size(3) * batch.stride(3);  // all pixels of an image have the same stride
  const at::Tensor input = rows_adjoin ? batch : batch.contiguous(at::MemoryFormat::ChannelsLast);
  const std::int64_t image_stride = input.stride(0), channel_stride = input.stride(1), pixel_stride = input.stride(3);
  const std::int64_t first = preprocessing.bgr ? 2 * channel_stride : 0;
  const std::int64_t last = 2 * channel_stride - first;
  at::Tensor out = at::empty(batch.sizes(), batch.options().dtype(at::kFloat), at::MemoryFormat::ChannelsLast);
  const std::uint8_t* from = input.const_data_ptr<std::uint8_t>();
  float* to = out.mutable_data_ptr<float>();
  constexpr std::int64_t kPixelsPerTask = 16'384;
  at::parallel_for(0, batch.size(0) * pixels, kPixelsPerTask, [&](std::int64_t begin, std::int64_t end) {
    while (begin < end) {  // an image, or its part in this task
      const std::int64_t image = begin / pixels, stop = std::min(end, (image + 1) * pixels);
      const std::uint8_t* pixel = from + image * image_stride + (begin - image * pixels) * pixel_stride;
      for (float* out_pixel = to + begin * 3; begin < stop; ++begin, pixel += pixel_stride, out_pixel += 3) {
        out_pixel[0] = table[0][pixel[first]];
        out_pixel[1] = table[1][pixel[channel_stride]];
        out_pixel[2] = table[2][pixel[last]];
      }
    }
  });
  return out;
}

}  // namespace lorikeet
