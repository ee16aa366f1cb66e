#include "io/pytorch_tensors.h"

#include <ATen/Functions.h>

#include <algorithm>
#include <array>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/error.h"
#include "base/text.h"

namespace lorikeet {
namespace {

constexpr std::uint64_t kMaxCopies = 4;  // in multiples of the file size; see make_tensor
constexpr int kMaxWrappers = 3;          // nesting depth
constexpr std::size_t kMaxNamed = 5;     // in a note

// Keys of state dicts in checkpoints, in order of preference. Averaged weights are the evaluated ones; timm prefers
// them too.
constexpr std::array<std::string_view, 7> kAveraged{
    "state_dict_ema",       "model_ema", "ema_state_dict", "ema_model", "model_ema_state_dict",
    "ema_model_state_dict", "ema"};
constexpr std::array<std::string_view, 11> kPlain{
    "state_dict",         "model",   "model_state_dict", "model_state", "net", "net_state_dict", "network",
    "network_state_dict", "weights", "params",           "module"};

struct PytorchType {
  std::string_view storage;  // torch.save's name of its storage; empty if there is none
  std::string_view name;     // the name in _rebuild_tensor_v3
  at::ScalarType type;
};
constexpr std::array<PytorchType, 11> kPytorchTypes{{
    {"torch.FloatStorage", "torch.float32", at::kFloat},
    {"torch.DoubleStorage", "torch.float64", at::kDouble},
    {"torch.HalfStorage", "torch.float16", at::kHalf},
    {"torch.BFloat16Storage", "torch.bfloat16", at::kBFloat16},
    {"torch.LongStorage", "torch.int64", at::kLong},
    {"torch.IntStorage", "torch.int32", at::kInt},
    {"torch.ShortStorage", "torch.int16", at::kShort},
    {"torch.CharStorage", "torch.int8", at::kChar},
    {"torch.ByteStorage", "torch.uint8", at::kByte},
    {"torch.BoolStorage", "torch.bool", at::kBool},
    {"", "torch.float8_e4m3fn", at::kFloat8_e4m3fn},
}};
constexpr std::array<std::string_view, 2> kUntypedStorages{"torch.storage.UntypedStorage", "torch.UntypedStorage"};

constexpr std::string_view kOrderedDict = "collections.OrderedDict";
constexpr std::string_view kSize = "torch.Size";
constexpr std::string_view kParameter = "torch._utils._rebuild_parameter";
constexpr std::string_view kParameterWithState = "torch._utils._rebuild_parameter_with_state";
constexpr std::string_view kWithAttributes = "torch._tensor._rebuild_from_type_v2";

// Calls that represent a tensor. Their first four arguments are (storage, offset, shape, strides).
struct Rebuild {
  std::string_view name;
  std::size_t fewest;  // minimum number of arguments
  std::size_t most;
  std::size_t metadata;  // position of a dict, if any, that must be empty (it could specify a negated view)
  std::size_t dtype;     // position of the dtype, if not defined by the storage
};
constexpr std::size_t kNowhere = SIZE_MAX;
constexpr std::array<Rebuild, 3> kRebuilds{{{"torch._utils._rebuild_tensor", 4, 4, kNowhere, kNowhere},
                                            {"torch._utils._rebuild_tensor_v2", 6, 7, 6, kNowhere},
                                            {"torch._utils._rebuild_tensor_v3", 7, 8, 7, 6}}};

// A call that rebuilds a tensor: its name and arguments, without wrapping calls.
struct TensorCall {
  std::string_view name;
  const std::vector<PickleIndex>* arguments = nullptr;
};

// Creates tensors from the values of one tree.
class TensorReader {
 public:
  TensorReader(const InputFile& file, const Pickle& pickle, const Extents& extents)
      : file_(file), where_(file.path().string()), pickle_(pickle), extents_(extents) {}

  NamedTensors read() {
    NamedTensors out;
    std::vector<std::string> skipped;
    const auto entries = entries_of(pickle_[find_state_dict(out.notes)]);
    for (const auto& [key, value] : entries) {
      const PickleValue& name = pickle_[key];
      if (!is_tensor(pickle_[value])) {
        skipped.push_back(cat("'", printable(name.text), "' (", describe(pickle_, pickle_[value]), ")"));
        continue;
      }
      if (name.kind != PickleKind::kText) {
        fail(where_, ": got ", describe(pickle_, name), " as a name, expected a text.");
      }
      if (out.contains(name.text)) {
        fail(where_, ": got the name '", printable(name.text), "' twice, expected each name once.");
      }
      out.add(name.text, make_tensor(pickle_[value], cat(where_, ": entry '", printable(name.text), "'")));
    }
    note_skipped(skipped, out.notes);
    for (const auto& [key, value] : entries_of(pickle_.top())) {
      if (pickle_[key].text == "arch" && pickle_[value].kind == PickleKind::kText)
        out.metadata["arch"] = pickle_[value].text;
    }
    out.remove_wrapper_prefixes();
    return out;
  }

 private:
  using Entry = std::pair<PickleIndex, PickleIndex>;  // key, value

  bool is_mapping(const PickleValue& value) const {
    return value.kind == PickleKind::kDict || pickle_.is_call(value, kOrderedDict);
  }

  std::vector<Entry> entries_of(const PickleValue& mapping) const {
    std::vector<Entry> out;
    if (mapping.kind == PickleKind::kObject && !pickle_[mapping.arguments].items.empty()) {
      // Python 2 passes the items to the constructor, as a list of pairs.
      for (const PickleIndex pair : pickle_[pickle_[mapping.arguments].items[0]].items) {
        const auto& items = pickle_[pair].items;
        if (items.size() != 2) {
          fail(where_, ": got an OrderedDict of ", describe(pickle_, pickle_[pair]), ", expected pairs.");
        }
        out.emplace_back(items[0], items[1]);
      }
    }
    for (std::size_t i = 0; i + 1 < mapping.items.size(); i += 2)
      out.emplace_back(mapping.items[i], mapping.items[i + 1]);
    return out;
  }

  // Unwraps, once each, calls that rebuild a tensor with attributes (function, type, arguments, state) or a parameter
  // (tensor, …).
  TensorCall tensor_call(const PickleValue& value) const {
    const PickleValue* call = &value;
    for (const std::string_view wrapper : {kParameterWithState, kParameter}) {
      if (!pickle_.is_call(*call, wrapper)) continue;
      const auto& parameter = pickle_[call->arguments].items;
      if (parameter.empty()) return {};
      call = &pickle_[parameter[0]];
      break;
    }
    if (call->kind != PickleKind::kObject) return {};
    if (!pickle_.is_call(*call, kWithAttributes)) {
      return {callable_name(pickle_, *call), &pickle_[call->arguments].items};
    }
    const auto& parts = pickle_[call->arguments].items;
    if (parts.size() < 3 || pickle_[parts[0]].kind != PickleKind::kGlobal ||
        pickle_[parts[2]].kind != PickleKind::kTuple) {
      return {};
    }
    return {pickle_[parts[0]].text, &pickle_[parts[2]].items};
  }

  static const Rebuild* find_rebuild(std::string_view name) {
    const auto* const found =
        std::find_if(kRebuilds.begin(), kRebuilds.end(), [&](const Rebuild& r) { return r.name == name; });
    return found == kRebuilds.end() ? nullptr : found;
  }
  bool is_tensor(const PickleValue& value) const { return find_rebuild(tensor_call(value).name) != nullptr; }

  // A mapping of names to tensors, and its path: "checkpoint.state_dict".
  struct Candidate {
    PickleIndex value;
    std::string path;
    std::size_t rank;  // lower is better
    std::size_t tensors;
  };
  static constexpr std::size_t kTopRank = kAveraged.size() + kPlain.size();
  static constexpr std::size_t kUnknownRank = kTopRank + 1;

  static std::size_t rank_of(std::string_view key) {
    const auto* const averaged = std::find(kAveraged.begin(), kAveraged.end(), key);
    if (averaged != kAveraged.end()) return static_cast<std::size_t>(averaged - kAveraged.begin());
    const auto* const plain = std::find(kPlain.begin(), kPlain.end(), key);
    if (plain != kPlain.end()) return kAveraged.size() + static_cast<std::size_t>(plain - kPlain.begin());
    return kUnknownRank;
  }

  // Finds mappings under string keys, level by level, without duplicates. The optimizer's mappings are skipped.
  std::vector<Candidate> find_candidates() const {
    std::vector<Candidate> out;
    std::vector<Candidate> level{{pickle_.root, "", kTopRank, 0}};
    std::set<PickleIndex> visited{pickle_.root};
    for (int depth = 0; depth <= kMaxWrappers && !level.empty(); ++depth) {
      std::vector<Candidate> next;
      for (Candidate& mapping : level) {
        for (const auto& [key, value] : entries_of(pickle_[mapping.value])) {
          const std::string& name = pickle_[key].text;
          if (is_tensor(pickle_[value])) ++mapping.tensors;
          if (pickle_[key].kind != PickleKind::kText || !is_mapping(pickle_[value])) continue;
          if (name.find("optim") != std::string::npos || !visited.insert(value).second) continue;
          const std::size_t rank = depth == 0 ? rank_of(name) : std::min(mapping.rank, rank_of(name));
          next.push_back({value, mapping.path.empty() ? name : mapping.path + "." + name, rank, 0});
        }
        if (mapping.tensors > 0) out.push_back(std::move(mapping));
      }
      level = std::move(next);
    }
    std::stable_sort(out.begin(), out.end(), [](const auto& a, const auto& b) { return a.rank < b.rank; });
    return out;
  }

  PickleIndex find_state_dict(std::vector<std::string>& notes) const {
    const PickleValue& top = pickle_.top();
    if (!is_mapping(top)) {
      fail(where_, ": got ", describe(pickle_, top),
           " at the top, expected a dict of tensors. Nothing was run. Save model.state_dict().");
    }
    std::vector<Candidate> found = find_candidates();
    if (found.empty()) fail_without_tensors();
    const auto is_averaged = [](const Candidate& c) { return c.rank < kAveraged.size(); };
    const auto plain = std::find_if_not(found.begin(), found.end(), is_averaged);
    // Some averages omit the buffers.
    const bool has_all = plain == found.end() || plain->rank >= kTopRank || found.front().tensors >= plain->tensors;
    const Candidate& taken = is_averaged(found.front()) && !has_all ? *plain : found.front();
    std::vector<std::string> others;
    for (const Candidate& candidate : found) {
      if (candidate.value != taken.value && candidate.value != pickle_.root)
        others.push_back(cat("'", printable(candidate.path), "'"));
    }
    if (taken.rank == kUnknownRank && !others.empty()) {
      fail(where_, ": got several state dicts, '", printable(taken.path), "', ", list_of(others),
           ", expected one. Save only that one.");
    }
    if (taken.value != pickle_.root && (!others.empty() || is_averaged(taken))) {
      notes.push_back(cat(where_, ": took ", is_averaged(taken) ? "the averaged weights, '" : "'",
                          printable(taken.path), "'", others.empty() ? "" : cat("; ", list_of(others), " not used")));
    }
    if (taken.value != pickle_.root) note_objects(notes);
    return taken.value;
  }

  [[noreturn]] void fail_without_tensors() const {
    std::string first;
    for (const auto& [key, value] : entries_of(pickle_.top())) {
      if (first.empty()) first = cat("; '", printable(pickle_[key].text), "': got ", describe(pickle_, pickle_[value]));
    }
    fail(where_, ": got no tensors, expected a state dict", first, ". Nothing was run. Save model.state_dict().");
  }

  static std::string list_of(const std::vector<std::string>& names) { return join_first(names, kMaxNamed); }

  void note_skipped(const std::vector<std::string>& skipped, std::vector<std::string>& notes) const {
    if (!skipped.empty()) {
      notes.push_back(
          cat(where_, ": skipped entries that are not tensors: ", list_of(skipped), "; nothing in the file was run"));
    }
  }

  // Notes the Python objects that are not part of the state dict.
  void note_objects(std::vector<std::string>& notes) const {
    std::vector<std::string> skipped;
    for (const auto& [key, value] : entries_of(pickle_.top())) {
      const PickleValue& object = pickle_[value];
      if (object.kind != PickleKind::kObject || is_mapping(object) || is_tensor(object)) continue;
      skipped.push_back(cat("'", printable(pickle_[key].text), "' (", printable(callable_name(pickle_, object)), ")"));
    }
    note_skipped(skipped, notes);
  }

  std::vector<std::int64_t> sizes(const PickleValue& value, const std::string& where, const char* what) const {
    const PickleValue* tuple = &value;
    if (pickle_.is_call(value, kSize) && pickle_[value.arguments].items.size() == 1) {
      tuple = &pickle_[pickle_[value.arguments].items[0]];
    }
    if (tuple->kind != PickleKind::kTuple || tuple->items.size() > kMaxTensorRank) {
      fail(where, ": got ", describe(pickle_, *tuple), " as ", what, ", expected a tuple of at most ", kMaxTensorRank,
           " numbers.");
    }
    std::vector<std::int64_t> out;
    for (const PickleIndex item : tuple->items) {
      const PickleValue& number = pickle_[item];
      if (number.kind != PickleKind::kInt)
        fail(where, ": got ", describe(pickle_, number), " in ", what, ", expected an int.");
      if (number.integer < 0) fail(where, ": got ", number.integer, " in ", what, ", expected no negative number.");
      out.push_back(number.integer);
    }
    return out;
  }

  at::Tensor make_tensor(const PickleValue& value, const std::string& where) {
    const TensorCall call = tensor_call(value);
    const Rebuild* const rebuild = find_rebuild(call.name);  // not null: is_tensor() was checked
    const auto& arguments = *call.arguments;
    if (arguments.size() < rebuild->fewest || arguments.size() > rebuild->most) {
      fail(where, ": got a tensor of ", counted(arguments.size(), "argument"), ", expected ", rebuild->fewest, " to ",
           rebuild->most, ".");
    }
    if (rebuild->metadata < arguments.size()) {
      const PickleValue& metadata = pickle_[arguments[rebuild->metadata]];
      if (metadata.kind != PickleKind::kNone && !(is_mapping(metadata) && entries_of(metadata).empty())) {
        fail(where, ": got a tensor with metadata (a conjugated or negated view), expected a plain one.");
      }
    }

    const PytorchStorage storage = parse_storage(pickle_, pickle_[arguments[0]], where);
    at::ScalarType type = storage.type;
    if (rebuild->dtype != kNowhere) {
      const PickleValue& dtype = pickle_[arguments[rebuild->dtype]];
      const auto known = std::find_if(kPytorchTypes.begin(), kPytorchTypes.end(),
                                      [&](const PytorchType& d) { return d.name == dtype.text; });
      if (dtype.kind != PickleKind::kGlobal || known == kPytorchTypes.end()) {
        fail(where, ": got ", describe(pickle_, dtype), " as its dtype.");
      }
      if (!storage.untyped && known->type != storage.type) fail(where, ": got a dtype other than that of its storage.");
      type = known->type;
    }

    const PickleValue& offset_value = pickle_[arguments[1]];
    if (offset_value.kind != PickleKind::kInt || offset_value.integer < 0) {
      fail(where, ": got ", describe(pickle_, offset_value), " as its offset, expected a number that is not negative.");
    }
    const auto shape = sizes(pickle_[arguments[2]], where, "its shape");
    const auto strides = sizes(pickle_[arguments[3]], where, "its strides");
    if (shape.size() != strides.size()) fail(where, ": got ", strides.size(), " strides, expected ", shape.size(), ".");
    const std::uint64_t element_size = c10::elementSize(type);
    check_bounds(offset_value.integer, shape, strides, storage.bytes / element_size, element_size, where);
    return view(storage, type, offset_value.integer, shape, strides, where);
  }

  // Checks that every element addressed by shape and strides is in the storage, and that there are no more elements
  // than in it.
  static void check_bounds(std::int64_t offset, const std::vector<std::int64_t>& shape,
                           const std::vector<std::int64_t>& strides, std::uint64_t available,
                           std::uint64_t element_size, const std::string& where) {
    std::uint64_t last = static_cast<std::uint64_t>(offset);  // index of the last element
    std::uint64_t capacity = element_size;  // bytes, with sizes of 0 counted as 1: ATen multiplies the other sizes
    std::uint64_t count = 1;
    bool fits = true;
    for (std::size_t i = 0; i < shape.size(); ++i) {
      const auto size = static_cast<std::uint64_t>(shape[i]);
      const auto reach = checked_mul(std::max<std::uint64_t>(size, 1) - 1, static_cast<std::uint64_t>(strides[i]));
      const auto product = checked_mul(capacity, std::max<std::uint64_t>(size, 1));
      fits = reach && product && *product <= INT64_MAX && !__builtin_add_overflow(last, *reach, &last);
      if (!fits) break;
      capacity = *product;
      count *= size;  // cannot overflow: at most the capacity
    }
    if (!fits || (count > 0 && last >= available)) {
      fail(where, ": got the shape ", shape_text(shape), " with strides ", shape_text(strides), " from element ",
           offset, ", expected a view inside its storage of ", counted(available, "element"), ".");
    }
    // A stride of 0 repeats an element, so a small file could request any amount of memory.
    if (count > available) {
      fail(where, ": got ", counted(count, "element"), " that overlap in a storage of ", available,
           ", expected at most one for each. "
           "Save the tensor as tensor.contiguous().");
    }
  }

  const at::Tensor& load(const PytorchStorage& storage, const std::string& where) {
    const auto extent = extents_.find(storage.key);
    if (extent == extents_.end()) {
      fail(where, ": got the storage '", printable(storage.key), "', which the file does not contain.");
    }
    if (extent->second.bytes != storage.bytes) {
      fail(where, ": got ", counted(extent->second.bytes, "byte"), " in the storage '", printable(storage.key),
           "', expected ", with_commas(storage.bytes), ".");
    }
    at::Tensor& bytes = loaded_[storage.key];
    if (!bytes.defined()) {
      bytes = at::empty({static_cast<std::int64_t>(storage.bytes)}, at::TensorOptions().dtype(at::kByte));
      file_.read(extent->second.offset,
                 std::span(static_cast<std::byte*>(bytes.data_ptr()), static_cast<std::size_t>(storage.bytes)));
    }
    return bytes;
  }

  at::Tensor view(const PytorchStorage& storage, at::ScalarType type, std::int64_t offset,
                  const std::vector<std::int64_t>& shape, const std::vector<std::int64_t>& strides,
                  const std::string& where) {
    const at::Tensor& bytes = load(storage, where);
    if (std::find(shape.begin(), shape.end(), 0) != shape.end())
      return at::empty(shape, at::TensorOptions().dtype(type));
    if (storage.bytes % c10::elementSize(type) != 0) {
      fail(where, ": got a storage of ", counted(storage.bytes, "byte"), ", expected a multiple of the element size, ",
           c10::elementSize(type), ".");
    }
    const at::Tensor elements = bytes.view(type);
    at::Tensor tensor = elements.as_strided(shape, strides, offset);
    if (tensor.is_contiguous()) {
      tensor = elements.narrow(0, offset, tensor.numel()).view(shape);  // contiguous strides also for sizes of 1
    } else {
      // Many names may request copies of one storage. Real files request one copy each (for channels-last weights).
      copied_ += tensor.nbytes();
      if (copied_ / kMaxCopies > file_.size()) {
        fail(where, ": got ", human_bytes(copied_), " of tensors that are not contiguous, expected at most ",
             kMaxCopies, " times the size of the file.");
      }
      tensor = tensor.contiguous();
    }
    if (type == at::kBool && !known_bools_[storage.key]) {  // once per storage: a million names may share a large one
      require_bools(bytes, where);
      known_bools_[storage.key] = true;
    }
    return tensor;
  }

  // Reading a bool with any other byte value is undefined behaviour.
  static void require_bools(const at::Tensor& tensor, const std::string& where) {
    const auto* bytes = static_cast<const std::uint8_t*>(tensor.data_ptr());
    if (std::any_of(bytes, bytes + tensor.numel(), [](std::uint8_t b) { return b > 1; })) {
      fail(where, ": got bools other than 0 and 1.");
    }
  }

  const InputFile& file_;
  std::string where_;
  const Pickle& pickle_;
  const Extents& extents_;
  std::map<std::string, at::Tensor> loaded_;  // bytes of the storages read so far
  std::map<std::string, bool> known_bools_;   // storages that contain only 0 and 1
  std::uint64_t copied_ = 0;
};

}  // namespace

PytorchStorage parse_storage(const Pickle& pickle, const PickleValue& value, const std::string& where) {
  if (value.kind != PickleKind::kPersistentId) {
    fail(where, ": got ", describe(pickle, value), " as its storage, expected a storage.");
  }
  const PickleValue& id = pickle[value.arguments];
  const auto part = [&](std::size_t i) -> const PickleValue& { return pickle[id.items[i]]; };
  if (id.kind != PickleKind::kTuple || (id.items.size() != 5 && id.items.size() != 6) || part(0).text != "storage" ||
      part(1).kind != PickleKind::kGlobal || part(2).kind != PickleKind::kText || part(4).kind != PickleKind::kInt) {
    fail(where, ": got a storage that is not ('storage', type, key, location, size), as torch.save writes it.");
  }
  if (id.items.size() == 6 && part(5).kind != PickleKind::kNone) {
    fail(where, ": got a view of a storage, expected a complete one. Load it with PyTorch and save it again.");
  }
  PytorchStorage storage{part(2).text, at::kByte, false, 0};
  const std::string& type = part(1).text;
  const auto known =
      std::find_if(kPytorchTypes.begin(), kPytorchTypes.end(), [&](const PytorchType& d) { return d.storage == type; });
  storage.untyped = std::find(kUntypedStorages.begin(), kUntypedStorages.end(), type) != kUntypedStorages.end();
  if (!storage.untyped && known == kPytorchTypes.end()) {
    fail(where, ": got a storage of type '", printable(type), "', expected torch.FloatStorage or similar.");
  }
  if (!storage.untyped) storage.type = known->type;
  const std::int64_t elements = part(4).integer;
  const auto bytes =
      elements < 0 ? std::nullopt : checked_mul(static_cast<std::uint64_t>(elements), c10::elementSize(storage.type));
  if (!bytes) fail(where, ": got a storage of ", counted(elements, "element"), ", expected a size that fits 64 bits.");
  storage.bytes = *bytes;
  return storage;
}

NamedTensors read_state_dict(const InputFile& file, const Pickle& pickle, const Extents& extents) {
  return TensorReader(file, pickle, extents).read();
}

}  // namespace lorikeet
