#include "io/tensor_codec.h"

#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>
#include <c10/util/accumulate.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <span>

#include "base/error.h"
#include "io/range_coder.h"

namespace lorikeet {
// Not anonymous, because State has members of these types.
namespace tensor_codec {

constexpr int kFormBits = 3;
constexpr int kWidthBits = 3;
constexpr int kExponentBits = 8;
constexpr int kMantissaBits = 23;
constexpr int kBFloat16MantissaBits = 7;
constexpr int kScaleMantissaBits = 4;
constexpr int kClassBits = 3;   // the bit length of |level|, 0 to 7
constexpr int kActivities = 8;  // contexts of a level's class
// Numbers in all tensors: so many for nothing, and more for each byte. Those of a tensor that is not all zeros take
// more.
constexpr std::int64_t kFreeElements = std::int64_t{1} << 25;
constexpr std::int64_t kElementsPerByte = 2048;
constexpr std::int64_t kMaxElements = std::int64_t{1} << 30;

// Models of floating-point numbers.
struct FloatModels {
  BitModel sign;
  BitTree<kExponentBits> exponent;
  BitModel nonzero;  // of numbers with the exponent 0
};

struct Models {
  std::array<BitTree<kFormBits>, 2> form;  // without and with a start
  BitTree<kWidthBits> width;
  BitTree<kExponentBits> scale_exponent;
  std::array<BitTree<kClassBits>, kActivities> level_class;
  BitModel sign;
  std::array<std::array<BitModel, 4>, std::size_t{1} << kClassBits> below_leading;  // the two bits after the first one
  FloatModels floats;
  BitModel flag;
  FloatModels numbers;
};

}  // namespace tensor_codec

namespace {

using namespace tensor_codec;

// How large the levels before this one were: an exponential mean of their bit lengths, as an index of a context.
class Activity {
 public:
  std::size_t context() const { return static_cast<std::size_t>((mean_ + kOne / 2) / kOne); }
  void add(std::uint32_t length) { mean_ += (static_cast<int>(length) * kOne - mean_) / 8; }

 private:
  static constexpr int kOne = 128;
  int mean_ = 0;  // scaled by kOne; at most that of kActivities - 1
};

// The coder is the encoder or the decoder: `Coder::bit` and so on code one value, given as an argument or returned.
struct Writing {
  RangeEncoder& coder;
  bool bit(BitModel& model, bool value) const {
    coder.bit(model, value);
    return value;
  }
  std::uint32_t bits(std::uint32_t value, int count) const {
    coder.bits(value, count);
    return value;
  }
  template <int kDepth, std::size_t kSize>
  std::uint32_t tree(std::array<BitModel, kSize>& models, std::uint32_t value) const {
    coder.tree<kDepth>(models, value);
    return value;
  }
};
struct Reading {
  RangeDecoder& coder;
  bool bit(BitModel& model, bool) const { return coder.bit(model); }
  std::uint32_t bits(std::uint32_t, int count) const { return coder.bits(count); }
  template <int kDepth, std::size_t kSize>
  std::uint32_t tree(std::array<BitModel, kSize>& models, std::uint32_t) const {
    return coder.tree<kDepth>(models);
  }
};

// A float32 number of which `mantissa_bits` of the mantissa are coded; the others are 0.
template <typename Coder>
float code_float(const Coder& coder, FloatModels& models, float value, int mantissa_bits) {
  const auto in = std::bit_cast<std::uint32_t>(value);
  const std::uint32_t exponent = coder.template tree<kExponentBits>(models.exponent, in >> kMantissaBits & 0xffU);
  std::uint32_t out = (coder.bit(models.sign, in >> 31 != 0) ? 1U << 31 : 0U) | exponent << kMantissaBits;
  const std::uint32_t mantissa = in & ((1U << kMantissaBits) - 1);
  if (exponent == 0 && !coder.bit(models.nonzero, mantissa != 0)) return std::bit_cast<float>(out);
  for (int left = mantissa_bits; left > 0;) {
    const int count = std::min(left, 12);
    left -= count;
    const int place = kMantissaBits - mantissa_bits + left;
    out |= coder.bits(mantissa >> place & ((1U << count) - 1), count) << place;
  }
  return std::bit_cast<float>(out);
}

// A scale is (16 + m) · 2^e, m from 0 to 15: a float32 of which the upper bits of the mantissa are stored.
template <typename Coder>
float code_scale(const Coder& coder, BitTree<kExponentBits>& models, float scale) {
  const auto in = std::bit_cast<std::uint32_t>(scale);
  const std::uint32_t exponent = coder.template tree<kExponentBits>(models, in >> kMantissaBits & 0xffU);
  constexpr int kPlace = kMantissaBits - kScaleMantissaBits;
  const std::uint32_t mantissa = coder.bits(in >> kPlace & 0xfU, kScaleMantissaBits);
  return std::bit_cast<float>(exponent << kMantissaBits | mantissa << kPlace);
}

template <typename Coder>
int code_level(const Coder& coder, Models& models, Activity& activity, int level) {
  const auto magnitude = static_cast<std::uint32_t>(std::abs(level));
  const std::uint32_t length = coder.template tree<kClassBits>(models.level_class[activity.context()],
                                                               static_cast<std::uint32_t>(std::bit_width(magnitude)));
  activity.add(length);
  if (length == 0) return 0;
  std::uint32_t out = 1;
  auto& below = models.below_leading[length];
  for (std::uint32_t place = length - 1; place > 0; --place) {
    const std::uint32_t each = magnitude >> (place - 1) & 1U;
    const bool is_modelled = place + 3 > length;  // the first two
    const std::uint32_t coded = is_modelled ? coder.bit(below[place + 2 > length ? 1 : out], each != 0) : 0;
    if (is_modelled) {
      out = 2 * out + coded;
    } else {
      out = out << place | coder.bits(magnitude & ((1U << place) - 1), static_cast<int>(place));
      break;
    }
  }
  return coder.bit(models.sign, level < 0) ? -static_cast<int>(out) : static_cast<int>(out);
}

int most_level(StoredBits bits) { return (1 << (bits - 1)) - 1; }

// The scales that can be stored, in their order.
float next_scale(float scale, int steps) {
  constexpr int kPlace = kMantissaBits - kScaleMantissaBits;
  const auto in = static_cast<std::int64_t>(std::bit_cast<std::uint32_t>(scale) >> kPlace) + steps;
  constexpr std::int64_t kLeast = std::int64_t{1} << kScaleMantissaBits;  // no subnormal numbers
  constexpr std::int64_t kMost = (std::int64_t{247} << kScaleMantissaBits) - 1;
  return std::bit_cast<float>(static_cast<std::uint32_t>(std::clamp(in, kLeast, kMost) << kPlace));
}

int nearest_level(float value, float inverse, int most) {
  return std::clamp(static_cast<int>(std::lrint(value * inverse)), -most, most);
}

double squared_error(std::span<const float> values, float scale, int most) {
  const float inverse = 1 / scale;
  double out = 0;
  for (const float value : values) {
    const double error = value - scale * static_cast<float>(nearest_level(value, inverse, most));
    out += error * error;
  }
  return out;
}

// The scale with the least squared error. From that at which no value is cut off downwards, the error of cutting off
// grows and that of rounding falls.
float best_scale(std::span<const float> values, int most) {
  float largest = 0;
  for (const float value : values) largest = std::max(largest, std::abs(value));
  if (largest == 0) return next_scale(0, 0);
  // A part of a large tensor is enough.
  constexpr std::size_t kMeasured = 1 << 16;
  std::vector<float> part;
  if (values.size() > 2 * kMeasured) {
    const std::size_t step = values.size() / kMeasured;
    for (std::size_t i = 0; i < values.size(); i += step) part.push_back(values[i]);
    values = part;
  }
  float scale = next_scale(largest / static_cast<float>(most), 1);
  float best = scale;
  double least = squared_error(values, scale, most);
  // Few levels: a much smaller scale can be better. Each step is a sixteenth of an octave.
  const int steps = most >= 63 ? 12 : most >= 7 ? 28 : 44;
  for (int i = 0; i < steps; ++i) {
    scale = next_scale(scale, -1);
    const double error = squared_error(values, scale, most);
    if (error >= least) continue;
    least = error;
    best = scale;
  }
  return best;
}

bool is_exact_in_bfloat16(std::span<const float> values) {
  return std::all_of(values.begin(), values.end(),
                     [](float value) { return (std::bit_cast<std::uint32_t>(value) & 0xffffU) == 0; });
}

std::span<const float> span_of(const at::Tensor& tensor) {
  return {tensor.const_data_ptr<float>(), static_cast<std::size_t>(tensor.numel())};
}

at::Tensor plain_float32(const at::Tensor& tensor) { return tensor.detach().to(at::kCPU, at::kFloat).contiguous(); }

bool is_same_bits(std::span<const float> a, std::span<const float> b) {
  return a.size() == b.size() && (a.empty() || std::memcmp(a.data(), b.data(), a.size_bytes()) == 0);
}

}  // namespace

StoredBits stored_bits(FilePrecision precision) {
  switch (precision) {
    case FilePrecision::kFloat32: return kFloat32Bits;
    case FilePrecision::kBFloat16: return kBFloat16Bits;
    case FilePrecision::kInt8: return 8;
    case FilePrecision::kInt4: return 4;
  }
  return kFloat32Bits;
}

std::string stored_bits_name(StoredBits bits) {
  if (bits == kFloat32Bits) return "float32";
  return bits == kBFloat16Bits ? "bfloat16" : cat("int", bits);
}

std::string describe(const TensorCoding& coding) {
  switch (coding.form) {
    case TensorForm::kStart: return "not stored";
    case TensorForm::kZero: return "zeros";
    case TensorForm::kFloat32: return "float32";
    case TensorForm::kBFloat16: return "bfloat16";
    case TensorForm::kLevels:
    case TensorForm::kLevelsOnStart: break;
  }
  return cat(stored_bits_name(coding.bits), coding.form == TensorForm::kLevelsOnStart ? ", of the change" : "");
}

struct TensorEncoder::State {
  tensor_codec::Models models;
  RangeEncoder coder;
};

TensorEncoder::TensorEncoder() : state_(std::make_unique<State>()) {}
TensorEncoder::~TensorEncoder() = default;

TensorCoding TensorEncoder::add(const TensorToStore& tensor) {
  Models& models = state_->models;
  RangeEncoder& coder = state_->coder;
  const Writing writing{coder};
  const double begin = coder.position();
  const at::Tensor plain = plain_float32(tensor.values);
  const at::Tensor start = tensor.start.defined() ? plain_float32(tensor.start) : at::Tensor();
  const std::span<const float> values = span_of(plain);
  TensorCoding out;
  const auto put_form = [&](TensorForm form) {
    out.form = form;
    coder.tree<kFormBits>(models.form[start.defined() ? 1 : 0], static_cast<std::uint32_t>(form));
  };
  const auto put_floats = [&](int mantissa_bits) {
    for (const float value : values) code_float(writing, models.floats, value, mantissa_bits);
  };
  if (start.defined() && is_same_bits(values, span_of(start))) {
    put_form(TensorForm::kStart);
  } else if (std::all_of(values.begin(), values.end(),
                         [](float value) { return std::bit_cast<std::uint32_t>(value) == 0; })) {
    put_form(TensorForm::kZero);
  } else if (tensor.bits == kFloat32Bits && !is_exact_in_bfloat16(values)) {
    put_form(TensorForm::kFloat32);
    put_floats(kMantissaBits);
  } else if (tensor.bits >= kBFloat16Bits) {
    put_form(TensorForm::kBFloat16);
    constexpr double kMost = 3.3895313892515355e38;  // of bfloat16, which rounding must not exceed
    const at::Tensor rounded = plain.clamp(-kMost, kMost).to(at::kBFloat16).to(at::kFloat);
    for (const float value : span_of(rounded)) code_float(writing, models.floats, value, kBFloat16MantissaBits);
  } else {
    put_form(start.defined() ? TensorForm::kLevelsOnStart : TensorForm::kLevels);
    const at::Tensor change = start.defined() ? at::sub(plain, start).contiguous() : plain;
    const std::span<const float> changes = span_of(change);
    const int most = most_level(tensor.bits);
    out.bits = tensor.bits;
    coder.tree<kWidthBits>(models.width, static_cast<std::uint32_t>(tensor.bits - kLeastLevelBits));
    const float scale = out.scale = tensor.scale > 0 ? tensor.scale : best_scale(changes, most);
    code_scale(writing, models.scale_exponent, scale);
    Activity activity;
    for (const float value : changes) code_level(writing, models, activity, nearest_level(value, 1 / scale, most));
  }
  out.stored_bits = coder.position() - begin;
  return out;
}

void TensorEncoder::add_flag(bool flag) { state_->coder.bit(state_->models.flag, flag); }

void TensorEncoder::add_floats(const std::vector<float>& values) {
  for (const float value : values) code_float(Writing{state_->coder}, state_->models.numbers, value, kMantissaBits);
}

std::string TensorEncoder::finish() { return state_->coder.finish(); }

struct TensorDecoder::State {
  State(std::string_view bytes, const std::string& where)
      : coder(bytes, where),
        most_elements(
            std::min(kMaxElements, kFreeElements + kElementsPerByte * static_cast<std::int64_t>(bytes.size()))) {}
  tensor_codec::Models models;
  RangeDecoder coder;
  std::int64_t most_elements;
  std::int64_t elements = 0;

  [[noreturn]] void fail_at(const std::string& name, const std::string& what) const {
    fail(coder.where(), ": tensor '", name, "': got ", what, ". The file is damaged.");
  }
  float checked(float value, const std::string& name) const {
    if (!std::isfinite(value)) fail_at(name, "a number that is not finite, expected finite ones");
    return value;
  }
  float scale(int most, const std::string& name) {
    const float found = code_scale(Reading{coder}, models.scale_exponent, 0);
    if (found < std::numeric_limits<float>::min() || !std::isfinite(found * static_cast<float>(most)))
      fail_at(name, "a scale out of range, expected one whose levels are finite");
    return found;
  }
};

TensorDecoder::TensorDecoder(std::string_view bytes, const std::string& where)
    : state_(std::make_unique<State>(bytes, where)) {}
TensorDecoder::~TensorDecoder() = default;

TensorDecoder::Stored TensorDecoder::next(at::IntArrayRef shape, bool has_start, const std::string& name) {
  State& state = *state_;
  Models& models = state.models;
  const Reading reading{state.coder};
  const double begin = state.coder.position();
  Stored out;
  const std::uint32_t form = state.coder.tree<kFormBits>(models.form[has_start ? 1 : 0]);
  if (form > static_cast<std::uint32_t>(TensorForm::kLevelsOnStart))
    state.fail_at(name, cat("the form ", form, ", expected a known one"));
  out.coding.form = static_cast<TensorForm>(form);
  const bool needs_start = out.coding.form == TensorForm::kStart || out.coding.form == TensorForm::kLevelsOnStart;
  if (needs_start && !has_start) state.fail_at(name, "no values, expected some");
  for (std::int64_t count = 1; const std::int64_t size : shape) {
    count *= size;
    if (count > state.most_elements - state.elements)
      state.fail_at(name, cat("more than ", state.most_elements, " numbers in all, expected fewer"));
  }
  state.elements += c10::multiply_integers(shape);
  if (out.coding.form != TensorForm::kStart) {
    out.values = out.coding.form == TensorForm::kZero ? at::zeros(shape) : at::empty(shape);
  }
  const auto fill_floats = [&](int mantissa_bits) {
    for (float& value : std::span(out.values.data_ptr<float>(), static_cast<std::size_t>(out.values.numel())))
      value = state.checked(code_float(reading, models.floats, 0, mantissa_bits), name);
  };
  if (out.coding.form == TensorForm::kFloat32) fill_floats(kMantissaBits);
  if (out.coding.form == TensorForm::kBFloat16) fill_floats(kBFloat16MantissaBits);
  if (out.coding.form == TensorForm::kLevels || out.coding.form == TensorForm::kLevelsOnStart) {
    const std::uint32_t width = state.coder.tree<kWidthBits>(models.width);
    out.coding.bits = static_cast<StoredBits>(width) + kLeastLevelBits;
    if (out.coding.bits > kMostLevelBits)
      state.fail_at(name, cat("levels of ", out.coding.bits, " bits, expected at most ", kMostLevelBits));
    const int most = most_level(out.coding.bits);
    const float scale = out.coding.scale = state.scale(most, name);
    Activity activity;
    for (float& value : std::span(out.values.data_ptr<float>(), static_cast<std::size_t>(out.values.numel()))) {
      const int level = code_level(reading, models, activity, 0);
      if (std::abs(level) > most) state.fail_at(name, cat("the level ", level, ", expected at most ", most));
      value = static_cast<float>(level) * scale;
    }
  }
  out.coding.stored_bits = state.coder.position() - begin;
  return out;
}

bool TensorDecoder::next_flag() { return state_->coder.bit(state_->models.flag); }

std::vector<float> TensorDecoder::next_floats(std::size_t count, const std::string& name) {
  std::vector<float> out;
  for (std::size_t i = 0; i < count; ++i)
    out.push_back(state_->checked(code_float(Reading{state_->coder}, state_->models.numbers, 0, kMantissaBits), name));
  return out;
}

void TensorDecoder::finish() const { state_->coder.finish(); }

at::Tensor added_to_start(const at::Tensor& start, const at::Tensor& values) {
  return at::add(plain_float32(start), values);
}

}  // namespace lorikeet
