// Python pickles read as data: a stack machine for the opcodes that torch.save emits (protocols 0 to 5), which builds a
// tree of plain values and never imports, calls or constructs anything.
//
//   GLOBAL, STACK_GLOBAL  → the name alone
//   REDUCE, NEWOBJ        → a node (callable, arguments); BUILD adds its state; the caller knows what a few names mean
//                           and skips the others
//   BINPERSID             → a node that holds the id
//
// Values live in one flat vector and refer to each other by index, so that neither a deep tree nor a cyclic one can
// exhaust the stack, here or on destruction. Walk them without recursion.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/file.h"

namespace lorikeet {

using PickleIndex = std::uint32_t;

enum class PickleKind : std::uint8_t {
  kNone,
  kBool,
  kInt,
  kBigInt,  // does not fit 64 bits; `text` holds its little-endian two's complement
  kFloat,
  kText,  // always UTF-8
  kBytes,
  kList,
  kTuple,
  kSet,
  kDict,
  kGlobal,        // `text` is "module.name"
  kObject,        // made by REDUCE or NEWOBJ
  kPersistentId,  // `arguments` is the id
};

struct PickleValue {
  static constexpr PickleIndex kAbsent = UINT32_MAX;

  PickleKind kind = PickleKind::kNone;
  std::int64_t integer = 0;  // kBool, kInt
  double real = 0;           // kFloat
  std::string text;
  std::vector<PickleIndex> items;   // of a list, tuple or set; key, value, key, value … of a dict or an object
  PickleIndex callable = kAbsent;   // kObject: a kGlobal, or an object that is called in turn
  PickleIndex arguments = kAbsent;  // kObject: a kTuple
  PickleIndex state = kAbsent;      // kObject, where BUILD gave it one
};

struct Pickle {
  std::vector<PickleValue> values;
  PickleIndex root = 0;
  std::uint64_t end = 0;  // offset in the file of the first byte after the pickle

  const PickleValue& operator[](PickleIndex index) const { return values[index]; }
  const PickleValue& top() const { return values[root]; }
  /// Whether `value` is a call of the global `name`.
  bool is_call(const PickleValue& value, std::string_view name) const {
    return value.kind == PickleKind::kObject && values[value.callable].text == name;
  }
};

struct PickleOptions {
  std::string where;                      // begins every message
  std::uint64_t max_bytes = 64ULL << 20;  // of the pickle
  std::uint64_t max_text = 1ULL << 20;    // of one text
  std::size_t max_values = 1'000'000;     // in the tree, on the stack, in the memo, each
  std::size_t max_marks = 1'000;          // open at the same time
};

/// The pickle that begins at byte `begin` of `file` and ends before `end`. Throws Error where it is broken or too
/// large. REQUIRES: begin <= end <= file.size().
Pickle read_pickle(const InputFile& file, std::uint64_t begin, std::uint64_t end, const PickleOptions& options);

/// What `value` is, for messages: "an int", "the global 'torch.Size'", "a call of 'torch.Size'" …
std::string describe(const Pickle& pickle, const PickleValue& value);

/// The name that a kObject calls: "argparse.Namespace".
const std::string& callable_name(const Pickle& pickle, const PickleValue& object);

}  // namespace lorikeet
