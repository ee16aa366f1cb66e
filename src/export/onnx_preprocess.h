// An image's way to the network (image/transform.h) as ONNX operators, on uint8 images (N, H, W, 3) of one size.
//
// The resize is Pillow's (image/resample.h): for each axis a matrix of its fixed-point weights is computed from the
// image's size, in double, and multiplied with the image. Double holds these products and sums exactly, so that the
// bytes are Pillow's. ONNX's own Resize is not used: onnxruntime's antialiased bilinear one weights the border
// differently, by up to 17 of 255 on noise.
#pragma once

#include <string>

#include "image/preprocessing.h"
#include "io/onnx.h"

namespace lorikeet {

/// Appends the operators that lead from the value `images` to float32 (N, 3, h, w), normalised, and gives the name of
/// that. Throws UsageError if the crop is not inside the resized image. All names begin with "preprocess.".
std::string add_preprocessing(OnnxModel& model, const std::string& images, const Preprocessing& preprocessing);

}  // namespace lorikeet
