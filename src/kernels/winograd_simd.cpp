#include "kernels/winograd_simd.h"

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

// Wider sets than AVX-512's first ones add nothing here, and Highway's scalable ones have no arrays of vectors.
#define HWY_DISABLED_TARGETS \
  (HWY_SSSE3 | HWY_SSE4 | HWY_AVX3_DL | HWY_SVE | HWY_SVE2 | HWY_SVE_256 | HWY_SVE2_128 | HWY_RVV)
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/winograd_simd.cpp"
#include <hwy/aligned_allocator.h>
#include <hwy/foreach_target.h>  // includes this file once for each instruction set
#include <hwy/highway.h>

#include "kernels/simd_pixels-inl.h"

HWY_BEFORE_NAMESPACE();
namespace lorikeet {
namespace HWY_NAMESPACE {

static_assert(kWinogradLanes % kWidth == 0);
constexpr std::int64_t kVectors = kWinogradLanes / kWidth;  // vectors of 16 channels

// The sums that stay in registers: of kRows tiles by kGroups times 16 output channels.
constexpr std::int64_t kRows = kWidth == 16 ? 14 : kWidth == 8 ? 6 : 1;
constexpr std::int64_t kGroups = kWidth == 16 ? 2 : 1;
// Channels whose columns stay in the first-level cache while tiles of one row are read: 16 times as many.
constexpr std::int64_t kReadGroups = 4;

constexpr float kHalfRoot = 0.70710678118654752F;
constexpr float kRoot = 1.41421356237309505F;
constexpr std::int64_t kPatch = kWinogradPatch;
constexpr std::int64_t kTile = kWinogradTile;
constexpr std::int64_t kShortPatch = kWinogradShort + 2;

// The polynomials' points are 0, ±√½, ±√2 and infinity. Their errors are half of those of 0, ±1, ±2.
HWY_INLINE void transform_inputs(const Vector (&x)[kPatch], Vector (&y)[kPatch]) {
  const Vector half_root = hn::Set(kFloats, kHalfRoot);
  const Vector root = hn::Set(kFloats, kRoot);
  const Vector half = hn::Set(kFloats, 0.5F);
  const Vector two = hn::Set(kFloats, 2.0F);
  const Vector more = hn::Set(kFloats, 2.5F);
  y[0] = hn::Add(hn::NegMulAdd(more, x[2], x[0]), x[4]);
  const Vector even = hn::NegMulAdd(two, x[2], x[4]);
  const Vector odd = hn::NegMulAdd(two, x[1], x[3]);
  y[1] = hn::MulAdd(half_root, odd, even);
  y[2] = hn::NegMulAdd(half_root, odd, even);
  const Vector far_even = hn::NegMulAdd(half, x[2], x[4]);
  const Vector far_odd = hn::NegMulAdd(half, x[1], x[3]);
  y[3] = hn::MulAdd(root, far_odd, far_even);
  y[4] = hn::NegMulAdd(root, far_odd, far_even);
  y[5] = hn::Add(hn::NegMulAdd(more, x[3], x[1]), x[5]);
}

// The same along a short side: the points 0, ±√½ and infinity, scaled for the weights of the others.
HWY_INLINE void transform_short_inputs(const Vector (&x)[kPatch], Vector (&y)[kPatch]) {
  const Vector scale = hn::Set(kFloats, -1.5F);
  const Vector odd = hn::Mul(hn::Set(kFloats, kHalfRoot), x[1]);
  y[0] = hn::NegMulAdd(hn::Set(kFloats, 2.0F), x[2], x[0]);
  y[1] = hn::Mul(scale, hn::Add(x[2], odd));
  y[2] = hn::Mul(scale, hn::Sub(x[2], odd));
  y[5] = hn::NegMulAdd(hn::Set(kFloats, 0.5F), x[1], x[3]);
}

HWY_INLINE void transform_products(const Vector (&m)[kPatch], Vector (&y)[kTile]) {
  const Vector sum = hn::Add(m[1], m[2]);
  const Vector difference = hn::Sub(m[1], m[2]);
  const Vector far_sum = hn::Add(m[3], m[4]);
  const Vector far_difference = hn::Sub(m[3], m[4]);
  const auto times = [](float factor, Vector x) { return hn::Mul(hn::Set(kFloats, factor), x); };
  y[0] = hn::Add(hn::Add(m[0], sum), far_sum);
  y[1] = hn::MulAdd(hn::Set(kFloats, kHalfRoot), difference, times(kRoot, far_difference));
  y[2] = hn::MulAdd(hn::Set(kFloats, 0.5F), sum, times(2.0F, far_sum));
  y[3] = hn::MulAdd(hn::Set(kFloats, 0.5F * kHalfRoot), difference,
                    hn::MulAdd(hn::Set(kFloats, 2.0F * kRoot), far_difference, m[5]));
}

HWY_INLINE void transform_short_products(const Vector (&m)[kPatch], Vector (&y)[kTile]) {
  y[0] = hn::Add(hn::Add(m[0], m[1]), m[2]);
  y[1] = hn::MulAdd(hn::Set(kFloats, kHalfRoot), hn::Sub(m[1], m[2]), m[5]);
  y[2] = y[3] = hn::Zero(kFloats);
}

// Whether a short side has this position.
constexpr bool is_in_short(std::int64_t position) { return position < 3 || position == 5; }

// The place of a tile in the images.
struct TilePlace {
  TilePlace(const WinogradShape& shape, std::int64_t tile)
      : image(tile / (shape.tile_rows() * shape.tile_columns())),
        row(tile / shape.tile_columns() % shape.tile_rows() * kTile), column(tile % shape.tile_columns() * kTile),
        is_short_row(shape.has_short_row() && row + kTile > shape.out_height),
        is_short_column(shape.has_short_column() && column + kTile > shape.out_width) {}

  std::int64_t image;
  std::int64_t row;     // of its first output pixel
  std::int64_t column;  // likewise
  bool is_short_row, is_short_column;
};

// Some channels of the six columns of a tile, transformed vertically. The next tile shares the last two.
class Columns {
 public:
  Columns() {
    for (std::int64_t i = 0; i < kPatch; ++i) columns_[i] = space_[i];
  }
  void move_on() { std::rotate(columns_.begin(), columns_.begin() + kTile, columns_.end()); }
  float* at(std::int64_t column, std::int64_t vector, std::int64_t row) { return columns_[column][vector][row]; }

 private:
  using Column = float[kReadGroups * kVectors][kPatch][kWidth];
  alignas(64) Column space_[kPatch];
  std::array<float (*)[kPatch][kWidth], kPatch> columns_;
};

// The six rows of pixels that a row of tiles reads.
template <typename Element>
struct PixelRows {
  PixelRows(const WinogradShape& shape, const Element* x, const TilePlace& place) {
    alignas(64) static constexpr Element kZeros[kReadGroups * kWinogradLanes] = {};
    for (std::int64_t i = 0; i < kPatch; ++i) {
      const std::int64_t row = place.row - shape.top + i;
      is_inside[i] = row >= 0 && row < shape.height;
      pixels[i] = is_inside[i] ? x + (place.image * shape.height + row) * shape.width * shape.in : kZeros;
    }
  }
  const Element* at(std::int64_t row, std::int64_t offset) const { return pixels[row] + (is_inside[row] ? offset : 0); }

  const Element* pixels[kPatch];
  bool is_inside[kPatch];
};

template <bool kShortRow, typename Element>
HWY_INLINE void read_column(const Element* const (&from)[kPatch], std::int64_t column, std::int64_t vectors,
                            Columns& columns) {
  for (std::int64_t v = 0; v < vectors; ++v) {
    Vector in[kPatch], out[kPatch];
#pragma GCC unroll 6
    for (std::int64_t i = 0; i < (kShortRow ? kShortPatch : kPatch); ++i) in[i] = load(from[i] + v * kWidth);
    if constexpr (kShortRow) {
      transform_short_inputs(in, out);
    } else {
      transform_inputs(in, out);
    }
#pragma GCC unroll 6
    for (std::int64_t i = 0; i < kPatch; ++i)
      if (!kShortRow || is_in_short(i)) hn::Store(out[i], kFloats, columns.at(column, v, i));
  }
}

HWY_INLINE void clear_column(std::int64_t column, std::int64_t vectors, Columns& columns) {
  for (std::int64_t v = 0; v < vectors; ++v)
    for (std::int64_t i = 0; i < kPatch; ++i) hn::Store(hn::Zero(kFloats), kFloats, columns.at(column, v, i));
}

// Transforms the columns of a tile horizontally. `lines` is where its channels begin.
template <bool kShortColumn>
HWY_INLINE void read_rows(Columns& columns, std::int64_t vectors, bool is_short_row, const WinogradBlock& block,
                          float* lines) {
  const std::int64_t step = block.input_step();
  for (std::int64_t v = 0; v < vectors; ++v) {
    float* const to = lines + v / kVectors * block.tiles * kWinogradLanes + v % kVectors * kWidth;
    for (std::int64_t i = 0; i < kPatch; ++i) {
      if (is_short_row && !is_in_short(i)) continue;
      Vector in[kPatch], out[kPatch];
#pragma GCC unroll 6
      for (std::int64_t j = 0; j < (kShortColumn ? kShortPatch : kPatch); ++j)
        in[j] = hn::Load(kFloats, columns.at(j, v, i));
      if constexpr (kShortColumn) {
        transform_short_inputs(in, out);
      } else {
        transform_inputs(in, out);
      }
#pragma GCC unroll 6
      for (std::int64_t j = 0; j < kPatch; ++j)
        if (!kShortColumn || is_in_short(j)) hn::Store(out[j], kFloats, to + (i * kPatch + j) * step);
    }
  }
}

template <typename Element>
void read(const WinogradBlock& block, const Element* x, const WinogradPart& tiles) {
  const WinogradShape& shape = block.shape;
  for (std::int64_t tile = tiles.begin; tile < tiles.end;) {
    const TilePlace place(shape, block.first + tile);
    const std::int64_t count = std::min(tiles.end - tile, shape.tile_columns() - place.column / kTile);
    const PixelRows<Element> rows(shape, x, place);
    for (std::int64_t group = 0; group < shape.in / kWinogradLanes; group += kReadGroups) {
      const std::int64_t vectors = std::min(kReadGroups, shape.in / kWinogradLanes - group) * kVectors;
      Columns columns;
      for (std::int64_t i = 0; i < count; ++i) {
        if (i > 0) columns.move_on();
        const bool is_short_column = shape.has_short_column() && place.column + (i + 1) * kTile > shape.out_width;
        for (std::int64_t j = i > 0 ? kPatch - kTile : 0; j < (is_short_column ? kShortPatch : kPatch); ++j) {
          const std::int64_t column = place.column + i * kTile - shape.left + j;
          if (column < 0 || column >= shape.width) {
            clear_column(j, vectors, columns);
            continue;
          }
          const Element* from[kPatch];
          for (std::int64_t k = 0; k < kPatch; ++k) from[k] = rows.at(k, column * shape.in + group * kWinogradLanes);
          place.is_short_row ? read_column<true>(from, j, vectors, columns)
                             : read_column<false>(from, j, vectors, columns);
        }
        float* const lines = block.inputs + (group * block.tiles + block.slot(tile + i)) * kWinogradLanes;
        is_short_column ? read_rows<true>(columns, vectors, place.is_short_row, block, lines)
                        : read_rows<false>(columns, vectors, place.is_short_row, block, lines);
      }
    }
    tile += count;
  }
}

// The operands of one register tile: inputs (channels / 16, tile, 16), weights (group, channel, 16) and products
// (group, tile, 16).
struct RegisterTile {
  const float* inputs;
  std::int64_t input_step;  // from 16 channels to the next
  std::int64_t channel_groups;
  const float* weights;
  std::int64_t weight_step;  // from one group to the next
  float* products;
  std::int64_t product_step;
};

template <std::int64_t kTiles, std::int64_t kOutGroups>
void multiply_tile(const RegisterTile& x) {
  constexpr std::int64_t kSums = kOutGroups * kVectors;
  Vector sums[kTiles][kSums];
#pragma GCC unroll 16
  for (std::int64_t i = 0; i < kTiles; ++i)
#pragma GCC unroll 16
    for (std::int64_t j = 0; j < kSums; ++j) sums[i][j] = hn::Zero(kFloats);
  const float* HWY_RESTRICT weights = x.weights;
  for (std::int64_t group = 0; group < x.channel_groups; ++group) {
    const float* HWY_RESTRICT inputs = x.inputs + group * x.input_step;
#pragma GCC unroll 2
    for (std::int64_t channel = 0; channel < kWinogradLanes; ++channel) {
      Vector right[kSums];
#pragma GCC unroll 16
      for (std::int64_t j = 0; j < kSums; ++j)
        right[j] = hn::Load(kFloats, weights + j / kVectors * x.weight_step + j % kVectors * kWidth);
#pragma GCC unroll 16
      for (std::int64_t i = 0; i < kTiles; ++i) {
        const Vector left = hn::Set(kFloats, inputs[i * kWinogradLanes]);
#pragma GCC unroll 16
        for (std::int64_t j = 0; j < kSums; ++j) sums[i][j] = hn::MulAdd(left, right[j], sums[i][j]);
      }
      ++inputs;
      weights += kWinogradLanes;
    }
  }
#pragma GCC unroll 16
  for (std::int64_t i = 0; i < kTiles; ++i)
#pragma GCC unroll 16
    for (std::int64_t j = 0; j < kSums; ++j)
      hn::Store(sums[i][j], kFloats,
                x.products + j / kVectors * x.product_step + i * kWinogradLanes + j % kVectors * kWidth);
}

// multiply_tile for each number of tiles.
using MultiplyTile = void (*)(const RegisterTile&);
template <std::int64_t kOutGroups, std::int64_t... kTiles>
constexpr std::array<MultiplyTile, kRows> by_tiles(std::integer_sequence<std::int64_t, kTiles...>) {
  return {&multiply_tile<kTiles + 1, kOutGroups>...};
}
constexpr auto kMultiply = by_tiles<kGroups>(std::make_integer_sequence<std::int64_t, kRows>());
constexpr auto kMultiplyLast = by_tiles<1>(std::make_integer_sequence<std::int64_t, kRows>());

std::int64_t small_block() { return kRows >= 12 ? kRows : 24; }

std::int64_t parts_of_position(std::int64_t out) { return (out / kWinogradLanes + kGroups - 1) / kGroups; }

std::int64_t products(std::int64_t out) { return kWinogradPositions * parts_of_position(out); }

// The slots that need a position.
WinogradPart slots_of(const WinogradBlock& block, std::int64_t position) {
  const WinogradKinds& kinds = block.kinds;
  const bool has_short_rows = is_in_short(position / kPatch);
  const bool has_short_columns = is_in_short(position % kPatch);
  std::int64_t end = kinds.column + kinds.whole;
  if (has_short_rows) end += kinds.row;
  if (has_short_rows && has_short_columns) end += kinds.both;
  return {has_short_columns ? 0 : kinds.column, end};
}

// Transposes 16 by 16 floats.
#if HWY_TARGET == HWY_SCALAR
void transpose(const float* from, float scale, float* to) {
  for (std::int64_t i = 0; i < kWinogradLanes; ++i)
    for (std::int64_t j = 0; j < kWinogradLanes; ++j) to[j * kWinogradLanes + i] = scale * from[i * kWinogradLanes + j];
}
#else
HWY_INLINE void transpose(const float* from, float scale, float* to) {
  constexpr hn::CappedTag<float, 4> kFour;
  const auto factor = hn::Set(kFour, scale);
  for (std::int64_t i = 0; i < kWinogradLanes; i += 4) {
    for (std::int64_t j = 0; j < kWinogradLanes; j += 4) {
      const float* const rows = from + i * kWinogradLanes + j;
      const auto a = hn::Load(kFour, rows);
      const auto b = hn::Load(kFour, rows + kWinogradLanes);
      const auto c = hn::Load(kFour, rows + 2 * kWinogradLanes);
      const auto d = hn::Load(kFour, rows + 3 * kWinogradLanes);
      const auto lower_ab = hn::InterleaveLower(kFour, a, b);
      const auto lower_cd = hn::InterleaveLower(kFour, c, d);
      const auto upper_ab = hn::InterleaveUpper(kFour, a, b);
      const auto upper_cd = hn::InterleaveUpper(kFour, c, d);
      float* const columns = to + j * kWinogradLanes + i;
      const auto store = [&](auto column, std::int64_t k) {
        hn::Store(hn::Mul(factor, column), kFour, columns + k * kWinogradLanes);
      };
      store(hn::ConcatLowerLower(kFour, lower_cd, lower_ab), 0);
      store(hn::ConcatUpperUpper(kFour, lower_cd, lower_ab), 1);
      store(hn::ConcatLowerLower(kFour, upper_cd, upper_ab), 2);
      store(hn::ConcatUpperUpper(kFour, upper_cd, upper_ab), 3);
    }
  }
}
#endif

// The weights (group, in, 16) of some groups of 16 output channels at one position, from those of the opposite
// convolution. Several groups are packed at a time, because they are neighbours there.
class OppositeWeights {
 public:
  OppositeWeights(const WinogradShape& shape, const float* weights)
      : shape_(shape), weights_(weights), groups_(shape.out / kWinogradLanes),
        packed_(hwy::AllocateAligned<float>(
            static_cast<std::size_t>(std::min(kPacked, groups_) * shape.in * kWinogradLanes))) {}

  // Of kGroups groups, if there are as many.
  const float* at(std::int64_t position, std::int64_t group) {
    if (position != position_ || group < begin_ || group >= end_) pack(position, group);
    return packed_.get() + (group - begin_) * shape_.in * kWinogradLanes;
  }

 private:
  static constexpr std::int64_t kPacked = 8;
  static_assert(kPacked % kGroups == 0);

  void pack(std::int64_t position, std::int64_t group) {
    constexpr std::int64_t kInverse[kPatch] = {5, 3, 4, 1, 2, 0};
    constexpr float kScale[kPatch] = {1, -2, -2, -0.5F, -0.5F, 1};
    constexpr std::int64_t kSquare = kWinogradLanes * kWinogradLanes;
    position_ = position;
    begin_ = group / kPacked * kPacked;
    end_ = std::min(groups_, begin_ + kPacked);
    const std::int64_t row = position / kPatch;
    const std::int64_t column = position % kPatch;
    const float* const from = weights_ + (kInverse[row] * kPatch + kInverse[column]) * shape_.in * shape_.out;
    for (std::int64_t channel = 0; channel < shape_.in; channel += kWinogradLanes) {
      for (std::int64_t i = begin_; i < end_; ++i) {
        transpose(from + channel * shape_.out + i * kSquare, kScale[row] * kScale[column],
                  packed_.get() + ((i - begin_) * shape_.in + channel) * kWinogradLanes);
      }
    }
  }

  const WinogradShape& shape_;
  const float* weights_;
  std::int64_t groups_;
  hwy::AlignedFreeUniquePtr<float[]> packed_;
  std::int64_t position_ = -1;
  std::int64_t begin_ = 0;
  std::int64_t end_ = 0;
};

void multiply(const WinogradBlock& block, const WinogradWeights& weights, const WinogradPart& parts) {
  const std::int64_t in = block.shape.in;
  std::optional<OppositeWeights> opposite;
  if (weights.is_opposite) opposite.emplace(block.shape, weights.values);
  const std::int64_t groups = block.shape.out / kWinogradLanes;
  const std::int64_t position_parts = parts_of_position(block.shape.out);
  for (std::int64_t part = parts.begin; part < parts.end; ++part) {
    const std::int64_t position = part / position_parts;
    const std::int64_t group = part % position_parts * kGroups;
    const auto& multiply_by_tiles = groups - group >= kGroups ? kMultiply : kMultiplyLast;
    const float* const inputs = block.inputs + position * block.input_step();
    float* const to = block.products + position * block.product_step() + group * block.tiles * kWinogradLanes;
    RegisterTile x{.inputs = inputs,
                   .input_step = block.tiles * kWinogradLanes,
                   .channel_groups = in / kWinogradLanes,
                   .weights = opposite ? opposite->at(position, group)
                                       : weights.values + (position * groups + group) * in * kWinogradLanes,
                   .weight_step = in * kWinogradLanes,
                   .products = to,
                   .product_step = block.tiles * kWinogradLanes};
    const WinogradPart slots = slots_of(block, position);
    // Of about equal height, because low ones have too few independent sums.
    const std::int64_t count = slots.end - slots.begin;
    const std::int64_t steps = (count + kRows - 1) / kRows;
    for (std::int64_t i = 0; i < steps; ++i) {
      const std::int64_t begin = slots.begin + count * i / steps;
      const std::int64_t end = slots.begin + count * (i + 1) / steps;
      x.inputs = inputs + begin * kWinogradLanes;
      x.products = to + begin * kWinogradLanes;
      multiply_by_tiles[static_cast<std::size_t>(end - begin - 1)](x);
    }
  }
}

// One vector of one pixel: bias, residual, activation. `at` is its offset in y.
template <bool kResidual, bool kMask, typename Element>
HWY_INLINE Vector finish_vector(Vector z, Vector bias, const SimdEpilogue<Element>& finish, std::int64_t at) {
  const Vector low = hn::Set(kFloats, finish.low);
  const Vector high = hn::Set(kFloats, finish.high);
  z = hn::Add(z, bias);
  if constexpr (kResidual) z = hn::Add(z, load(finish.residual + at));
  if constexpr (kMask) store_mask(z, low, high, finish.mask, at);
  return clamped(z, low, high);
}

// Transforms the products of a tile vertically. What a short side lacks is zero.
template <bool kShortRow, bool kShortColumn>
HWY_INLINE void read_products(const float* from, std::int64_t step, Vector (&half)[kTile][kPatch]) {
#pragma GCC unroll 6
  for (std::int64_t j = 0; j < kPatch; ++j) {
    Vector in[kPatch], out[kTile];
#pragma GCC unroll 6
    for (std::int64_t i = 0; i < kPatch; ++i) {
      const bool is_there = (!kShortRow || is_in_short(i)) && (!kShortColumn || is_in_short(j));
      in[i] = is_there ? hn::Load(kFloats, from + (i * kPatch + j) * step) : hn::Zero(kFloats);
    }
    if constexpr (kShortRow) {
      transform_short_products(in, out);
    } else {
      transform_products(in, out);
    }
#pragma GCC unroll 4
    for (std::int64_t i = 0; i < kTile; ++i) half[i][j] = out[i];
  }
}

template <bool kFinish, bool kResidual, bool kMask, typename Element>
void write_tiles(const WinogradBlock& block, const SimdEpilogue<Element>& finish, Element* y,
                 const WinogradPart& tiles) {
  const WinogradShape& shape = block.shape;
  const std::int64_t step = block.product_step();
  for (std::int64_t tile = tiles.begin; tile < tiles.end; ++tile) {
    const TilePlace place(shape, block.first + tile);
    const std::int64_t rows = std::min(kTile, shape.out_height - place.row);
    const std::int64_t columns = std::min(kTile, shape.out_width - place.column);
    const std::int64_t pixel = (place.image * shape.out_height + place.row) * shape.out_width + place.column;
    const std::int64_t slot = block.slot(tile);
    for (std::int64_t channel = 0; channel < shape.out; channel += kWidth) {
      const float* const from =
          block.products + (channel / kWinogradLanes * block.tiles + slot) * kWinogradLanes + channel % kWinogradLanes;
      Vector half[kTile][kPatch];
      if (place.is_short_row) {
        place.is_short_column ? read_products<true, true>(from, step, half)
                              : read_products<true, false>(from, step, half);
      } else {
        place.is_short_column ? read_products<false, true>(from, step, half)
                              : read_products<false, false>(from, step, half);
      }
      const bool has_bias = kFinish && finish.bias != nullptr;
      const Vector bias = has_bias ? hn::LoadU(kFloats, finish.bias + channel) : hn::Zero(kFloats);
#pragma GCC unroll 4
      for (std::int64_t i = 0; i < kTile; ++i) {
        if (i >= rows) break;
        Vector out[kTile];
        if (place.is_short_column) {
          transform_short_products(half[i], out);
        } else {
          transform_products(half[i], out);
        }
        const std::int64_t line = (pixel + i * shape.out_width) * shape.out + channel;
#pragma GCC unroll 4
        for (std::int64_t j = 0; j < kTile; ++j) {
          if (j >= columns) break;
          const std::int64_t at = line + j * shape.out;
          const Vector z = kFinish ? finish_vector<kResidual, kMask>(out[j], bias, finish, at) : out[j];
          store(z, y + at);
        }
      }
    }
  }
}

template <typename Element>
void write(const WinogradBlock& block, const SimdEpilogue<Element>& finish, Element* y, const WinogradPart& tiles) {
  const bool is_last = finish.has_none();
  const bool masks = finish.mask != nullptr;
  const auto run = is_last ? &write_tiles<false, false, false, Element>
                   : finish.residual == nullptr
                       ? (masks ? &write_tiles<true, false, true, Element> : &write_tiles<true, false, false, Element>)
                       : (masks ? &write_tiles<true, true, true, Element> : &write_tiles<true, true, false, Element>);
  run(block, finish, y, tiles);
}

// HWY_EXPORT takes no templates.
void read_floats(const WinogradBlock& block, const float* x, const WinogradPart& tiles) { read(block, x, tiles); }
void read_halves(const WinogradBlock& block, const std::uint16_t* x, const WinogradPart& tiles) {
  read(block, x, tiles);
}
void write_floats(const WinogradBlock& block, const SimdEpilogue<float>& finish, float* y, const WinogradPart& tiles) {
  write(block, finish, y, tiles);
}
void write_halves(const WinogradBlock& block, const SimdEpilogue<std::uint16_t>& finish, std::uint16_t* y,
                  const WinogradPart& tiles) {
  write(block, finish, y, tiles);
}

}  // namespace HWY_NAMESPACE
}  // namespace lorikeet
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace lorikeet {
namespace {

HWY_EXPORT(small_block);
HWY_EXPORT(read_floats);
HWY_EXPORT(read_halves);
HWY_EXPORT(products);
HWY_EXPORT(multiply);
HWY_EXPORT(write_floats);
HWY_EXPORT(write_halves);

WinogradKinds kinds_before(const WinogradShape& shape, std::int64_t tile) {
  const std::int64_t columns = shape.tile_columns();
  const std::int64_t rows = shape.tile_rows();
  const std::int64_t images = tile / (rows * columns);
  const std::int64_t rest = tile % (rows * columns);
  const std::int64_t in_short_column = shape.has_short_column() ? tile / columns : 0;
  const std::int64_t in_short_row =
      shape.has_short_row() ? images * columns + std::max<std::int64_t>(0, rest - (rows - 1) * columns) : 0;
  const std::int64_t both = shape.has_short_row() && shape.has_short_column() ? images : 0;
  return {in_short_column - both, tile - in_short_column - in_short_row + both, in_short_row - both, both};
}

}  // namespace

WinogradBlock::WinogradBlock(const WinogradShape& convolution, std::int64_t first_tile, std::int64_t count)
    : shape(convolution), first(first_tile), tiles(count), before(kinds_before(shape, first)),
      kinds(kinds_before(shape, first + count)) {
  kinds.column -= before.column;
  kinds.whole -= before.whole;
  kinds.row -= before.row;
  kinds.both -= before.both;
}

std::int64_t WinogradBlock::slot(std::int64_t tile) const {
  const WinogradKinds here = kinds_before(shape, first + tile);
  const WinogradKinds next = kinds_before(shape, first + tile + 1);
  if (next.column > here.column) return here.column - before.column;
  if (next.whole > here.whole) return kinds.column + here.whole - before.whole;
  if (next.row > here.row) return kinds.column + kinds.whole + here.row - before.row;
  return kinds.column + kinds.whole + kinds.row + here.both - before.both;
}

bool has_winograd() {
  static const bool kHas = (hwy::SupportedTargets() & (HWY_AVX2 | HWY_AVX3)) != 0;
  return kHas;
}

std::int64_t winograd_block() { return HWY_DYNAMIC_DISPATCH(small_block)(); }

void read_winograd(const WinogradBlock& block, const float* x, const WinogradPart& tiles) {
  HWY_DYNAMIC_DISPATCH(read_floats)(block, x, tiles);
}
void read_winograd(const WinogradBlock& block, const std::uint16_t* x, const WinogradPart& tiles) {
  HWY_DYNAMIC_DISPATCH(read_halves)(block, x, tiles);
}

std::int64_t winograd_products(const WinogradShape& shape) { return HWY_DYNAMIC_DISPATCH(products)(shape.out); }

void multiply_winograd(const WinogradBlock& block, const WinogradWeights& weights, const WinogradPart& products) {
  HWY_DYNAMIC_DISPATCH(multiply)(block, weights, products);
}

void write_winograd(const WinogradBlock& block, const SimdEpilogue<float>& finish, float* y,
                    const WinogradPart& tiles) {
  HWY_DYNAMIC_DISPATCH(write_floats)(block, finish, y, tiles);
}
void write_winograd(const WinogradBlock& block, const SimdEpilogue<std::uint16_t>& finish, std::uint16_t* y,
                    const WinogradPart& tiles) {
  HWY_DYNAMIC_DISPATCH(write_halves)(block, finish, y, tiles);
}

}  // namespace lorikeet
#endif  // HWY_ONCE
