// An adaptive binary range coder (Martin, 1979) with the carry handling of LZMA, and the bit models of
// docs/format/lorikeet.md. It uses integer arithmetic alone, so that every machine decodes the same.
//
// Invariant: encoder and decoder make the same calls in the same order with the same models.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/error.h"
#include "base/text.h"

namespace lorikeet {

/// The probability that a bit is 0, estimated from the bits coded so far: nearly their share at first, later an
/// exponential mean.
class BitModel {
 public:
  static constexpr int kBits = 15;
  /// Scaled by 2^15, never 0 or 1.
  std::uint32_t zero() const { return std::clamp<std::uint32_t>(probability_ >> 1, kLeast, (1U << kBits) - kLeast); }
  void update(bool bit) {
    const std::int32_t target = bit ? 0 : 0xffff;
    probability_ = static_cast<std::uint32_t>(static_cast<std::int32_t>(probability_) +
                                              (target - static_cast<std::int32_t>(probability_)) / (count_ + 2));
    if (count_ < kMostCounted) ++count_;
  }

 private:
  static constexpr std::uint32_t kLeast = 32;
  static constexpr std::int32_t kMostCounted = 126;
  std::uint32_t probability_ = 0x8000;  // scaled by 2^16
  std::int32_t count_ = 0;
};

/// Models of the bits of an integer below 2^kDepth, each given the bits above it.
template <int kDepth>
using BitTree = std::array<BitModel, std::size_t{1} << kDepth>;

/// Of the numbers in [low, low + range), the least of those with the most zero bytes at the end. REQUIRES: range is at
/// least 2^24.
inline std::uint64_t shortest_in(std::uint64_t low, std::uint32_t range) {
  constexpr std::uint64_t kFour = 0xffffffff, kThree = 0xffffff;
  const std::uint64_t rounded = (low + kFour) & ~kFour;
  return rounded - low < range ? rounded : (low + kThree) & ~kThree;
}

class RangeEncoder {
 public:
  void bit(BitModel& model, bool value) {
    const std::uint32_t bound = (range_ >> BitModel::kBits) * model.zero();
    if (value) {
      low_ += bound;
      range_ -= bound;
    } else {
      range_ = bound;
    }
    model.update(value);
    normalise();
  }
  /// `count` bits, at most 16, that are not modelled.
  void bits(std::uint32_t value, int count) {
    range_ >>= count;
    low_ += static_cast<std::uint64_t>(value) * range_;
    normalise();
  }
  template <int kDepth, std::size_t kSize>
  void tree(std::array<BitModel, kSize>& models, std::uint32_t value) {
    static_assert(kSize == std::size_t{1} << kDepth);
    std::uint32_t node = 1;
    for (int i = kDepth - 1; i >= 0; --i) {
      const bool each = ((value >> i) & 1U) != 0;
      bit(models[node], each);
      node = 2 * node + (each ? 1 : 0);
    }
  }
  /// The bits so far, with fractions.
  double position() const {
    return 8.0 * static_cast<double>(out_.size() + pending_) + 32 - std::log2(static_cast<double>(range_));
  }
  /// Returns the bytes. Up to four zero bytes at the end are left out. REQUIRES: called once, last.
  std::string finish() {
    low_ = shortest_in(low_, range_);
    for (int i = 0; i < 5; ++i) shift();
    out_.erase(0, 1);  // the first byte is always 0
    for (int i = 0; i < 4 && !out_.empty() && out_.back() == '\0'; ++i) out_.pop_back();
    return std::move(out_);
  }

 private:
  void normalise() {
    while (range_ < 1U << 24) {
      range_ <<= 8;
      shift();
    }
  }
  // Moves the top byte of `low_` out. A byte 0xff may still get a carry, so it waits.
  void shift() {
    const bool carry = (low_ >> 32) != 0;
    if (low_ < 0xff000000U || carry) {
      for (; pending_ > 0; --pending_) {
        out_.push_back(static_cast<char>(waiting_ + (carry ? 1 : 0)));
        waiting_ = 0xff;
      }
      waiting_ = static_cast<std::uint8_t>(low_ >> 24);
    }
    ++pending_;
    low_ = (low_ & 0xffffffU) << 8;
  }

  std::uint64_t low_ = 0;
  std::uint32_t range_ = 0xffffffffU;
  std::uint8_t waiting_ = 0;
  std::uint64_t pending_ = 1;  // `waiting_` and the bytes 0xff after it
  std::string out_;
};

class RangeDecoder {
 public:
  /// Reads `bytes`, which must outlive the object. Error messages start with `where`.
  RangeDecoder(std::string_view bytes, std::string where) : bytes_(bytes), where_(std::move(where)) {
    for (int i = 0; i < 4; ++i) next();
  }

  bool bit(BitModel& model) {
    const std::uint32_t bound = (range_ >> BitModel::kBits) * model.zero();
    const bool value = code_ >= bound;
    if (value) {
      code_ -= bound;
      range_ -= bound;
    } else {
      range_ = bound;
    }
    model.update(value);
    normalise();
    return value;
  }
  std::uint32_t bits(int count) {
    range_ >>= count;
    const std::uint32_t value = std::min(code_ / range_, (1U << count) - 1);
    code_ -= value * range_;
    normalise();
    return value;
  }
  template <int kDepth, std::size_t kSize>
  std::uint32_t tree(std::array<BitModel, kSize>& models) {
    static_assert(kSize == std::size_t{1} << kDepth);
    std::uint32_t node = 1;
    for (int i = 0; i < kDepth; ++i) node = 2 * node + (bit(models[node]) ? 1 : 0);
    return node - (1U << kDepth);
  }
  /// As RangeEncoder::position().
  double position() const { return 8.0 * static_cast<double>(read_ - 3) + 32 - std::log2(static_cast<double>(range_)); }
  const std::string& where() const { return where_; }
  /// Throws Error unless the bytes end as RangeEncoder::finish ends them. REQUIRES: called last.
  void finish() const {
    if (read_ < bytes_.size())
      fail(where_, ": got ", counted(bytes_.size() - read_, "byte"), " after the last tensor, expected none.");
    const std::uint32_t low = window_ - code_;
    const bool has_zero = !bytes_.empty() && bytes_.back() == '\0' && bytes_.size() + 4 > read_;
    if (static_cast<std::uint32_t>(shortest_in(low, range_)) != window_ || has_zero)
      fail(where_, ": got other bytes at the end than those of the last tensor. The file is damaged.");
  }

 private:
  void next() {
    if (read_ >= bytes_.size() + 4) fail(where_, ": got too few bytes for the tensors. The file is damaged.");
    const std::uint32_t byte = read_ < bytes_.size() ? static_cast<std::uint8_t>(bytes_[read_]) : 0U;
    code_ = code_ << 8 | byte;
    window_ = window_ << 8 | byte;
    ++read_;
  }
  void normalise() {
    while (range_ < 1U << 24) {
      range_ <<= 8;
      next();
    }
  }

  std::string_view bytes_;
  std::string where_;
  std::size_t read_ = 0;
  std::uint32_t code_ = 0;    // the distance of `window_` from the encoder's `low`
  std::uint32_t window_ = 0;  // the last four bytes
  std::uint32_t range_ = 0xffffffffU;
};

}  // namespace lorikeet
