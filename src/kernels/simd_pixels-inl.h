// Vectors of pixels for loops that Highway compiles for several instruction sets; included once for each of them.
// Elements in memory are float or the bits of bfloat16 (std::uint16_t), arithmetic is float's.
#if defined(LORIKEET_KERNELS_SIMD_PIXELS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef LORIKEET_KERNELS_SIMD_PIXELS_INL_H_
#undef LORIKEET_KERNELS_SIMD_PIXELS_INL_H_
#else
#define LORIKEET_KERNELS_SIMD_PIXELS_INL_H_
#endif

#include <hwy/highway.h>

#include <algorithm>
#include <cstdint>
#include <cstring>

HWY_BEFORE_NAMESPACE();
namespace lorikeet {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using Floats = hn::CappedTag<float, 16>;
using Vector = hn::Vec<Floats>;
constexpr Floats kFloats;
constexpr hn::RebindToUnsigned<Floats> kWords;
constexpr hn::Rebind<std::uint16_t, Floats> kHalves;
constexpr std::int64_t kWidth = std::min<std::int64_t>(16, HWY_LANES(float));  // floats of a vector

HWY_INLINE Vector load(const float* from) { return hn::LoadU(kFloats, from); }
HWY_INLINE Vector load(const std::uint16_t* from) {
  return hn::BitCast(kFloats, hn::ShiftLeft<16>(hn::PromoteTo(kWords, hn::LoadU(kHalves, from))));
}

HWY_INLINE void store(Vector value, float* to) { hn::StoreU(value, kFloats, to); }
// To the nearest, ties to even, as ATen rounds; a NaN stays one.
HWY_INLINE void store(Vector value, std::uint16_t* to) {
  const auto bits = hn::BitCast(kWords, value);
  const auto is_odd = hn::And(hn::ShiftRight<16>(bits), hn::Set(kWords, 1));
  const auto rounded = hn::ShiftRight<16>(hn::Add(bits, hn::Add(is_odd, hn::Set(kWords, 0x7FFF))));
  const auto number = hn::IfThenElse(hn::RebindMask(kWords, hn::IsNaN(value)), hn::Set(kWords, 0x7FC0), rounded);
  hn::StoreU(hn::TruncateTo(kHalves, number), kHalves, to);
}

// Stores in a packed mask (kernels/epilogue.h), from bit `at` on, which elements are strictly between the bounds.
HWY_INLINE void store_mask(Vector value, Vector low, Vector high, std::uint8_t* mask, std::int64_t at) {
  std::uint8_t bits[8];  // as many as StoreMaskBits may write
  hn::StoreMaskBits(kFloats, hn::And(hn::Gt(value, low), hn::Lt(value, high)), bits);
  if constexpr (kWidth >= 8) {
    std::memcpy(mask + at / 8, bits, kWidth / 8);
  } else {
    std::uint8_t& byte = mask[at / 8];
    byte = static_cast<std::uint8_t>((at % 8 == 0 ? 0 : byte) | bits[0] << at % 8);
  }
}

// Of a packed mask: the elements whose bit is set, from bit `at` on.
HWY_INLINE Vector masked(Vector value, const std::uint8_t* mask, std::int64_t at) {
  std::uint8_t bits[8] = {};  // as many as LoadMaskBits may read
  if constexpr (kWidth >= 8) {
    std::memcpy(bits, mask + at / 8, kWidth / 8);
  } else {
    bits[0] = static_cast<std::uint8_t>(mask[at / 8] >> at % 8);
  }
  return hn::IfThenElseZero(hn::LoadMaskBits(kFloats, bits), value);
}

// Not hn::Clamp: NaN must propagate, so that a non-finite loss is detected.
HWY_INLINE Vector clamped(Vector value, Vector low, Vector high) {
  value = hn::IfThenElse(hn::Lt(value, low), low, value);
  return hn::IfThenElse(hn::Gt(value, high), high, value);
}

}  // namespace HWY_NAMESPACE
}  // namespace lorikeet
HWY_AFTER_NAMESPACE();

#endif
