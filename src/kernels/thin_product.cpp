#include "kernels/thin_product.h"

#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>

#include <algorithm>
#include <cstdint>

#include "kernels/parallel.h"
#include "kernels/tiles.h"

namespace lorikeet {
namespace {

constexpr std::int64_t kSmallestRank = 9;    // of a product; below, most of a tile is padding
constexpr std::int64_t kLargestRank = 64;    // beyond, MKL's copies pay
constexpr std::int64_t kRowsPerBlock = 240;  // a multiple of the tiles' rows; a block stays in the cache
constexpr std::int64_t kProductsPerThread = std::int64_t{1} << 18;  // minimum number of multiplications

std::int64_t tiles_of(std::int64_t columns) { return (columns + kTileColumns - 1) / kTileColumns; }

bool is_dense(const at::Tensor& rows) { return rows.stride(1) == 1 && rows.stride(0) == rows.size(1); }

bool runs_in_tiles(const at::Tensor& rows, std::int64_t rank) {
  return has_tiles() && rows.is_cpu() && rows.scalar_type() == at::kFloat && rank <= kLargestRank && is_dense(rows);
}

std::int64_t grain_of(std::int64_t products_per_item) {
  return std::max<std::int64_t>(1, kProductsPerThread / std::max<std::int64_t>(1, products_per_item));
}

// (r, c) → (c, r) with zeros up to whole tiles: panel t is columns 16 t …
at::Tensor transposed_panels(const at::Tensor& factor) {
  const std::int64_t padded = tiles_of(factor.size(0)) * kTileColumns;
  at::Tensor out = at::zeros({factor.size(1), padded}, factor.options());
  out.narrow(1, 0, factor.size(0)).copy_(factor.t());
  return out;
}

}  // namespace

at::Tensor thin_product(const at::Tensor& rows, const at::Tensor& factor) {
  const std::int64_t n = rows.size(0), columns = rows.size(1), rank = factor.size(0);
  // Of both layouts of the factor, MKL is three times faster with this one.
  if (rank < kSmallestRank || !runs_in_tiles(rows, rank)) return at::mm(rows, factor.contiguous().t());
  const at::Tensor panels = transposed_panels(factor);
  const std::int64_t padded = panels.size(1);
  const at::Tensor out = at::empty({n, padded}, rows.options());
  const auto* const a = rows.const_data_ptr<float>();
  const auto* const b = panels.const_data_ptr<float>();
  auto* const c = out.mutable_data_ptr<float>();
  parallel_for(n, grain_of(columns * padded), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t first = begin; first < end; first += kRowsPerBlock) {
      for (std::int64_t column = 0; column < padded; column += kTileColumns) {
        multiply_tiles({a + first * columns, columns, 1, b + column, padded, c + first * padded + column, padded,
                        std::min(kRowsPerBlock, end - first), columns});
      }
    }
  });
  return padded == rank ? out : out.narrow(1, 0, rank).contiguous();
}

at::Tensor factor_gradient(const at::Tensor& low, const at::Tensor& rows) {
  const std::int64_t n = rows.size(0), columns = rows.size(1), rank = low.size(1);
  if (!runs_in_tiles(rows, rank) || !is_dense(low)) return at::mm(low.t(), rows);
  const std::int64_t tiles = columns / kTileColumns, tiled = tiles * kTileColumns;
  at::Tensor out = at::zeros({rank, columns}, rows.options());
  const auto* const a = low.const_data_ptr<float>();
  const auto* const b = rows.const_data_ptr<float>();
  auto* const c = out.mutable_data_ptr<float>();
  // Each thread has its own columns.
  parallel_for(tiles, grain_of(n * rank * kTileColumns), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t first = 0; first < n; first += kRowsPerBlock) {
      for (std::int64_t column = begin * kTileColumns; column < end * kTileColumns; column += kTileColumns) {
        add_multiplied_tiles({a + first * rank, 1, rank, b + first * columns + column, columns, c + column, columns,
                              rank, std::min(kRowsPerBlock, n - first)});
      }
    }
  });
  if (tiled < columns) {
    at::Tensor rest = out.narrow(1, tiled, columns - tiled);
    rest.copy_(at::mm(low.t(), rows.narrow(1, tiled, columns - tiled)));
  }
  return out;
}

}  // namespace lorikeet
