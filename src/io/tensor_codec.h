// Codes tensors in few bytes: as float32 (lossless), bfloat16, or integer levels times a scale, with an adaptive range
// coder. The grammar is in docs/format/lorikeet.md. Neither names nor shapes are stored: the reader knows them.
//
// Invariant: a decoder that is asked for the same tensors in the same order returns what the encoder's `add` returned.
#pragma once

#include <ATen/core/Tensor.h>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "lorikeet/compute.h"

namespace lorikeet {

/// How a tensor is stored.
enum class TensorForm {
  /// Not stored: it has the value of a new network of the same adaptation.
  kStart,
  kZero,
  kFloat32,
  kBFloat16,
  /// Levels times a scale.
  kLevels,
  /// The same, added to the value of a new network.
  kLevelsOnStart
};

/// The precision of a stored tensor: 32 (float32), 16 (bfloat16), or 2 to 8 bits of a level.
using StoredBits = int;

inline constexpr StoredBits kFloat32Bits = 32;
inline constexpr StoredBits kBFloat16Bits = 16;
inline constexpr StoredBits kMostLevelBits = 8;
inline constexpr StoredBits kLeastLevelBits = 2;

StoredBits stored_bits(FilePrecision precision);

/// "float32", "bfloat16", "int8" … "int2".
std::string stored_bits_name(StoredBits bits);

struct TensorCoding {
  TensorForm form = TensorForm::kFloat32;
  /// Of the levels.
  StoredBits bits = 0;
  float scale = 0;
  /// Size in the file, with fractions of a bit.
  double stored_bits = 0;
};

/// "int8", "int4, of the change", "not stored" …
std::string describe(const TensorCoding& coding);

struct TensorToStore {
  /// Floating-point, finite in float32.
  at::Tensor values;
  /// The value of a new network, of the same shape; undefined if a reader could not compute exactly this one.
  at::Tensor start = {};
  StoredBits bits = kFloat32Bits;
  /// Of the levels; 0: the best one.
  float scale = 0;
};

class TensorEncoder {
 public:
  TensorEncoder();
  ~TensorEncoder();
  TensorEncoder(const TensorEncoder&) = delete;
  TensorEncoder& operator=(const TensorEncoder&) = delete;

  /// Stores the tensor in the smallest form that is as precise as `bits` demands: kStart and kZero where they are
  /// exact, kBFloat16 for kFloat32Bits where it is exact. Of scales, those with the least squared error.
  TensorCoding add(const TensorToStore& tensor);
  /// Stores a number that is 0 or 1 and usually equals `expected`.
  void add_flag(bool flag);
  /// Stores finite numbers in float32.
  void add_floats(const std::vector<float>& values);
  std::string finish();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

class TensorDecoder {
 public:
  /// Reads `bytes`, which must outlive the object. Error messages start with `where`.
  TensorDecoder(std::string_view bytes, const std::string& where);
  ~TensorDecoder();
  TensorDecoder(const TensorDecoder&) = delete;
  TensorDecoder& operator=(const TensorDecoder&) = delete;

  struct Stored {
    /// float32, contiguous. Undefined for kStart; for kLevelsOnStart, what is to be added to the start.
    at::Tensor values;
    TensorCoding coding;
  };
  /// Reads the next tensor. `name` is used in messages. Throws Error if a value is not finite, the form needs a start
  /// and `has_start` is false, or the data ends.
  Stored next(at::IntArrayRef shape, bool has_start, const std::string& name);
  bool next_flag();
  std::vector<float> next_floats(std::size_t count, const std::string& name);
  /// Throws Error if there are more bytes.
  void finish() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// The start with what a file adds to it: in float32, each sum rounded once.
at::Tensor added_to_start(const at::Tensor& start, const at::Tensor& values);

}  // namespace lorikeet
