#include "image/encode.h"

#include <spng.h>

#include <cstdlib>
#include <memory>

#include "base/error.h"
#include "base/file.h"

namespace lorikeet {

void write_png(const at::Tensor& image, const std::filesystem::path& path) {
  const at::Tensor rows = image.permute({1, 2, 0}).contiguous();  // (H, W, 3)
  const std::unique_ptr<spng_ctx, decltype(&spng_ctx_free)> context(spng_ctx_new(SPNG_CTX_ENCODER), spng_ctx_free);
  spng_set_option(context.get(), SPNG_ENCODE_TO_BUFFER, 1);
  spng_ihdr header{};
  header.width = static_cast<std::uint32_t>(rows.size(1));
  header.height = static_cast<std::uint32_t>(rows.size(0));
  header.bit_depth = 8;
  header.color_type = SPNG_COLOR_TYPE_TRUECOLOR;
  spng_set_ihdr(context.get(), &header);
  int error =
      spng_encode_image(context.get(), rows.const_data_ptr(), rows.nbytes(), SPNG_FMT_PNG, SPNG_ENCODE_FINALIZE);
  std::size_t size = 0;
  const std::unique_ptr<void, decltype(&std::free)> png(spng_get_png_buffer(context.get(), &size, &error), std::free);
  if (png == nullptr || error != 0) fail(path.string(), ": cannot be encoded as PNG: ", spng_strerror(error), ".");
  write_file(path, {static_cast<const char*>(png.get()), size});
}

}  // namespace lorikeet
