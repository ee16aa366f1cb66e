// The preprocessing of an image (image/transform.h) as ONNX operators on uint8 images (N, H, W, 3) of one size.
//
// Resizing follows Pillow (image/resample.h): for each axis, the matrix of its fixed-point weights is computed from the
// image size in double, and multiplied with the image. Double represents these products and sums exactly, so the bytes
// equal Pillow's. ONNX's Resize is not used: in onnxruntime, its antialiased bilinear mode weights the border
// differently, by up to 17 of 255 on noise.
#pragma once

#include <string>

#include "image/preprocessing.h"
#include "io/onnx.h"

namespace lorikeet {

/// Appends the operators that convert the value `images` to float32 (N, 3, h, w), normalised, and returns the result's
/// name. Throws UsageError if the crop is not inside the resized image. All names start with "preprocess.".
std::string add_preprocessing(OnnxModel& model, const std::string& images, const Preprocessing& preprocessing);

}  // namespace lorikeet
