// The loops of kernels/winograd.h, compiled for several instruction sets. Highway chooses the best one that the
// processor has; all give the same bits, except the fallback, which has no fused multiply-add. Images are float32 or
// the bits of bfloat16 (std::uint16_t), all arithmetic is float32's.
#pragma once

#include <cstdint>

#include "kernels/simd_epilogue.h"

namespace lorikeet {

constexpr std::int64_t kWinogradTile = 4;        // output pixels per side of a tile
constexpr std::int64_t kWinogradShort = 2;       // likewise of a short side
constexpr std::int64_t kWinogradPatch = 6;       // input pixels per side of a tile
constexpr std::int64_t kWinogradPositions = 36;  // products per tile and pair of channels
constexpr std::int64_t kWinogradLanes = 16;      // channels come in groups of 16

/// A 3×3 convolution of stride 1: x (images, height, width, in) → y (images, out_height, out_width, out). `in` and
/// `out` are multiples of kWinogradLanes.
struct WinogradShape {
  std::int64_t images, height, width, in;
  std::int64_t out_height, out_width, out;
  std::int64_t top, left;  // padding; may be negative, as may what follows from it at the other sides

  std::int64_t tile_rows() const { return (out_height + kWinogradTile - 1) / kWinogradTile; }
  std::int64_t tile_columns() const { return (out_width + kWinogradTile - 1) / kWinogradTile; }
  std::int64_t tiles() const { return images * tile_rows() * tile_columns(); }

  /// Whether the last row or column of tiles has at most two output pixels. These tiles are short along that side:
  /// F(2, 3) needs four of the six positions of F(4, 3), and the same weights.
  bool has_short_row() const { return is_short(out_height); }
  bool has_short_column() const { return is_short(out_width); }

  /// The products of a pair of channels.
  std::int64_t products() const {
    const std::int64_t rows = kWinogradPatch * tile_rows() - (has_short_row() ? kWinogradTile - kWinogradShort : 0);
    const std::int64_t columns =
        kWinogradPatch * tile_columns() - (has_short_column() ? kWinogradTile - kWinogradShort : 0);
    return images * rows * columns;
  }

 private:
  static bool is_short(std::int64_t size) { return size % kWinogradTile > 0 && size % kWinogradTile <= kWinogradShort; }
};

/// How many tiles are short in their column only, not short, short in their row only, and short in both.
struct WinogradKinds {
  std::int64_t column = 0, whole = 0, row = 0, both = 0;
};

/// Tiles that are processed together, [first, first + tiles) of all: their transformed inputs and their products, each
/// (position, channels / 16, slot, 16). Slots are in the order of WinogradKinds, so that the tiles that need a position
/// are neighbours. One line of padding after each position keeps positions out of the same cache sets.
struct WinogradBlock {
  WinogradBlock(const WinogradShape& convolution, std::int64_t first_tile, std::int64_t count);

  /// The slot of a tile of the block.
  std::int64_t slot(std::int64_t tile) const;

  WinogradShape shape;
  std::int64_t first, tiles;
  WinogradKinds before;  // kinds of all tiles before the first
  WinogradKinds kinds;   // of the block's tiles
  float* inputs = nullptr;
  float* products = nullptr;

  std::int64_t input_step() const { return tiles * shape.in + kWinogradLanes; }
  std::int64_t product_step() const { return tiles * shape.out + kWinogradLanes; }
};

struct WinogradWeights {
  const float* values;  // (position, out / 16, in, 16)
  /// Whether they are those of the convolution whose input gradient this one is: (position, in / 16, out, 16). The
  /// inverses of the points are points again, so that flipped filters have the same values at other positions, times
  /// powers of two.
  bool is_opposite = false;
};

/// Part of a block's work: [begin, end).
struct WinogradPart {
  std::int64_t begin, end;
};

/// Whether the processor has AVX2 with FMA, or AVX-512.
bool has_winograd();

/// The number of tiles of a small block whose products leave no registers unused.
std::int64_t winograd_block();

/// Transforms the inputs of the block's tiles [begin, end).
void read_winograd(const WinogradBlock& block, const float* x, const WinogradPart& tiles);
void read_winograd(const WinogradBlock& block, const std::uint16_t* x, const WinogradPart& tiles);

/// The number of parts that multiply_winograd() can be divided into.
std::int64_t winograd_products(const WinogradShape& shape);
/// Multiplies the transformed inputs with the weights.
void multiply_winograd(const WinogradBlock& block, const WinogradWeights& weights, const WinogradPart& products);

/// Transforms the products of the block's tiles [begin, end) into pixels of y.
void write_winograd(const WinogradBlock& block, const SimdEpilogue<float>& finish, float* y, const WinogradPart& tiles);
void write_winograd(const WinogradBlock& block, const SimdEpilogue<std::uint16_t>& finish, std::uint16_t* y,
                    const WinogradPart& tiles);

}  // namespace lorikeet
