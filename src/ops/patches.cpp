#include "ops/patches.h"

#include <ATen/Functions.h>

#include "base/error.h"

namespace lorikeet {
namespace {

// Rows and columns of patches of an image.
Pair patch_grid(std::int64_t patch, std::int64_t height, std::int64_t width) {
  return {(height + patch - 1) / patch, (width + patch - 1) / patch};
}

at::Tensor resized(const at::Tensor& image, std::int64_t height, std::int64_t width) {
  if (image.size(2) == height && image.size(3) == width) return image;
  return at::upsample_bilinear2d(image, {height, width}, /*align_corners=*/false);
}

std::string patch_arguments(std::int64_t features, std::int64_t patch) {
  return cat("(", features, ", patch_size=", patch, ")");
}

}  // namespace

std::string UnfoldPatches::arguments() const { return patch_arguments(features, patch); }

Shape UnfoldPatches::output_shape(c10::ArrayRef<Shape> inputs, const std::string&) const {
  const Pair grid = patch_grid(patch, inputs[0][1], inputs[0][2]);
  return {patch * patch, grid[0] * grid[1], features};
}

at::Tensor UnfoldPatches::forward(const NodeTensors&, at::TensorList x) const {
  const Pair grid = patch_grid(patch, x[0].size(2), x[0].size(3));
  const at::Tensor image = resized(x[0], grid[0] * patch, grid[1] * patch);
  const at::Tensor patches = image.unflatten(3, {grid[1], patch}).unflatten(2, {grid[0], patch});
  return patches.permute({0, 3, 5, 2, 4, 1}).flatten(3, 4).flatten(1, 2).contiguous();
}

std::string FoldPatches::arguments() const { return patch_arguments(features, patch); }

at::Tensor FoldPatches::forward(const NodeTensors&, at::TensorList x) const {
  const std::int64_t height = x[1].size(2), width = x[1].size(3);
  const Pair grid = patch_grid(patch, height, width);
  const at::Tensor patches = x[0].unflatten(2, {grid[0], grid[1]}).unflatten(1, {patch, patch});
  const at::Tensor pixels = patches.permute({0, 3, 1, 4, 2, 5}).flatten(3, 4).flatten(1, 2);  // (N, H, W, features)
  return resized(pixels.permute({0, 3, 1, 2}).contiguous(x[1].suggest_memory_format()), height, width);
}

}  // namespace lorikeet
