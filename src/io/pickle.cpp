// A stack machine with one or two lines per opcode. The file is long because pickle has many opcodes.
#include "io/pickle.h"

#include <algorithm>
#include <array>
#include <bit>
#include <charconv>
#include <cstdio>
#include <map>
#include <utility>

#include "base/bytes.h"
#include "base/error.h"
#include "base/text.h"

namespace lorikeet {
namespace {

constexpr std::size_t kMaxLine = 512;  // module and class names, decimal numbers
constexpr std::size_t kMaxBigInt = 255;
constexpr int kMaxProtocol = 5;

// Names follow Python's pickletools.
enum Op : std::uint8_t {
  kMark = '(',
  kStop = '.',
  kPop = '0',
  kPopMark = '1',
  kDup = '2',
  kFloat = 'F',
  kInt = 'I',
  kBinInt = 'J',
  kBinInt1 = 'K',
  kLong = 'L',
  kBinInt2 = 'M',
  kNone = 'N',
  kBinFloat = 'G',
  kBinPersId = 'Q',
  kReduce = 'R',
  kBuild = 'b',
  kGlobal = 'c',
  kBinString = 'T',
  kShortBinString = 'U',
  kBinUnicode = 'X',
  kBinBytes = 'B',
  kShortBinBytes = 'C',
  kAppend = 'a',
  kAppends = 'e',
  kDict = 'd',
  kEmptyDict = '}',
  kList = 'l',
  kEmptyList = ']',
  kSetItem = 's',
  kSetItems = 'u',
  kTuple = 't',
  kEmptyTuple = ')',
  kGet = 'g',
  kBinGet = 'h',
  kLongBinGet = 'j',
  kPut = 'p',
  kBinPut = 'q',
  kLongBinPut = 'r',
  kProto = 0x80,
  kNewObj = 0x81,
  kTuple1 = 0x85,
  kTuple2 = 0x86,
  kTuple3 = 0x87,
  kNewTrue = 0x88,
  kNewFalse = 0x89,
  kLong1 = 0x8a,
  kLong4 = 0x8b,
  kShortBinUnicode = 0x8c,
  kBinUnicode8 = 0x8d,
  kBinBytes8 = 0x8e,
  kEmptySet = 0x8f,
  kAddItems = 0x90,
  kFrozenSet = 0x91,
  kStackGlobal = 0x93,
  kMemoize = 0x94,
  kFrame = 0x95,
  kByteArray8 = 0x96,
};

class PickleMachine {
 public:
  PickleMachine(const InputFile& file, std::uint64_t begin, std::uint64_t end, const PickleOptions& options)
      : file_(file), options_(options), fetched_(begin),
        end_(std::min(end, begin + std::min(options.max_bytes, end - begin))), cut_(end_ < end) {}

  Pickle run() {
    for (;;) {
      opcode_at_ = position();
      const auto op = number<std::uint8_t>();
      if (op == kStop) break;
      step(op);
    }
    out_.root = pop();
    out_.end = position();
    return std::move(out_);
  }

 private:
  template <typename... Parts>
  [[noreturn]] void refuse(const Parts&... parts) const {
    fail(options_.where, ": byte ", opcode_at_, " of the pickle: ", parts...);
  }

  // ---- bytes -------------------------------------------------------------------------------------------------------

  std::uint64_t position() const { return fetched_ - (held_ - next_); }
  std::uint64_t remaining() const { return end_ - position(); }

  void require(std::uint64_t count) const {
    if (count <= remaining()) return;
    if (cut_) refuse("got a pickle longer than ", human_bytes(options_.max_bytes), ", expected a list of tensors.");
    refuse("got ", counted(remaining(), "byte"), ", expected ", with_commas(count),
           ". The file is truncated or broken.");
  }

  void take(void* into, std::size_t count) {
    require(count);
    auto* out = static_cast<std::byte*>(into);
    while (count > 0) {
      if (next_ == held_) {
        held_ = static_cast<std::size_t>(std::min<std::uint64_t>(buffer_.size(), end_ - fetched_));
        file_.read(fetched_, std::span(buffer_).first(held_));
        fetched_ += held_;
        next_ = 0;
      }
      const std::size_t part = std::min(count, held_ - next_);
      std::copy_n(buffer_.data() + next_, part, out);
      out += part;
      next_ += part;
      count -= part;
    }
  }

  template <typename T>
  T number() {
    std::array<std::byte, sizeof(T)> bytes;
    take(bytes.data(), bytes.size());
    return load_le<T>(bytes.data());
  }

  std::string text(std::uint64_t size) {
    require(size);  // before allocating
    if (size > options_.max_text) refuse("got a text of ", size, " bytes, expected at most ", options_.max_text, ".");
    std::string out(static_cast<std::size_t>(size), '\0');
    take(out.data(), out.size());
    return out;
  }

  std::string line() {
    std::string out;
    for (auto c = number<char>(); c != '\n'; c = number<char>()) {
      if (out.size() == kMaxLine) refuse("got a line longer than ", kMaxLine, " bytes, expected a name or a number.");
      out += c;
    }
    return out;
  }

  template <typename T>
  T parsed(std::string_view digits) const {
    T out{};
    const auto [stopped, error] = std::from_chars(digits.data(), digits.data() + digits.size(), out);
    if (error != std::errc() || stopped != digits.data() + digits.size() || digits.empty()) {
      refuse("got '", printable(digits, 40), "', expected a number that fits 64 bits.");
    }
    return out;
  }

  // ---- stack and values --------------------------------------------------------------------------------------------

  void push(PickleIndex index) {
    if (stack_.size() >= options_.max_values) {
      refuse("got more than ", options_.max_values, " values on the stack, expected fewer.");
    }
    stack_.push_back(index);
  }

  PickleValue& make(PickleKind kind) {
    if (out_.values.size() >= options_.max_values)
      refuse("got more than ", options_.max_values, " values, expected fewer.");
    push(static_cast<PickleIndex>(out_.values.size()));
    out_.values.emplace_back().kind = kind;
    return out_.values.back();
  }

  void make_integer(std::int64_t value, PickleKind kind = PickleKind::kInt) { make(kind).integer = value; }

  void make_text(std::string content) {
    if (!is_utf8(content)) refuse("got a text that is not UTF-8.");
    make(PickleKind::kText).text = std::move(content);
  }

  // The first stack index that an opcode may access: above the innermost mark.
  std::size_t base() const { return marks_.empty() ? 0 : marks_.back(); }

  PickleIndex peek() const {
    if (stack_.size() <= base()) refuse("got an empty stack, expected a value. The pickle is broken.");
    return stack_.back();
  }

  PickleIndex pop() {
    const PickleIndex index = peek();
    stack_.pop_back();
    return index;
  }

  std::vector<PickleIndex> pop_to_mark() {
    if (marks_.empty()) refuse("got no mark on the stack, expected one. The pickle is broken.");
    const auto begin = stack_.begin() + static_cast<std::ptrdiff_t>(marks_.back());
    std::vector<PickleIndex> items(begin, stack_.end());
    stack_.erase(begin, stack_.end());
    marks_.pop_back();
    return items;
  }

  void make_tuple(std::size_t count) {
    std::vector<PickleIndex> items(count);
    for (std::size_t i = count; i > 0; --i) items[i - 1] = pop();
    make(PickleKind::kTuple).items = std::move(items);
  }

  void make_collection(PickleKind kind) {
    auto items = pop_to_mark();
    if (kind == PickleKind::kDict) require_pairs(items);
    make(kind).items = std::move(items);
  }

  void make_big_int(std::uint64_t size) {
    if (size > kMaxBigInt) refuse("got a number of ", size, " bytes, expected at most ", kMaxBigInt, ".");
    std::string bytes = text(size);
    if (size > sizeof(std::int64_t)) {
      make(PickleKind::kBigInt).text = std::move(bytes);
      return;
    }
    const bool negative = !bytes.empty() && static_cast<signed char>(bytes.back()) < 0;
    bytes.resize(sizeof(std::int64_t), negative ? '\xff' : '\0');
    make_integer(load_le<std::int64_t>(bytes.data()));
  }

  void make_global(const std::string& module, const std::string& name) {
    make(PickleKind::kGlobal).text = module + "." + name;
  }

  void make_call() {
    const PickleIndex arguments = pop();
    const PickleIndex callable = pop();
    const PickleKind kind = out_[callable].kind;
    const bool can_be_called = kind == PickleKind::kGlobal || kind == PickleKind::kObject;  // such as a partial
    if (!can_be_called || out_[arguments].kind != PickleKind::kTuple) {
      refuse("got a call of ", describe(out_, out_[callable]), " with ", describe(out_, out_[arguments]),
             ", expected a name and a tuple.");
    }
    PickleValue& object = make(PickleKind::kObject);
    object.callable = callable;
    object.arguments = arguments;
  }

  void require_pairs(const std::vector<PickleIndex>& items) const {
    if (items.size() % 2 != 0) refuse("got ", items.size(), " keys and values together, expected an even number.");
  }

  void extend(PickleKind kind, const std::vector<PickleIndex>& items) {
    PickleValue& target = out_.values[peek()];
    const bool is_object = target.kind == PickleKind::kObject;
    if (target.kind != kind && !is_object)
      refuse("got ", describe(out_, target), ", which does not accept such items.");
    if (kind == PickleKind::kDict) require_pairs(items);
    // Items of an OrderedDict are kept. Items of other list-like or set-like objects, such as a deque, are ignored.
    if (is_object && kind != PickleKind::kDict) return;
    // A target can refer to the same value repeatedly at one or two bytes each, so the pickle's size also bounds the
    // number of items.
    target.items.insert(target.items.end(), items.begin(), items.end());
  }

  void build() {
    const PickleIndex state = pop();
    PickleValue& target = out_.values[peek()];
    if (target.kind != PickleKind::kObject || target.state != PickleValue::kAbsent) {
      refuse("got a state for ", describe(out_, target), ", expected it for an object, once.");
    }
    target.state = state;
  }

  // ---- memo --------------------------------------------------------------------------------------------------------

  void put(std::uint64_t key) {
    if (memo_.size() >= options_.max_values) {
      refuse("got more than ", options_.max_values, " values in the memo, expected fewer.");
    }
    memo_[key] = peek();
  }

  void get(std::uint64_t key) {
    const auto found = memo_.find(key);
    if (found == memo_.end()) refuse("got the memo entry ", key, ", which was never put.");
    push(found->second);
  }

  // ---- opcodes -----------------------------------------------------------------------------------------------------

  void step(std::uint8_t op) {
    switch (op) {
      case kProto:
        if (const int protocol = number<std::uint8_t>(); protocol > kMaxProtocol) {
          refuse("got pickle protocol ", protocol, ", expected 0 to ", kMaxProtocol, ".");
        }
        return;
      case kFrame: return require(number<std::uint64_t>());  // frames only help readers that cannot seek

      case kMark:
        if (marks_.size() >= options_.max_marks) refuse("got marks nested deeper than ", options_.max_marks, ".");
        marks_.push_back(stack_.size());
        return;
      case kPop:
        if (!marks_.empty() && stack_.size() == marks_.back()) {
          marks_.pop_back();
        } else {
          pop();
        }
        return;
      case kPopMark: pop_to_mark(); return;
      case kDup: return push(peek());

      case kNone: make(PickleKind::kNone); return;
      case kNewTrue: return make_integer(1, PickleKind::kBool);
      case kNewFalse: return make_integer(0, PickleKind::kBool);
      case kBinInt: return make_integer(number<std::int32_t>());
      case kBinInt1: return make_integer(number<std::uint8_t>());
      case kBinInt2: return make_integer(number<std::uint16_t>());
      case kLong1: return make_big_int(number<std::uint8_t>());
      case kLong4: return make_big_int(number<std::uint32_t>());
      case kInt: {
        const std::string digits = line();
        if (digits == "00" || digits == "01") return make_integer(digits == "01", PickleKind::kBool);
        return make_integer(parsed<std::int64_t>(digits));
      }
      case kLong: {
        std::string digits = line();
        if (digits.ends_with('L')) digits.pop_back();
        return make_integer(parsed<std::int64_t>(digits));
      }
      case kFloat: make(PickleKind::kFloat).real = parsed<double>(line()); return;
      case kBinFloat: {
        const auto bits = __builtin_bswap64(number<std::uint64_t>());
        make(PickleKind::kFloat).real = std::bit_cast<double>(bits);
        return;
      }

      case kBinUnicode: return make_text(text(number<std::uint32_t>()));
      case kShortBinUnicode: return make_text(text(number<std::uint8_t>()));
      case kBinUnicode8: return make_text(text(number<std::uint64_t>()));
      case kBinString: return make_text(text(number<std::uint32_t>()));  // Python 2's str
      case kShortBinString: return make_text(text(number<std::uint8_t>()));
      case kBinBytes: make_bytes(number<std::uint32_t>()); return;
      case kShortBinBytes: make_bytes(number<std::uint8_t>()); return;
      case kBinBytes8:
      case kByteArray8: make_bytes(number<std::uint64_t>()); return;

      case kEmptyTuple: return make_tuple(0);
      case kTuple1: return make_tuple(1);
      case kTuple2: return make_tuple(2);
      case kTuple3: return make_tuple(3);
      case kTuple: return make_collection(PickleKind::kTuple);
      case kEmptyList: make(PickleKind::kList); return;
      case kList: return make_collection(PickleKind::kList);
      case kEmptyDict: make(PickleKind::kDict); return;
      case kDict: return make_collection(PickleKind::kDict);
      case kEmptySet: make(PickleKind::kSet); return;
      case kFrozenSet: return make_collection(PickleKind::kSet);
      case kAppend: return extend(PickleKind::kList, {pop()});
      case kAppends: return extend(PickleKind::kList, pop_to_mark());
      case kAddItems: return extend(PickleKind::kSet, pop_to_mark());
      case kSetItems: return extend(PickleKind::kDict, pop_to_mark());
      case kSetItem: {
        const PickleIndex value = pop();
        const PickleIndex key = pop();
        return extend(PickleKind::kDict, {key, value});
      }

      case kPut: return put(parsed<std::uint64_t>(line()));
      case kBinPut: return put(number<std::uint8_t>());
      case kLongBinPut: return put(number<std::uint32_t>());
      case kMemoize: return put(memo_.size());
      case kGet: return get(parsed<std::uint64_t>(line()));
      case kBinGet: return get(number<std::uint8_t>());
      case kLongBinGet: return get(number<std::uint32_t>());

      case kGlobal: {
        const std::string module = line();
        return make_global(module, line());
      }
      case kStackGlobal: {
        const PickleValue& name = out_[pop()];
        const PickleValue& module = out_[pop()];
        if (name.kind != PickleKind::kText || module.kind != PickleKind::kText) {
          refuse("got a global whose name is not a text.");
        }
        // Copies, because make_global grows the vector that contains the originals.
        return make_global(std::string(module.text), std::string(name.text));
      }
      case kReduce:
      case kNewObj: return make_call();
      case kBuild: return build();
      case kBinPersId: {
        const PickleIndex id = pop();
        make(PickleKind::kPersistentId).arguments = id;
        return;
      }
      default: {
        std::array<char, 8> hex{};
        std::snprintf(hex.data(), hex.size(), "0x%02x", static_cast<unsigned>(op));
        refuse("got the opcode ", hex.data(),
               ", which torch.save does not write. The file is broken or has another format.");
      }
    }
  }

  void make_bytes(std::uint64_t size) {
    std::string bytes = text(size);
    make(PickleKind::kBytes).text = std::move(bytes);
  }

  const InputFile& file_;
  const PickleOptions& options_;
  std::array<std::byte, 1 << 16> buffer_;  // [next_, held_) is read but not yet consumed
  std::size_t held_ = 0;
  std::size_t next_ = 0;
  std::uint64_t fetched_;  // file offset of the end of the buffer
  std::uint64_t end_;
  bool cut_;  // whether max_bytes, not the caller, set end_
  std::uint64_t opcode_at_ = 0;

  Pickle out_;
  std::vector<PickleIndex> stack_;
  std::vector<std::size_t> marks_;             // stack sizes at the marks
  std::map<std::uint64_t, PickleIndex> memo_;  // not a hash table: keys could be chosen to collide
};

}  // namespace

Pickle read_pickle(const InputFile& file, std::uint64_t begin, std::uint64_t end, const PickleOptions& options) {
  return PickleMachine(file, begin, end, options).run();
}

const std::string& callable_name(const Pickle& pickle, const PickleValue& object) {
  const PickleValue* value = &object;
  while (value->kind == PickleKind::kObject) value = &pickle[value->callable];  // created earlier, so this terminates
  return value->text;
}

std::string describe(const Pickle& pickle, const PickleValue& value) {
  switch (value.kind) {
    case PickleKind::kNone: return "None";
    case PickleKind::kBool: return "a bool";
    case PickleKind::kInt:
    case PickleKind::kBigInt: return "an int";
    case PickleKind::kFloat: return "a float";
    case PickleKind::kText: return "a text";
    case PickleKind::kBytes: return "bytes";
    case PickleKind::kList: return "a list";
    case PickleKind::kTuple: return "a tuple";
    case PickleKind::kSet: return "a set";
    case PickleKind::kDict: return "a dict";
    case PickleKind::kGlobal: return cat("the name '", printable(value.text), "'");
    case PickleKind::kObject: return cat("a call of '", printable(callable_name(pickle, value)), "'");
    case PickleKind::kPersistentId: return "a bare storage";
  }
  return "an unknown value";
}

}  // namespace lorikeet
