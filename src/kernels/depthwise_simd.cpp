#include "kernels/depthwise_simd.h"

#include <algorithm>
#include <cstring>

// Wider sets than AVX-512's first ones add nothing here, and Highway's scalable ones have no arrays of vectors.
#define HWY_DISABLED_TARGETS \
  (HWY_SSSE3 | HWY_SSE4 | HWY_AVX3_DL | HWY_SVE | HWY_SVE2 | HWY_SVE_256 | HWY_SVE2_128 | HWY_RVV)
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/depthwise_simd.cpp"
#include <hwy/foreach_target.h>  // includes this file once for each instruction set
#include <hwy/highway.h>

#include "kernels/simd_pixels-inl.h"

HWY_BEFORE_NAMESPACE();
namespace lorikeet {
namespace HWY_NAMESPACE {

static_assert(kWidth <= kDepthwiseLeast);

// Bias, residual, activation of some channels of one pixel. `at` is their offset in y.
template <typename T>
HWY_INLINE Vector finished(Vector z, Vector bias, const SimdEpilogue<void>& finish, std::int64_t at) {
  const Vector low = hn::Set(kFloats, finish.low);
  const Vector high = hn::Set(kFloats, finish.high);
  z = hn::Add(z, bias);
  if (finish.residual != nullptr) z = hn::Add(z, load(static_cast<const T*>(finish.residual) + at));
  if (finish.mask != nullptr) store_mask(z, low, high, finish.mask, at);
  return clamped(z, low, high);
}

// How a row of pixels is computed: kPixels neighbouring ones at a time, whose sums stay in registers, from the
// columns of what is read that they need.
template <std::int64_t kernel, std::int64_t stride, bool is_gradient>
struct Window {
  static constexpr std::int64_t kKernel = kernel;
  static constexpr std::int64_t kStride = stride;
  static constexpr bool kIsGradient = is_gradient;
  static constexpr std::int64_t kPixels = is_gradient && stride == 2 ? 8 : 7;  // sides of 7 · 2ⁿ are frequent
  static_assert(kernel % 2 == 1);

  // The columns that `pixels` neighbouring pixels need. A gradient's first one is at a multiple of the stride of the
  // padded image.
  static constexpr std::int64_t columns(std::int64_t pixels) {
    return is_gradient ? (pixels - 1) / stride + (kernel - 1) / stride + 1 : (pixels - 1) * stride + kernel;
  }
  // The first of these columns, in the padded image where that is what is read.
  static std::int64_t first_column(std::int64_t pixel) {
    return is_gradient ? pixel / stride - (kernel - 1) / stride : pixel * stride;
  }
  // The pixel to which a tap of a column contributes, if it is one of [0, kPixels).
  static constexpr std::int64_t pixel(std::int64_t column, std::int64_t tap) {
    if (is_gradient) return stride * column + tap - (kernel - 1);
    return (column - tap) % stride == 0 ? (column - tap) / stride : -1;
  }
};

// One row of what is read, and the taps that it is multiplied with.
struct TapRow {
  std::int64_t row;  // of all images
  const float* weights;
};

// Some neighbouring pixels of a row.
struct Pixels {
  std::int64_t first;                     // offset of the first one's channels in y, even if it is not stored
  std::int64_t begin, end;                // those that are stored
  std::int64_t column;                    // of what is read, the first
  std::int64_t column_begin, column_end;  // of its columns, those that exist
};

// What is read and written, whole.
template <typename T>
struct Job {
  std::int64_t channels, read_width;
  const T* from;
  T* to;
  const std::uint8_t* read_mask;  // of a gradient
  SimdEpilogue<void> finish;      // of a convolution
};

template <typename W, bool kEdge, bool kMasked, typename T>
void run_pixels(const Job<T>& job, const TapRow* rows, std::int64_t row_count, const Pixels& pixels) {
  constexpr std::int64_t kColumns = W::columns(W::kPixels);
  const std::int64_t channels = job.channels;
  for (std::int64_t next = 0; next < channels; next += kWidth) {
    const std::int64_t channel = std::min(next, channels - kWidth);  // the last ones twice rather than in part
    Vector sums[W::kPixels];
#pragma GCC unroll 8
    for (Vector& sum : sums) sum = hn::Zero(kFloats);
    for (std::int64_t i = 0; i < row_count; ++i) {
      Vector taps[W::kKernel];
#pragma GCC unroll 8
      for (std::int64_t tap = 0; tap < W::kKernel; ++tap)
        taps[tap] = hn::LoadU(kFloats, rows[i].weights + tap * channels + channel);
      const std::int64_t first = (rows[i].row * job.read_width + pixels.column) * channels + channel;
#pragma GCC unroll 32
      for (std::int64_t column = 0; column < kColumns; ++column) {
        if (kEdge && (column < pixels.column_begin || column >= pixels.column_end)) continue;
        const std::int64_t at = first + column * channels;
        Vector value = load(job.from + at);
        if constexpr (kMasked) value = masked(value, job.read_mask, at);
#pragma GCC unroll 8
        for (std::int64_t tap = 0; tap < W::kKernel; ++tap) {
          const std::int64_t pixel = W::pixel(column, tap);
          if (pixel >= 0 && pixel < W::kPixels) sums[pixel] = hn::MulAdd(value, taps[tap], sums[pixel]);
        }
      }
    }
    const bool finishes = !W::kIsGradient && job.finish.bias != nullptr;
    const Vector bias = finishes ? hn::LoadU(kFloats, job.finish.bias + channel) : hn::Zero(kFloats);
#pragma GCC unroll 8
    for (std::int64_t i = 0; i < W::kPixels; ++i) {
      if (kEdge && (i < pixels.begin || i >= pixels.end)) continue;
      const std::int64_t at = pixels.first + i * channels + channel;
      store(finishes ? finished<T>(sums[i], bias, job.finish, at) : sums[i], job.to + at);
    }
  }
}

template <typename W, bool kMasked, typename T>
void run_rows(const DepthwiseShape& shape, const Job<T>& job, const float* weights, const DepthwiseRows& rows) {
  constexpr std::int64_t kStride = W::kStride;
  const std::int64_t height = W::kIsGradient ? shape.height : shape.out_height;
  const std::int64_t width = W::kIsGradient ? shape.width : shape.out_width;
  const std::int64_t read_height = W::kIsGradient ? shape.out_height : shape.height;
  // A gradient's pixels are counted in the padded image, and those computed together start at a multiple of the stride.
  const std::int64_t before = W::kIsGradient ? shape.left : 0;
  constexpr std::int64_t kUnit = W::kIsGradient ? kStride : 1;
  static_assert(W::kPixels % kUnit == 0);
  const std::int64_t start = before / kUnit * kUnit;
  const std::int64_t count = before + width - start;
  const std::int64_t steps = (count + W::kPixels - 1) / W::kPixels;
  const std::int64_t step = ((count + steps - 1) / steps + kUnit - 1) / kUnit * kUnit;
  for (std::int64_t row = rows.begin; row < rows.end; ++row) {
    const std::int64_t image = row / height;
    TapRow tap_rows[W::kKernel];
    std::int64_t tap_count = 0;
    for (std::int64_t tap = 0; tap < W::kKernel; ++tap) {
      std::int64_t from = row % height * kStride + tap - shape.top;
      if constexpr (W::kIsGradient) {
        const std::int64_t place = row % height + shape.top - tap;
        if (place % kStride != 0) continue;
        from = place / kStride;
      }
      if (from < 0 || from >= read_height) continue;
      tap_rows[tap_count++] = {image * read_height + from, weights + tap * W::kKernel * shape.channels};
    }
    for (std::int64_t pixel = start; pixel < before + width; pixel += step) {
      Pixels pixels;
      pixels.first = (row * width + pixel - before) * shape.channels;
      pixels.begin = std::max<std::int64_t>(0, before - pixel);
      pixels.end = std::min(step, before + width - pixel);
      pixels.column = W::first_column(pixel) - (W::kIsGradient ? 0 : shape.left);
      pixels.column_begin = std::max<std::int64_t>(0, -pixels.column);
      pixels.column_end = std::min(W::columns(pixels.end), job.read_width - pixels.column);
      const bool is_edge = pixels.begin > 0 || pixels.end < W::kPixels || pixels.column_begin > 0 ||
                           pixels.column_end < W::columns(W::kPixels);
      is_edge ? run_pixels<W, true, kMasked>(job, tap_rows, tap_count, pixels)
              : run_pixels<W, false, kMasked>(job, tap_rows, tap_count, pixels);
    }
  }
}

template <std::int64_t kernel, std::int64_t stride, typename T>
void convolve_as(const DepthwiseShape& shape, const DepthwisePixels& pixels, const float* weights,
                 const SimdEpilogue<void>& finish, const DepthwiseRows& rows) {
  using W = Window<kernel, stride, false>;
  run_rows<W, false>(shape,
                     Job<T>{shape.channels, shape.width, static_cast<const T*>(pixels.from), static_cast<T*>(pixels.to),
                            nullptr, finish},
                     weights, rows);
}

template <std::int64_t kernel, std::int64_t stride, typename T>
void gradient_as(const DepthwiseShape& shape, const DepthwisePixels& pixels, const float* weights,
                 const std::uint8_t* mask, const DepthwiseRows& rows) {
  using W = Window<kernel, stride, true>;
  const Job<T> job{
      shape.channels, shape.out_width, static_cast<const T*>(pixels.from), static_cast<T*>(pixels.to), mask, {}};
  mask == nullptr ? run_rows<W, false>(shape, job, weights, rows) : run_rows<W, true>(shape, job, weights, rows);
}

// Calls run<kernel, stride>().
template <typename Run>
void with_window(const DepthwiseShape& shape, const Run& run) {
  const auto with_stride = [&]<std::int64_t kernel>() {
    shape.stride == 1 ? run.template operator()<kernel, 1>() : run.template operator()<kernel, 2>();
  };
  switch (shape.kernel) {
    case 3: with_stride.template operator()<3>(); break;
    case 5: with_stride.template operator()<5>(); break;
    default: with_stride.template operator()<7>(); break;
  }
}

void convolve(const DepthwiseShape& shape, const DepthwisePixels& pixels, const float* weights,
              const SimdEpilogue<void>& finish, const DepthwiseRows& rows) {
  with_window(shape, [&]<std::int64_t kernel, std::int64_t stride>() {
    pixels.is_bfloat16 ? convolve_as<kernel, stride, std::uint16_t>(shape, pixels, weights, finish, rows)
                       : convolve_as<kernel, stride, float>(shape, pixels, weights, finish, rows);
  });
}

void gradient(const DepthwiseShape& shape, const DepthwisePixels& pixels, const float* weights,
              const std::uint8_t* mask, const DepthwiseRows& rows) {
  with_window(shape, [&]<std::int64_t kernel, std::int64_t stride>() {
    pixels.is_bfloat16 ? gradient_as<kernel, stride, std::uint16_t>(shape, pixels, weights, mask, rows)
                       : gradient_as<kernel, stride, float>(shape, pixels, weights, mask, rows);
  });
}

}  // namespace HWY_NAMESPACE
}  // namespace lorikeet
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace lorikeet {
namespace {

HWY_EXPORT(convolve);
HWY_EXPORT(gradient);

}  // namespace

bool has_depthwise() {
  static const bool kHas = (hwy::SupportedTargets() & (HWY_AVX2 | HWY_AVX3)) != 0;
  return kHas;
}

void convolve_depthwise(const DepthwiseShape& shape, const DepthwisePixels& pixels, const float* weights,
                        const SimdEpilogue<void>& finish, const DepthwiseRows& rows) {
  HWY_DYNAMIC_DISPATCH(convolve)(shape, pixels, weights, finish, rows);
}

void gradient_depthwise(const DepthwiseShape& shape, const DepthwisePixels& pixels, const float* weights,
                        const std::uint8_t* mask, const DepthwiseRows& rows) {
  HWY_DYNAMIC_DISPATCH(gradient)(shape, pixels, weights, mask, rows);
}

}  // namespace lorikeet
#endif  // HWY_ONCE
