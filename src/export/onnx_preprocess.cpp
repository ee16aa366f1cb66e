#include "export/onnx_preprocess.h"

#include <ATen/Functions.h>

#include <array>

#include "base/error.h"
#include "base/text.h"

namespace lorikeet {
namespace {

using Names = std::vector<std::string>;
using Ints = std::vector<std::int64_t>;

// TensorProto.DataType
constexpr std::int64_t kOnnxFloat = 1, kOnnxDouble = 11;

constexpr double kFixedPoint = 1 << 22;  // Pillow's weights are multiples of 1 / this

// Appends nodes and constants, all with names that start with "preprocess.".
class Steps {
 public:
  explicit Steps(OnnxModel& model) : model_(model) {}

  std::string add(const char* op, const std::string& part, Names inputs, std::vector<OnnxAttribute> attributes = {}) {
    model_.nodes.push_back({op, "preprocess." + part, std::move(inputs), std::move(attributes)});
    return model_.nodes.back().output;
  }

  std::string integer(std::int64_t value) {
    return constant(std::to_string(value), at::scalar_tensor(value, at::kLong));
  }
  std::string real(double value) { return constant(cat(value, ".double"), at::scalar_tensor(value, at::kDouble)); }
  std::string axis(std::int64_t value) { return constant(cat("axis_", value), at::full({1}, value, at::kLong)); }
  std::string constant(const std::string& part, const at::Tensor& value) {
    const std::string name = "preprocess.constant." + part;
    if (!model_.initialisers.contains(name)) model_.initialisers.add(name, value);
    return name;
  }

 private:
  OnnxModel& model_;
};

// One axis: the sizes of the image and the resized image, and the range of the latter that is kept.
struct Axis {
  std::string name;  // "rows" or "columns"
  std::string from, to;
  std::string begin, length;

  std::string part(const char* what) const { return name + "." + what; }
};

// Of a crop's rest, half goes before; of an odd rest the odd pixel goes to the even side, as Python rounds, or after.
Axis make_axis(Steps& steps, const char* name, const std::string& from, const std::string& shorter,
               const Preprocessing& preprocessing) {
  Axis axis{name, from, "", "", ""};
  // The shorter side becomes `resize`, the longer ⌊resize · long / short⌋; or both become `resize`.
  const std::string resize = steps.integer(preprocessing.resize);
  axis.to = preprocessing.squash
                ? resize
                : steps.add("Div", axis.part("to"), {steps.add("Mul", axis.part("product"), {from, resize}), shorter});
  if (preprocessing.crop == 0) {
    axis.begin = steps.integer(0);
    axis.length = axis.to;
    return axis;
  }
  const std::string two = steps.integer(2);
  axis.length = steps.integer(preprocessing.crop);
  const std::string rest = steps.add("Sub", axis.part("rest"), {axis.to, axis.length});
  const std::string half = steps.add("Div", axis.part("half"), {rest, two});
  if (preprocessing.crop_rounds_down) {
    axis.begin = half;
    return axis;
  }
  const std::string odd = steps.add("Mul", axis.part("odd"),
                                    {steps.add("Mod", axis.part("rest_is_odd"), {rest, two}),
                                     steps.add("Mod", axis.part("half_is_odd"), {half, two})});
  axis.begin = steps.add("Add", axis.part("begin"), {half, odd});
  return axis;
}

std::string triangle(Steps& steps, const Axis& axis, const std::string& x) {
  return steps.add("Max", axis.part("triangle"),
                   {steps.add("Sub", axis.part("slope"), {steps.real(1), x}), steps.real(0)});
}

// Keys' cubic with a = −0.5, by Horner's rule: 1.5x³ − 2.5x² + 1 up to 1, −0.5(x³ − 5x² + 8x − 4) up to 2.
std::string cubic(Steps& steps, const Axis& axis, const std::string& x) {
  const auto add = [&](const char* op, const char* part, const std::string& a, const std::string& b) {
    return steps.add(op, axis.part(part), {a, b});
  };
  std::string near = add("Sub", "near_2", add("Mul", "near_1", x, steps.real(1.5)), steps.real(2.5));
  near = add("Add", "near", add("Mul", "near_4", add("Mul", "near_3", near, x), x), steps.real(1));
  std::string far = add("Mul", "far_2", add("Sub", "far_1", x, steps.real(5)), x);
  far = add("Mul", "far_4", add("Add", "far_3", far, steps.real(8)), x);
  far = add("Mul", "far", add("Sub", "far_5", far, steps.real(4)), steps.real(-0.5));
  const std::string outer =
      steps.add("Where", axis.part("outer"), {add("Less", "is_far", x, steps.real(2)), far, steps.real(0)});
  return steps.add("Where", axis.part("cubic"), {add("Less", "is_near", x, steps.real(1)), near, outer});
}

// The weight matrix (length, from), integers in double, computed in the steps of make_axis in image/resample.cpp.
std::string weights(Steps& steps, const Axis& axis, Interpolation interpolation) {
  const auto add = [&](const char* op, const char* part, const std::string& a, const std::string& b) {
    return steps.add(op, axis.part(part), {a, b});
  };
  const auto as_double = [&](const char* part, const std::string& value) {
    return steps.add("Cast", axis.part(part), {value}, {{"to", kOnnxDouble}});
  };
  const std::string one = steps.integer(1);
  const std::string scale = add("Div", "scale", as_double("from_double", axis.from), as_double("to_double", axis.to));
  const std::string narrowing = add("Div", "narrowing", steps.real(1), add("Max", "widening", scale, steps.real(1)));
  const std::string kept =
      steps.add("Range", axis.part("kept"), {axis.begin, add("Add", "end", axis.begin, axis.length), one});
  const std::string out = steps.add("Unsqueeze", axis.part("out"), {as_double("kept_double", kept), steps.axis(1)});
  const std::string in = as_double("in", steps.add("Range", axis.part("pixels"), {steps.integer(0), axis.from, one}));
  const std::string centre = add("Mul", "centre", add("Add", "out_centre", out, steps.real(0.5)), scale);
  const std::string signed_distance = add(
      "Mul", "signed_distance", add("Add", "offset", add("Sub", "difference", in, centre), steps.real(0.5)), narrowing);
  const std::string distance = steps.add("Abs", axis.part("distance"), {signed_distance});
  const std::string raw =
      interpolation == Interpolation::kBicubic ? cubic(steps, axis, distance) : triangle(steps, axis, distance);
  const std::string sum = steps.add("ReduceSum", axis.part("sum"), {raw, steps.axis(1)});
  const std::string fixed = add("Mul", "fixed", add("Div", "share", raw, sum), steps.real(kFixedPoint));
  const std::string size =
      steps.add("Floor", axis.part("size"),
                {add("Add", "size_and_half", steps.add("Abs", axis.part("fixed_size"), {fixed}), steps.real(0.5))});
  return add("Mul", "weights", size, steps.add("Sign", axis.part("sign"), {fixed}));
}

// Converts fixed point to bytes, still in double.
std::string to_bytes(Steps& steps, const Axis& axis, const std::string& sums) {
  const std::string real = steps.add("Mul", axis.part("unscaled"), {sums, steps.real(1 / kFixedPoint)});
  const std::string whole =
      steps.add("Floor", axis.part("floored"), {steps.add("Add", axis.part("and_half"), {real, steps.real(0.5)})});
  return steps.add("Clip", axis.part("bytes"), {whole, steps.real(0), steps.real(255)});
}

// Resizes (N, 3, H, W) to (N, 3, h, w), columns first as in Pillow.
std::string resized(Steps& steps, const std::string& images, const Preprocessing& preprocessing) {
  const std::string shape = steps.add("Shape", "shape", {images});
  const std::string height = steps.add("Gather", "height", {shape, steps.integer(2)}),
                    width = steps.add("Gather", "width", {shape, steps.integer(3)});
  const std::string shorter = steps.add("Min", "shorter", {height, width});
  const Axis columns = make_axis(steps, "columns", width, shorter, preprocessing),
             rows = make_axis(steps, "rows", height, shorter, preprocessing);
  std::string x = steps.add("Cast", "double", {images}, {{"to", kOnnxDouble}});
  const std::string across = steps.add("Transpose", "columns.transposed",
                                       {weights(steps, columns, preprocessing.interpolation)}, {{"perm", Ints{1, 0}}});
  x = to_bytes(steps, columns, steps.add("MatMul", "columns.sums", {x, across}));
  return to_bytes(steps, rows,
                  steps.add("MatMul", "rows.sums", {weights(steps, rows, preprocessing.interpolation), x}));
}

// One value per channel, in float32 as `normalise` uses it.
at::Tensor channels(const std::array<double, 3>& values) {
  return at::tensor(at::ArrayRef<double>(values), at::kDouble).to(at::kFloat).reshape({1, 3, 1, 1});
}

}  // namespace

std::string add_preprocessing(OnnxModel& model, const std::string& images, const Preprocessing& preprocessing) {
  if (preprocessing.crop > preprocessing.resize) {
    fail_usage("export: got a crop of ", counted(preprocessing.crop, "pixel"), " from images resized to ",
               preprocessing.resize, ", expected one that fits inside. Export with --preprocess normalise.");
  }
  Steps steps(model);
  std::string x = steps.add("Transpose", "planar", {images}, {{"perm", Ints{0, 3, 1, 2}}});
  if (preprocessing.resize > 0) x = resized(steps, x, preprocessing);
  if (preprocessing.bgr) {
    const at::Tensor order = at::tensor(at::ArrayRef<std::int64_t>({2, 1, 0}), at::kLong);
    x = steps.add("Gather", "bgr", {x, steps.constant("bgr_order", order)}, {{"axis", std::int64_t{1}}});
  }
  // In this order and with rounding to float32 after each step, as in torchvision and `normalise`.
  x = steps.add("Cast", "pixels", {x}, {{"to", kOnnxFloat}});
  x = steps.add("Div", "scaled", {x, steps.constant("white", at::scalar_tensor(255, at::kFloat))});
  x = steps.add("Sub", "centred", {x, steps.constant("mean", channels(preprocessing.mean))});
  return steps.add("Div", "normalised", {x, steps.constant("std", channels(preprocessing.std))});
}

}  // namespace lorikeet
