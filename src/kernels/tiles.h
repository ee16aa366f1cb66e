// The inner loop of this project's own float32 matrix products: tiles of rows by 16 columns whose sums stay in
// registers. Neither operand is copied, which pays for products with one small dimension.
#pragma once

#include <cstdint>

namespace lorikeet {

constexpr std::int64_t kTileColumns = 16;

/// c (rows, 16) = or += a (rows, count) · b (count, 16). Element (i, p) of a lies at a[i · a_row + p · a_column], row p
/// of b at b + p · b_row, row i of c at c + i · c_row.
struct TileProduct {
  const float* a;
  std::int64_t a_row, a_column;
  const float* b;
  std::int64_t b_row;
  float* c;
  std::int64_t c_row;
  std::int64_t rows, count;
};

/// Whether this processor is supported: AVX2 with FMA.
bool has_tiles();

void multiply_tiles(const TileProduct& product);        // c = a · b
void add_multiplied_tiles(const TileProduct& product);  // c += a · b

}  // namespace lorikeet
