// Reads Python pickles as data: a stack machine for the opcodes that torch.save emits (protocols 0 to 5). It builds a
// tree of plain values and never imports, calls or constructs anything.
//
//   GLOBAL, STACK_GLOBAL  → only the name
//   REDUCE, NEWOBJ        → a node (callable, arguments); BUILD adds its state; the caller interprets a few names and
//                           skips the others
//   BINPERSID             → a node that contains the id
//
// Values are stored in one flat vector and refer to each other by index, so that neither a deep nor a cyclic tree can
// exhaust the stack, also on destruction. Walk them without recursion.
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
  kBigInt,  // more than 64 bits; `text` is its little-endian two's complement
  kFloat,
  kText,  // always UTF-8
  kBytes,
  kList,
  kTuple,
  kSet,
  kDict,
  kGlobal,        // `text` is "module.name"
  kObject,        // created by REDUCE or NEWOBJ
  kPersistentId,  // `arguments` is the id
};

struct PickleValue {
  static constexpr PickleIndex kAbsent = UINT32_MAX;

  PickleKind kind = PickleKind::kNone;
  std::int64_t integer = 0;  // kBool, kInt
  double real = 0;           // kFloat
  std::string text;
  std::vector<PickleIndex> items;   // of a list, tuple or set; key, value, key, value … of a dict or an object
  PickleIndex callable = kAbsent;   // kObject: a kGlobal, or a kObject that is called itself
  PickleIndex arguments = kAbsent;  // kObject: a kTuple
  PickleIndex state = kAbsent;      // kObject: set by BUILD, if any
};

struct Pickle {
  std::vector<PickleValue> values;
  PickleIndex root = 0;
  std::uint64_t end = 0;  // file offset of the end of the pickle

  const PickleValue& operator[](PickleIndex index) const { return values[index]; }
  const PickleValue& top() const { return values[root]; }
  /// Whether `value` is a call of the global `name`.
  bool is_call(const PickleValue& value, std::string_view name) const {
    return value.kind == PickleKind::kObject && values[value.callable].text == name;
  }
};

struct PickleOptions {
  std::string where;                      // prefix of messages
  std::uint64_t max_bytes = 64ULL << 20;  // of the pickle
  std::uint64_t max_text = 1ULL << 20;    // of one string
  std::size_t max_values = 1'000'000;     // in each of tree, stack and memo
  std::size_t max_marks = 1'000;          // open at the same time
};

/// Reads the pickle between the bytes `begin` and `end` of `file`. Throws Error if it is broken or too large. REQUIRES:
/// begin <= end <= file.size().
Pickle read_pickle(const InputFile& file, std::uint64_t begin, std::uint64_t end, const PickleOptions& options);

/// Describes `value` for messages: "an int", "the global 'torch.Size'", "a call of 'torch.Size'" …
std::string describe(const Pickle& pickle, const PickleValue& value);

/// The name of the callable of a kObject: "argparse.Namespace".
const std::string& callable_name(const Pickle& pickle, const PickleValue& object);

}  // namespace lorikeet
