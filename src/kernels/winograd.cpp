#include "kernels/winograd.h"

#include <ATen/Functions.h>

#include <algorithm>
#include <cassert>

#include "base/vector_clones.h"
#include "kernels/parallel.h"

namespace lorikeet {
namespace {

constexpr std::int64_t kTaps = 3;
constexpr std::int64_t kFloat = sizeof(float);

// The filter's values at the points 0, ±√½, ±√2 and infinity, divided by the product of each point's distances.
constexpr double kFilter[kWinogradPatch][kTaps] = {{1, 0, 0},
                                                   {-2.0 / 3, -0.47140452079103168, -1.0 / 3},
                                                   {-2.0 / 3, 0.47140452079103168, -1.0 / 3},
                                                   {1.0 / 6, 0.23570226039551584, 1.0 / 3},
                                                   {1.0 / 6, -0.23570226039551584, 1.0 / 3},
                                                   {0, 0, 1}};

// One input channel of 16 filters, each `next` floats after the one before; `to` has 36 positions, `step` apart.
LORIKEET_VECTOR_CLONES void transform_filters(const float* filters, std::int64_t next, float* to, std::int64_t step) {
  double taps[kTaps][kTaps][kWinogradLanes];
  for (std::int64_t lane = 0; lane < kWinogradLanes; ++lane)
    for (std::int64_t i = 0; i < kTaps * kTaps; ++i) taps[i / kTaps][i % kTaps][lane] = filters[lane * next + i];
  for (std::int64_t i = 0; i < kWinogradPatch; ++i) {
    double half[kTaps][kWinogradLanes];
    for (std::int64_t j = 0; j < kTaps; ++j)
      for (std::int64_t lane = 0; lane < kWinogradLanes; ++lane)
        half[j][lane] =
            kFilter[i][0] * taps[0][j][lane] + kFilter[i][1] * taps[1][j][lane] + kFilter[i][2] * taps[2][j][lane];
    for (std::int64_t j = 0; j < kWinogradPatch; ++j)
      for (std::int64_t lane = 0; lane < kWinogradLanes; ++lane)
        to[(i * kWinogradPatch + j) * step + lane] = static_cast<float>(
            kFilter[j][0] * half[0][lane] + kFilter[j][1] * half[1][lane] + kFilter[j][2] * half[2][lane]);
  }
}

// How the tiles are divided.
struct Division {
  std::int64_t tiles = 0;  // of a block
  // Whether all threads work on one block. They then read the weights once, together, which pays for weights that
  // leave the caches; otherwise each thread has blocks of its own, and waits for no other.
  bool is_shared = false;
  std::int64_t parts = 1;  // blocks at the same time
};

std::int64_t weight_bytes(const WinogradShape& shape) { return kWinogradPositions * shape.in * shape.out * kFloat; }

// Whether the weights are read from memory each time.
bool leaves_caches(const WinogradShape& shape) {
  constexpr std::int64_t kThirdCache = 8 << 20;  // a part of it, as it is shared
  return weight_bytes(shape) > kThirdCache;
}

Division division_of(const WinogradShape& shape) {
  constexpr std::int64_t kSecondCache = 1 << 20;
  constexpr std::int64_t kSharedBlock = 24 << 20;
  const std::int64_t threads = at::get_num_threads();
  const std::int64_t tiles = shape.tiles();
  const std::int64_t weights = weight_bytes(shape);
  const std::int64_t few = weights <= kSecondCache ? winograd_block() : 2 * winograd_block();
  if (leaves_caches(shape) || (threads > 1 && tiles < threads * few && weights > kSecondCache)) {
    const std::int64_t most = kSharedBlock / (kWinogradPositions * (shape.in + shape.out) * kFloat);
    const std::int64_t blocks = std::max<std::int64_t>(1, (tiles + most - 1) / std::max<std::int64_t>(1, most));
    return {(tiles + blocks - 1) / blocks, true, 1};
  }
  const std::int64_t block = std::min(few, tiles);
  return {block, false, std::min(threads, (tiles + block - 1) / block)};
}

std::int64_t scratch_floats(const WinogradShape& shape, std::int64_t tiles) {
  return kWinogradPositions * (tiles * (shape.in + shape.out) + 2 * kWinogradLanes);
}

WinogradBlock block_at(const WinogradShape& shape, std::int64_t first, std::int64_t most, float* scratch) {
  WinogradBlock block(shape, first, std::min(most, shape.tiles() - first));
  block.inputs = scratch;
  block.products = scratch + kWinogradPositions * block.input_step();
  return block;
}

template <typename Element>
struct Pointers {
  const Element* x;
  WinogradWeights weights;
  Element* y;
  SimdEpilogue<Element> finish;
  float* scratch;
};

template <typename Element>
void run_shared(const WinogradShape& shape, const Division& division, const Pointers<Element>& to) {
  constexpr std::int64_t kTilesOfThread = 4;
  for (std::int64_t first = 0; first < shape.tiles(); first += division.tiles) {
    const WinogradBlock block = block_at(shape, first, division.tiles, to.scratch);
    parallel_for(block.tiles, kTilesOfThread, [&](std::int64_t begin, std::int64_t end) {
      read_winograd(block, to.x, {begin, end});
    });
    parallel_for(winograd_products(shape), 1, [&](std::int64_t begin, std::int64_t end) {
      multiply_winograd(block, to.weights, {begin, end});
    });
    parallel_for(block.tiles, kTilesOfThread, [&](std::int64_t begin, std::int64_t end) {
      write_winograd(block, to.finish, to.y, {begin, end});
    });
  }
}

template <typename Element>
void run_apart(const WinogradShape& shape, const Division& division, const Pointers<Element>& to) {
  const std::int64_t blocks = (shape.tiles() + division.tiles - 1) / division.tiles;
  parallel_for(division.parts, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t part = begin; part < end; ++part) {
      float* const scratch = to.scratch + part * scratch_floats(shape, division.tiles);
      for (std::int64_t i = blocks * part / division.parts; i < blocks * (part + 1) / division.parts; ++i) {
        const WinogradBlock block = block_at(shape, i * division.tiles, division.tiles, scratch);
        read_winograd(block, to.x, {0, block.tiles});
        multiply_winograd(block, to.weights, {0, winograd_products(shape)});
        write_winograd(block, to.finish, to.y, {0, block.tiles});
      }
    }
  });
}

template <typename Element>
void run_elements(const at::Tensor& x, const WinogradWeights& weights, const WinogradShape& shape,
                  const JoinedEpilogue& finish, const at::Tensor& y) {
  const Division division = division_of(shape);
  const at::Tensor scratch = at::empty({division.parts * scratch_floats(shape, division.tiles)}, at::kFloat);
  const Pointers<Element> pointers{.x = static_cast<const Element*>(x.const_data_ptr()),
                                   .weights = weights,
                                   .y = static_cast<Element*>(y.mutable_data_ptr()),
                                   .finish = simd_epilogue<Element>(finish),
                                   .scratch = scratch.mutable_data_ptr<float>()};
  division.is_shared ? run_shared(shape, division, pointers) : run_apart(shape, division, pointers);
}

void run(const at::Tensor& x, const WinogradWeights& weights, const WinogradShape& shape, const JoinedEpilogue& finish,
         const at::Tensor& y) {
  const at::Tensor pixels = x.contiguous(at::MemoryFormat::ChannelsLast);
  if (x.scalar_type() == at::kFloat) {
    run_elements<float>(pixels, weights, shape, finish, y);
  } else {
    run_elements<std::uint16_t>(pixels, weights, shape, finish, y);
  }
}

at::Tensor output_of(const WinogradShape& shape, const at::Tensor& x) {
  return at::empty({shape.images, shape.out, shape.out_height, shape.out_width},
                   x.options().memory_format(at::MemoryFormat::ChannelsLast));
}

// The model counts time in products of one thread, as measured on Zen 4. What all threads wait for counts once for
// each.

// The time of reading a weight from memory.
double read_time() { return 8.0 * at::get_num_threads(); }

// Products of a direct convolution in the time of one in float32.
double direct_speed(at::ScalarType type) {
  if (type == at::kFloat) return 1;
#if defined(__x86_64__) && defined(__GNUC__)
  if (__builtin_cpu_supports("amx-bf16") != 0) return 16;
#endif
  return 2;
}

// The products of a direct convolution that read no padding, of one image and pair of channels.
std::int64_t direct_products(const WinogradShape& shape) {
  const auto along = [](std::int64_t size, std::int64_t out, std::int64_t before) {
    std::int64_t taps = 0;
    for (std::int64_t k = 0; k < kTaps; ++k) {
      const std::int64_t first = std::max<std::int64_t>(0, before - k);
      const std::int64_t last = std::min(out, size + before - k);
      taps += std::max<std::int64_t>(0, last - first);
    }
    return taps;
  };
  return along(shape.height, shape.out_height, shape.top) * along(shape.width, shape.out_width, shape.left);
}

// `packing` is the time of packing a weight.
bool pays(const WinogradShape& shape, at::ScalarType type, double packing) {
  if (!has_winograd() || shape.in % kWinogradLanes != 0 || shape.out % kWinogradLanes != 0) return false;
  if (shape.tiles() == 0) return false;
  constexpr double kTransform = 550;  // products in the time of transforming a channel of a tile
  constexpr double kMargin = 1.15;
  const auto pairs = static_cast<double>(shape.in * shape.out);
  const double own = static_cast<double>(shape.products()) * pairs +
                     kTransform * static_cast<double>(shape.tiles() * (shape.in + shape.out)) +
                     (read_time() + packing) * kWinogradPositions * pairs;
  const double direct = (static_cast<double>(shape.images * direct_products(shape)) + read_time() * kTaps * kTaps) *
                        pairs / direct_speed(type);
  return kMargin * own < direct;
}

}  // namespace

bool winograd_pays(const WinogradShape& shape, at::ScalarType type) { return pays(shape, type, 0); }

bool winograd_gradient_pays(const WinogradShape& shape, at::ScalarType type) {
  constexpr double kPack = 20;
  return pays(shape, type, winograd_shares_weights(shape) ? kPack : 0);
}

at::Tensor winograd_weights(const at::Tensor& weight) {
  const at::Tensor filters = weight.contiguous();
  const std::int64_t out = filters.size(0);
  const std::int64_t in = filters.size(1);
  assert(out % kWinogradLanes == 0 && filters.size(2) == kTaps && filters.size(3) == kTaps);
  at::Tensor weights = at::empty({kWinogradPositions, out / kWinogradLanes, in, kWinogradLanes}, filters.options());
  const float* const from = filters.const_data_ptr<float>();
  float* const to = weights.mutable_data_ptr<float>();
  const std::int64_t next = in * kTaps * kTaps;
  parallel_for(out / kWinogradLanes, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin * in; i < end * in; ++i)
      transform_filters(from + i / in * kWinogradLanes * next + i % in * kTaps * kTaps, next, to + i * kWinogradLanes,
                        in * out);
  });
  return weights;
}

std::uint64_t winograd_scratch(const WinogradShape& shape) {
  const Division division = division_of(shape);
  return static_cast<std::uint64_t>(division.parts * scratch_floats(shape, division.tiles) * kFloat);
}

// All threads pack them once for all tiles. For blocks of few tiles, that would take a fifth of the time.
bool winograd_shares_weights(const WinogradShape& gradient) { return leaves_caches(gradient); }

at::Tensor winograd_conv(const at::Tensor& x, const at::Tensor& weights, const WinogradShape& shape,
                         const Epilogue* after, at::Tensor* kept) {
  const at::Tensor y = output_of(shape, x);
  run(x, {weights.const_data_ptr<float>()}, shape, joined_epilogue(y, after, kept), y);
  apply_rest_(y, after, kept);
  return y;
}

at::Tensor winograd_gradient(const at::Tensor& grad, const WinogradGradientWeights& weights, const WinogradShape& shape,
                             const at::Tensor& sum) {
  assert(!sum.defined() || sum.is_contiguous(at::MemoryFormat::ChannelsLast));
  const at::Tensor y = sum.defined() ? sum : output_of(shape, grad);
  JoinedEpilogue finish;
  finish.residual = sum;
  run(grad, {weights.values.const_data_ptr<float>(), /*is_opposite=*/!weights.are_flipped}, shape, finish, y);
  return y;
}

}  // namespace lorikeet
