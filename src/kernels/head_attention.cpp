#include "kernels/head_attention.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>

#include "kernels/tiles.h"

namespace lorikeet {
namespace {

constexpr std::int64_t kLanes = kTileColumns;
constexpr std::int64_t kMostKeys = 1024;  // beyond, a head's scores leave the caches

// Sixteen floats, in one register or several.
using Lanes = float __attribute__((vector_size(4 * kLanes), may_alias));
using LooseLanes = float __attribute__((vector_size(4 * kLanes), aligned(4), may_alias));
using LaneBits = std::uint32_t __attribute__((vector_size(4 * kLanes), may_alias));

struct Sizes {
  explicit Sizes(const AttentionHead& head)
      : key_panels((head.keys + kLanes - 1) / kLanes), width_panels(head.width / kLanes), padded(key_panels * kLanes),
        packed(std::max(padded, head.queries) * head.width),
        scale(static_cast<float>(1 / std::sqrt(static_cast<double>(head.width)))) {}

  std::int64_t key_panels;
  std::int64_t width_panels;
  std::int64_t padded;  // keys
  std::int64_t packed;  // floats of the largest packed matrix
  float scale;
};

#if defined(__x86_64__)
namespace avx512 {
#define LORIKEET_TARGET __attribute__((target("avx512f,avx512dq,avx512vl,avx512bw,avx2,fma")))
#include "kernels/head_attention.inc"
#undef LORIKEET_TARGET
}  // namespace avx512
namespace avx2 {
#define LORIKEET_TARGET __attribute__((target("avx2,fma")))
#include "kernels/head_attention.inc"
#undef LORIKEET_TARGET
}  // namespace avx2

bool has_avx512() {
  static const bool kHas = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
                           __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512bw");
  return kHas;
}
#endif

}  // namespace

#if defined(__x86_64__)
bool has_head_attention(std::int64_t width, std::int64_t keys) {
  return has_tiles() && width % kLanes == 0 && keys <= kMostKeys;
}
void head_forward(const AttentionHead& head, const MutableHeadRows& out, float* scratch) {
  has_avx512() ? avx512::Kernel::forward(head, out, scratch) : avx2::Kernel::forward(head, out, scratch);
}
void head_backward(const AttentionHead& head, const HeadRows& out_gradient, const HeadGradients& gradients,
                   float* scratch) {
  has_avx512() ? avx512::Kernel::backward(head, out_gradient, gradients, scratch)
               : avx2::Kernel::backward(head, out_gradient, gradients, scratch);
}
#else
bool has_head_attention(std::int64_t, std::int64_t) { return false; }
void head_forward(const AttentionHead&, const MutableHeadRows&, float*) {}
void head_backward(const AttentionHead&, const HeadRows&, const HeadGradients&, float*) {}
#endif

std::int64_t head_scratch(const AttentionHead& head) {
  const Sizes sizes(head);
  return sizes.packed + 2 * head.queries * sizes.padded;
}

}  // namespace lorikeet
