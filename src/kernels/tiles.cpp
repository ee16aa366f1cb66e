#include "kernels/tiles.h"

#include <cstdint>

namespace lorikeet {
#if defined(__x86_64__)
namespace {

// Sixteen floats, in one register or two.
using TileLanes = float __attribute__((vector_size(4 * kTileColumns), may_alias));
using LooseTileLanes = float __attribute__((vector_size(4 * kTileColumns), aligned(4), may_alias));

namespace tiles_avx512 {
#define LORIKEET_TARGET __attribute__((target("avx512f,avx2,fma")))
#define LORIKEET_ROWS 12
#include "kernels/tiles.inc"
#undef LORIKEET_TARGET
#undef LORIKEET_ROWS
}  // namespace tiles_avx512
namespace tiles_avx2 {
#define LORIKEET_TARGET __attribute__((target("avx2,fma")))
#define LORIKEET_ROWS 6
#include "kernels/tiles.inc"
#undef LORIKEET_TARGET
#undef LORIKEET_ROWS
}  // namespace tiles_avx2

bool tiles_have_avx512() {
  static const bool kHas = __builtin_cpu_supports("avx512f");
  return kHas;
}

}  // namespace

bool has_tiles() {
  static const bool kHas = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  return kHas;
}
void multiply_tiles(const TileProduct& product) {
  tiles_have_avx512() ? tiles_avx512::Tiles::multiply<false>(product) : tiles_avx2::Tiles::multiply<false>(product);
}
void add_multiplied_tiles(const TileProduct& product) {
  tiles_have_avx512() ? tiles_avx512::Tiles::multiply<true>(product) : tiles_avx2::Tiles::multiply<true>(product);
}
#else
bool has_tiles() { return false; }
void multiply_tiles(const TileProduct&) {}
void add_multiplied_tiles(const TileProduct&) {}
#endif

}  // namespace lorikeet
