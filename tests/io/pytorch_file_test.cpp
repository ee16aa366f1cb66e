#include "io/pytorch_file.h"

#include <ATen/Functions.h>
#include <doctest/doctest.h>

#include <sys/resource.h>

#include <csignal>
#include <cstdint>
#include <fstream>
#include <initializer_list>
#include <string>
#include <vector>

#include "base/file.h"
#include "io/pickle.h"
#include "io/safetensors.h"
#include "io/stored_zip.h"
#include "io/weights_file.h"
#include "lorikeet/error.h"
#include "pytorch_samples.h"
#include "refusal.h"
#include "temporary_folder.h"

using namespace lorikeet;
using namespace std::string_literals;

namespace {

// ---- an assembler of pickles ----------------------------------------------------------------------------------------

template <typename T>
std::string le(T value) {
  return std::string(reinterpret_cast<const char*>(&value), sizeof(T));
}

std::string text(const std::string& content) { return "X" + le(static_cast<std::uint32_t>(content.size())) + content; }
std::string number(std::int64_t value) { return "\x8a\x08" + le(value); }
std::string global(const std::string& module, const std::string& name) { return "c" + module + "\n" + name + "\n"; }
std::string tuple(std::initializer_list<std::int64_t> values) {
  std::string out = "(";
  for (const auto value : values) out += number(value);
  return out + "t";
}
std::string ordered_dict() { return global("collections", "OrderedDict") + ")R"; }
std::string storage(std::int64_t elements, const std::string& key = "0", const std::string& type = "FloatStorage") {
  return "(" + text("storage") + global("torch", type) + text(key) + text("cpu") + number(elements) + "tQ";
}
std::string tensor(const std::string& of, std::int64_t offset, const std::string& shape, const std::string& strides) {
  return global("torch._utils", "_rebuild_tensor_v2") + "(" + of + number(offset) + shape + strides + "\x89" +
         ordered_dict() + "tR";
}
std::string vector2(const std::string& key = "0") { return tensor(storage(2, key), 0, tuple({2}), tuple({1})); }
std::string entry(const std::string& name, const std::string& value) { return text(name) + value; }
std::string dict(const std::string& entries) { return "}(" + entries + "u"; }
std::string pickle(const std::string& body) { return "\x80\x02" + body + "."; }

// ---- zip archives -------------------------------------------------------------------------------------------------

struct Member {
  std::string name;
  std::string data;
  std::uint16_t method = 0;
  std::uint16_t flags = 0;
  std::uint32_t claimed_more = 0;          // bytes of size beyond the data
  std::uint32_t header_shift = 0;          // of the offset in the directory
  std::string local_name = std::string();  // where it is to disagree
};

std::string zip(const std::vector<Member>& members, std::uint16_t count_more = 0) {
  std::string out;
  std::string directory;
  for (const Member& m : members) {
    const auto offset = static_cast<std::uint32_t>(out.size()) + m.header_shift;
    const auto size = static_cast<std::uint32_t>(m.data.size()) + m.claimed_more;
    const std::string& local = m.local_name.empty() ? m.name : m.local_name;
    const auto fields = le(m.flags) + le(m.method) + le(std::uint32_t{0}) + le(std::uint32_t{0}) + le(size) + le(size);
    out += "PK\x03\x04" + le(std::uint16_t{20}) + fields + le(static_cast<std::uint16_t>(local.size())) +
           le(std::uint16_t{0}) + local + m.data;
    directory += "PK\x01\x02" + le(std::uint16_t{20}) + le(std::uint16_t{20}) + fields +
                 le(static_cast<std::uint16_t>(m.name.size())) + std::string(12, '\0') + le(offset) + m.name;
  }
  const auto count = static_cast<std::uint16_t>(members.size() + count_more);
  const auto start = static_cast<std::uint32_t>(out.size());
  return out + directory + "PK\x05\x06" + std::string(4, '\0') + le(count) + le(count) +
         le(static_cast<std::uint32_t>(directory.size())) + le(start) + le(std::uint16_t{0});
}

const std::string kTwoFloats = le(1.0F) + le(2.0F);

// A file of the tree `body`, and one storage "0" of two floats.
std::string zipped(const std::string& body, const std::string& data = kTwoFloats) {
  return zip({{"x/data.pkl", pickle(body)}, {"x/byteorder", "little"}, {"x/data/0", data}, {"x/version", "3\n"}});
}

std::string legacy(const std::string& body, std::int64_t count = 2, const std::string& data = kTwoFloats,
                   const std::string& keys = "](" + text("0") + "e") {
  return pickle("\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19") + pickle("M\xe9\x03") +
         pickle(dict(entry("little_endian", "\x88"))) + pickle(body) + pickle(keys) + le(count) + data;
}

// ---- reading ------------------------------------------------------------------------------------------------------

NamedTensors read_bytes(const std::string& content) {
  const TemporaryFolder folder;
  put(folder.path / "x.pth", content);
  return read_pytorch_file(folder.path / "x.pth");
}

bool pytorch_refused(const std::string& content, const std::string& because) {
  std::string message;
  try {
    read_bytes(content);
  } catch (const Error& error) {
    message = error.what();
  }
  CAPTURE(message);
  CHECK(message.find("x.pth") != std::string::npos);
  CHECK(message.find('\n') == std::string::npos);
  CAPTURE(because);
  const bool found = message.find(because) != std::string::npos;
  CHECK(found);
  return found;
}

// Whether it was read; anything but a result or an Error escapes and fails the test.
bool survives(const std::filesystem::path& path) {
  try {
    for (const auto& [name, value] : read_pytorch_file(path)) {
      if (!value.is_contiguous()) throw std::logic_error("not contiguous: " + name);
      value.to(at::kDouble).sum().item<double>();  // touches every byte, for the sanitizers
    }
    return true;
  } catch (const Error&) {
    return false;
  }
}

void check_sample(const NamedTensors& in) {
  REQUIRE(in.size() == 4);
  std::vector<std::string> names;
  for (const auto& [name, value] : in) {
    names.push_back(name);
    CHECK(value.is_contiguous());
    CHECK(value.device().is_cpu());
  }
  CHECK(names == std::vector<std::string>{"w", "w_t", "n", "half"});
  const at::Tensor w = at::arange(6, at::kFloat).reshape({2, 3});
  CHECK(at::equal(*in.find("w"), w));
  CHECK(at::equal(*in.find("w_t"), w.t()));
  CHECK((in.find("n")->scalar_type() == at::kLong));
  CHECK(in.find("n")->dim() == 0);
  CHECK(in.find("n")->item<std::int64_t>() == 7);
  CHECK((in.find("half")->scalar_type() == at::kBFloat16));
  CHECK(in.find("half")->to(at::kFloat)[0].item<float>() == 1.5F);
  CHECK(in.find("half")->to(at::kFloat)[1].item<float>() == -2.0F);
}

}  // namespace

TEST_CASE("files of torch.save are read, zip and legacy") {
  check_sample(read_bytes(from_hex(kZipSample)));
  check_sample(read_bytes(from_hex(kLegacySample)));
}

TEST_CASE("weights are told apart by content, not by name") {
  const TemporaryFolder folder;
  put(folder.path / "a.safetensors", from_hex(kZipSample));
  put(folder.path / "b.bin", from_hex(kLegacySample));
  check_sample(read_weights_file(folder.path / "a.safetensors"));
  check_sample(read_weights_file(folder.path / "b.bin"));
  write_safetensors(folder.path / "c.pth", read_weights_file(folder.path / "b.bin"));
  CHECK(read_weights_file(folder.path / "c.pth").size() == 4);
  put(folder.path / "d.pth", "  <!DOCTYPE html><html>404</html>");
  CHECK_THROWS_WITH_AS(read_weights_file(folder.path / "d.pth"), doctest::Contains("HTML"), Error);
}

TEST_CASE("checkpoints that wrap a state dict are looked into, and DataParallel's prefix goes") {
  const std::string both = dict(entry("module.a", vector2()) + entry("module.b", vector2()));
  for (const char* wrapper : {"state_dict", "model", "model_state", "state_dict_ema"}) {
    CAPTURE(wrapper);
    const auto in =
        read_bytes(zipped(dict(entry("epoch", number(3)) + entry("arch", text("resnet")) + entry(wrapper, both))));
    CHECK(in.size() == 2);
    CHECK(in.contains("a"));
    CHECK(in.find("b")->sum().item<float>() == 3);
  }
  const auto order = read_bytes(zipped(
      dict(entry("model", dict(entry("second", vector2()))) + entry("state_dict", dict(entry("first", vector2()))))));
  CHECK(order.contains("first"));
  const auto mixed = read_bytes(zipped(dict(entry("module.a", vector2()) + entry("b", vector2()))));
  CHECK(mixed.contains("module.a"));
  CHECK(
      read_bytes(zipped(dict(entry("model", vector2())))).contains("model"));  // a tensor of that name is just a tensor
}

TEST_CASE("a checkpoint says under many keys what its weights are") {
  const auto weights = [](float first) {
    const auto one = tensor(storage(2), first == 1 ? 0 : 1, tuple({1}), tuple({1}));
    return dict(entry("a", one) + entry("b", one));
  };
  const auto optimizer = entry("optimizer_state_dict", dict(entry("momentum", vector2())));
  for (const char* key : {"model_state_dict", "net", "network", "weights", "params", "something"}) {
    CAPTURE(key);
    const auto in = read_bytes(zipped(dict(entry("epoch", number(3)) + entry(key, weights(2)) + optimizer)));
    CHECK(in.size() == 2);
    CHECK(in.find("a")->item<float>() == 2);
    CHECK(in.notes.empty());
  }
  const auto nested = read_bytes(zipped(dict(entry("checkpoint", dict(entry("model", weights(2)))))));
  CHECK(nested.find("a")->item<float>() == 2);
  // A metric beside the weights is a tensor too.
  CHECK(read_bytes(zipped(dict(entry("best", vector2()) + entry("state_dict", weights(2))))).size() == 2);

  for (const auto& [plain, averaged] : {std::pair("state_dict", "state_dict_ema"), std::pair("model", "model_ema"),
                                        std::pair("model_state_dict", "ema_state_dict"), std::pair("net", "ema")}) {
    CAPTURE(averaged);
    const auto in = read_bytes(zipped(dict(entry(plain, weights(1)) + entry(averaged, weights(2)))));
    CHECK(in.find("a")->item<float>() == 2);
    REQUIRE(in.notes.size() == 1);
    CHECK(in.notes[0] == has("took the averaged weights, '" + std::string(averaged) + "'"));
    CHECK(in.notes[0] == has("'" + std::string(plain) + "' not used"));
  }
  // An average without the buffers does not make a network.
  const auto part =
      read_bytes(zipped(dict(entry("state_dict", weights(1)) + entry("state_dict_ema", dict(entry("a", vector2()))))));
  CHECK(part.find("b")->item<float>() == 1);
  CHECK(part.notes.at(0) == has("took 'state_dict'; 'state_dict_ema' not used"));
  CHECK(pytorch_refused(zipped(dict(entry("student", weights(1)) + entry("teacher", weights(2)))),
                        "several state dicts, 'student', 'teacher', expected one"));
}

TEST_CASE("objects of Python beside the tensors are skipped, with a note, and nothing is run") {
  const TemporaryFolder folder;
  const auto mark = (folder.path / "ran").string();
  const auto system = global("posix", "system") + "(" + text("touch " + mark) + "tR";
  const auto name_space = global("argparse", "Namespace") + ")\x81}(" + entry("lr", number(1)) + "ub";
  const auto scalar = global("numpy._core.multiarray", "scalar") + "(" + global("numpy", "dtype") + "(" + text("f8") +
                      "\x89\x88tRC\x08" + le(0.9) + "tR";
  const auto partial = global("functools", "partial") + "(" + global("builtins", "print") + "tR)R";  // called in turn
  const auto deque = global("collections", "deque") + ")R(" + number(1) + number(2) + "e";
  const auto weights = dict(entry("a", vector2()));
  for (const auto& [object, name] : {std::pair(system, "posix.system"), std::pair(name_space, "argparse.Namespace"),
                                     std::pair(scalar, "numpy._core.multiarray.scalar"),
                                     std::pair(partial, "functools.partial"), std::pair(deque, "collections.deque")}) {
    CAPTURE(name);
    for (const auto& content : {zipped(dict(entry("args", object) + entry("state_dict", weights))),
                                legacy(dict(entry("state_dict", weights) + entry("args", object))),
                                zipped(dict(entry("a", vector2()) + entry("args", object)))}) {
      const auto in = read_bytes(content);
      CHECK(in.size() == 1);
      CHECK(in.find("a")->sum().item<float>() == 3);
      REQUIRE(in.notes.size() == 1);
      CHECK(in.notes[0] == has("'args' ("));
      CHECK(in.notes[0] == has(name));
      CHECK(in.notes[0] == has("nothing in the file was run"));
    }
  }
  const auto flat = read_bytes(zipped(dict(entry("epoch", number(3)) + entry("a", vector2()) + entry("none", "N"))));
  CHECK(flat.size() == 1);
  CHECK(flat.notes.at(0) == has("'epoch' (an int), 'none' (None)"));
  CHECK_FALSE(std::filesystem::exists(mark));
}

TEST_CASE("parameters, torch.Size, old and new rebuilds, untyped storages and Python 2's OrderedDict are understood") {
  const auto parameter =
      global("torch._utils", "_rebuild_parameter") + "(" + vector2() + "\x88" + ordered_dict() + "tR";
  CHECK(read_bytes(zipped(dict(entry("a", parameter)))).size() == 1);
  const auto with_state = global("torch._utils", "_rebuild_parameter_with_state") + "(" + vector2() + "\x88" +
                          ordered_dict() + dict(entry("note", text("x"))) + "tR";
  CHECK(read_bytes(zipped(dict(entry("a", with_state)))).size() == 1);
  const auto with_attributes = global("torch._tensor", "_rebuild_from_type_v2") + "(" +
                               global("torch._utils", "_rebuild_tensor_v2") + global("torch", "Tensor") + "(" +
                               storage(2) + number(0) + tuple({2}) + tuple({1}) + "\x89" + ordered_dict() + "t" +
                               dict(entry("note", text("x"))) + "tR";
  CHECK(read_bytes(zipped(dict(entry("a", with_attributes)))).find("a")->sum().item<float>() == 3);
  const auto size = global("torch", "Size") + "(" + tuple({2}) + "tR";
  CHECK(read_bytes(zipped(dict(entry("a", tensor(storage(2), 0, size, tuple({1})))))).find("a")->numel() == 2);
  const auto old =
      global("torch._utils", "_rebuild_tensor") + "(" + storage(2) + number(1) + tuple({1}) + tuple({1}) + "tR";
  CHECK(read_bytes(zipped(dict(entry("a", old)))).find("a")->item<float>() == 2);
  const auto untyped =
      "(" + text("storage") + global("torch.storage", "UntypedStorage") + text("0") + text("cpu") + number(8) + "tQ";
  const auto v3 = global("torch._utils", "_rebuild_tensor_v3") + "(" + untyped + number(0) + tuple({2}) + tuple({1}) +
                  "\x89" + ordered_dict() + global("torch", "float32") + "tR";
  CHECK(read_bytes(zipped(dict(entry("a", v3)))).find("a")->sum().item<float>() == 3);
  const auto python2 = global("collections", "OrderedDict") +
                       "(]](U\x01"
                       "a" +
                       vector2() + "eatR";
  CHECK(read_bytes(zipped(python2)).contains("a"));
  CHECK(read_bytes(legacy(dict(entry("a", vector2())))).size() == 1);
  CHECK(read_bytes(zipped(dict(entry("a", tensor(storage(2), 2, tuple({0, 3}), tuple({3, 1})))))).find("a")->numel() ==
        0);
}

TEST_CASE("tensors of one storage share it, and tensors that are not contiguous are copied") {
  const auto in = read_bytes(zipped(dict(entry("a", vector2()) + entry("b", vector2()))));
  CHECK(in.find("a")->data_ptr() == in.find("b")->data_ptr());
  const auto every_second = tensor(storage(4), 0, tuple({2}), tuple({2}));
  const auto strided = read_bytes(zipped(dict(entry("a", every_second)), le(1.0F) + le(2.0F) + le(3.0F) + le(4.0F)));
  CHECK(strided.find("a")->is_contiguous());
  CHECK(strided.find("a")->sum().item<float>() == 4);
}

TEST_CASE("a pickle that names a program is refused by that name, and nothing is run") {
  const TemporaryFolder folder;
  const auto mark = (folder.path / "ran").string();
  for (const auto& call : {global("os", "system") + "(" + text("touch " + mark) + "tR",
                           global("posix", "system") + "(" + text("touch " + mark) + "tR",
                           text("os") + text("system") + "\x93(" + text("touch " + mark) + "tR"}) {
    CHECK(pytorch_refused(zipped(call), "system'"));
    CHECK(pytorch_refused(legacy(dict(entry("a", call))), "Nothing was run"));
  }
  CHECK(pytorch_refused(zipped(global("builtins", "eval") + "(" + text("1") + "tR"), "'builtins.eval'"));
  CHECK(pytorch_refused(zipped(global("torchvision.models.resnet", "ResNet") + ")\x81}b"),
                        "'torchvision.models.resnet.ResNet'"));
  CHECK(pytorch_refused(zipped("(ios\nsystem\n"), "opcode 0x69"));  // INST
  CHECK(pytorch_refused(zipped("\x82\x01"), "opcode 0x82"));        // EXT1
  CHECK(pytorch_refused(zipped(text("os") + "(tR"), "expected a name and a tuple"));
  CHECK_FALSE(std::filesystem::exists(mark));
}

TEST_CASE("what is not a state dict is refused, and says what it is") {
  CHECK(pytorch_refused("", "an empty file"));
  CHECK(pytorch_refused("hello, world", "unknown kind"));
  CHECK(pytorch_refused("\x1f\x8b\x08" + std::string(20, '\0'), "a gzip file"));
  CHECK(pytorch_refused("<html></html>", "HTML"));
  CHECK(pytorch_refused(le(std::uint64_t{2}) + "{}", "a safetensors file"));
  CHECK(pytorch_refused("version https://git-lfs.github.com/spec/v1\n", "Git LFS"));
  CHECK(pytorch_refused(pickle(dict("")), "a dict, expected a file that torch.save wrote"));
  CHECK(pytorch_refused(zip({{"x/readme", "hello"}}), "without data.pkl"));
  CHECK(pytorch_refused(zip({}), "without data.pkl"));
  CHECK(pytorch_refused(zip({{"x/data.pkl", pickle(dict(""))}, {"x/constants.pkl", ""}}), "TorchScript"));
  CHECK(pytorch_refused(zip({{"x/data.pkl", pickle(dict(""))}, {"x/byteorder", "big"}}), "byte order"));
  CHECK(pytorch_refused(zipped(number(3)), "an int at the top"));
  CHECK(pytorch_refused(zipped(dict("")), "no tensor"));
  CHECK(pytorch_refused(zipped(dict(entry("epoch", number(3)))), "'epoch': got an int"));
  CHECK(pytorch_refused(zipped(dict(entry("a", storage(2)))), "a bare storage"));
  CHECK(pytorch_refused(zipped(dict(entry("a", ordered_dict()))), "collections.OrderedDict"));
  CHECK(pytorch_refused(zipped(dict(number(1) + vector2())), "as a name"));
  CHECK(pytorch_refused(zipped(dict(entry("a", vector2()) + entry("a", vector2()))), "twice"));
}

TEST_CASE("tensors that do not fit their storage are refused") {
  const auto one = [](const std::string& value) { return zipped(dict(entry("a", value))); };
  const auto huge = std::int64_t{1} << 62;
  CHECK(pytorch_refused(one(tensor(storage(2), 0, tuple({3}), tuple({1}))), "inside its storage"));
  CHECK(pytorch_refused(one(tensor(storage(2), 1, tuple({2}), tuple({1}))), "inside its storage"));
  CHECK(pytorch_refused(one(tensor(storage(2), 0, tuple({2}), tuple({2}))), "inside its storage"));
  CHECK(pytorch_refused(one(tensor(storage(2), 2, tuple({}), tuple({}))), "inside its storage"));
  CHECK(pytorch_refused(one(tensor(storage(2), 0, tuple({2}), tuple({-1}))), "negative"));
  CHECK(pytorch_refused(one(tensor(storage(2), 0, tuple({-2}), tuple({1}))), "negative"));
  CHECK(pytorch_refused(one(tensor(storage(2), -1, tuple({2}), tuple({1}))), "offset"));
  CHECK(pytorch_refused(one(tensor(storage(2), 0, tuple({2, 1}), tuple({1}))), "strides"));
  CHECK(pytorch_refused(one(tensor(storage(2), 0, tuple({3, huge, huge}), tuple({1, huge, huge}))),
                        "inside its storage"));
  CHECK(pytorch_refused(one(tensor(storage(2), 0, tuple({0, huge, huge}), tuple({0, 0, 0}))), "inside its storage"));
  CHECK(pytorch_refused(one(tensor(storage(2), INT64_MAX, tuple({2}), tuple({INT64_MAX}))), "inside its storage"));
  CHECK(pytorch_refused(one(tensor(storage(2), 0, tuple({huge / 2}), tuple({0}))), "inside its storage"));
  CHECK(pytorch_refused(one(tensor(storage(2), 0, tuple({1 << 30}), tuple({0}))), "overlap"));
  CHECK(pytorch_refused(
      one(tensor(storage(2), 0, tuple({1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 2}), tuple({1}))),
      "at most 16"));
  CHECK(pytorch_refused(one(tensor(storage(2), 0, number(2), tuple({1}))), "an int as its shape"));
  CHECK(pytorch_refused(one(tensor(storage(2), 0, "(" + text("2") + "t", tuple({1}))), "a text in its shape"));
  CHECK(pytorch_refused(one(tensor(storage(3), 0, tuple({2}), tuple({1}))), "8 bytes in the storage '0', expected 12"));
  CHECK(pytorch_refused(one(tensor(storage(huge), 0, tuple({2}), tuple({1}))), "64 bits"));
  CHECK(pytorch_refused(one(tensor(storage(-1), 0, tuple({2}), tuple({1}))), "64 bits"));
  CHECK(pytorch_refused(one(tensor(storage(2, "9"), 0, tuple({2}), tuple({1}))), "does not contain"));
  CHECK(pytorch_refused(one(tensor(storage(2, "0", "ComplexFloatStorage"), 0, tuple({2}), tuple({1}))),
                        "ComplexFloatStorage"));
  CHECK(pytorch_refused(one(tensor(storage(2, "0", "Size"), 0, tuple({2}), tuple({1}))), "'torch.Size'"));
  CHECK(pytorch_refused(one(tensor(number(1), 0, tuple({2}), tuple({1}))), "as its storage"));
  CHECK(pytorch_refused(one(tensor(tuple({1, 2, 3, 4, 5}) + "Q", 0, tuple({2}), tuple({1}))), "is not ('storage'"));
  CHECK(pytorch_refused(one(tensor(storage(8, "0", "BoolStorage"), 0, tuple({8}), tuple({1}))), "bools"));
  CHECK(pytorch_refused(one(global("torch._utils", "_rebuild_tensor_v2") + "(" + storage(2) + "tR"), "1 argument,"));
  const auto negated = global("torch._utils", "_rebuild_tensor_v2") + "(" + storage(2) + number(0) + tuple({2}) +
                       tuple({1}) + "\x89" + ordered_dict() + dict(entry("neg", "\x88")) + "tR";
  CHECK(pytorch_refused(one(negated), "metadata"));

  // Many copies of one storage, each small: together they would be as large as one likes.
  std::string copies;
  for (int i = 0; i < 2000; ++i) copies += text(std::to_string(i)) + "h\x01";
  const std::string data(400 * 400 * 4, '\0');
  const auto transposed = tensor(storage(400 * 400), 0, tuple({400, 400}), tuple({1, 400}));
  CHECK(pytorch_refused(zipped("}(" + text("a") + transposed + "q\x01" + copies + "u", data), "not contiguous"));
}

TEST_CASE("a million names may share a storage of bools: it is looked through once") {
  std::string names =
      text("a") + tensor(storage(4 << 20, "0", "BoolStorage"), 0, tuple({4 << 20}), tuple({1})) + "q\x01";
  for (int i = 0; i < 50'000; ++i)
    names += text(std::to_string(i)) + "h\x01";  // 200 GB to look through, were it each time
  std::string data(4 << 20, '\1');
  CHECK(read_bytes(zipped("}(" + names + "u", data)).size() == 50'001);
  data[7] = '\2';
  CHECK(pytorch_refused(zipped("}(" + names + "u", data), "bools"));
}

TEST_CASE("a memo whose keys would collide in a hash table takes little time") {
  std::string puts = "N";
  for (std::uint64_t i = 0; i < 300'000; ++i)
    puts += "p" + std::to_string(i * 356'467) + "\n";  // a size of libstdc++'s tables
  CHECK(pytorch_refused(zipped(puts), "None at the top"));
}

TEST_CASE("broken and hostile zip archives are refused") {
  const std::string tree = pickle(dict(entry("a", vector2())));
  const Member good{"x/data.pkl", tree};
  const auto with = [&](Member m) { return zip({good, std::move(m)}); };
  CHECK(read_bytes(with({"x/data/0", kTwoFloats})).size() == 1);
  CHECK(pytorch_refused(with({"x/data/0", kTwoFloats, 8}), "compressed"));
  CHECK(pytorch_refused(with({"x/data/0", kTwoFloats, 0, 1}), "encrypted"));
  CHECK(pytorch_refused(with({"x/data/0", kTwoFloats, 0, 0, 1}), "end before the directory"));
  CHECK(pytorch_refused(with({"x/data/0", kTwoFloats, 0, 0, 0x7fffffff}), "end before the directory"));
  CHECK(pytorch_refused(with({"x/data/0", kTwoFloats, 0, 0, 0, 1}), "does not agree"));
  CHECK(pytorch_refused(with({"x/data/0", kTwoFloats, 0, 0, 0, 1U << 30}), "before the directory"));
  CHECK(pytorch_refused(with({"x/data/0", kTwoFloats, 0, 0, 0, 0, "x/data/1"}), "does not agree"));
  CHECK(pytorch_refused(with({"x/data.pkl", tree}), "twice"));
  CHECK(pytorch_refused(zip({good, {"x/data/0", kTwoFloats}}, 1), "directory"));
  CHECK(pytorch_refused(zip({good, {"x/data/0", kTwoFloats}}, 0xfff0), "directory"));
  CHECK(pytorch_refused(zip({{"x/data.pkl", tree, 0, 0, 5}, {"x/data/0", kTwoFloats}}), "overlap"));
  CHECK(pytorch_refused(with({"x/data/0", kTwoFloats}) + "x", "without a directory"));
  CHECK(pytorch_refused("PK\x03\x04" + std::string(100, '\0'), "without a directory"));
  CHECK(pytorch_refused("PK\x05\x06" + std::string(10, '\0'), "without a directory"));

  std::string zip64 = from_hex(kZipSample);
  const auto record = zip64.rfind("PK\x06\x06"s);
  REQUIRE(record != std::string::npos);
  zip64.replace(record + 32, 8, std::string(8, '\xff'));
  CHECK(pytorch_refused(zip64, "impossible size"));
  zip64 = from_hex(kZipSample);
  zip64.replace(zip64.rfind("PK\x06\x07"s) + 8, 8, std::string(8, '\xff'));
  CHECK(pytorch_refused(zip64, "outside the file"));
}

TEST_CASE("broken and hostile legacy files are refused") {
  const std::string tree = dict(entry("a", vector2()));
  CHECK(pytorch_refused(legacy(tree, 3), "3 elements, expected 8 bytes"));
  CHECK(pytorch_refused(legacy(tree, -1), "-1 elements"));
  CHECK(pytorch_refused(legacy(tree, INT64_MAX), "elements"));
  CHECK(pytorch_refused(legacy(tree, 2, "abcd"), "truncated"));
  CHECK(pytorch_refused(legacy(tree, 2, kTwoFloats + "x"), "after the last storage"));
  CHECK(pytorch_refused(legacy(tree, 2, kTwoFloats, "](" + text("7") + "e"), "no tensor uses"));
  CHECK(pytorch_refused(
      legacy(tree, 2, kTwoFloats + le(std::int64_t{2}) + kTwoFloats, "](" + text("0") + text("0") + "e"), "twice"));
  CHECK(pytorch_refused(legacy(tree, 2, kTwoFloats, number(1)), "list of storages"));
  CHECK(pytorch_refused(legacy(dict(entry("a", vector2()) + entry("b", vector2("1")))), "does not contain"));
  const auto huge = std::int64_t{1} << 40;  // no allocation before the file was compared
  CHECK(pytorch_refused(legacy(dict(entry("a", tensor(storage(huge), 0, tuple({huge}), tuple({1})))), huge),
                        "truncated"));
  std::string other = legacy(tree);
  other.replace(other.find("M\xe9\x03"), 3, "M\xe8\x03");
  CHECK(pytorch_refused(other, "protocol version"));
  other = legacy(tree);
  other.replace(other.find("little_endian") + 13, 1, "\x89");
  CHECK(pytorch_refused(other, "byte order"));
  const auto view = "(" + text("storage") + global("torch", "FloatStorage") + text("0") + text("cpu") + number(2) +
                    tuple({1, 2, 3}) + "tQ";
  CHECK(pytorch_refused(legacy(dict(entry("a", tensor(view, 0, tuple({2}), tuple({1}))))), "view of a storage"));
}

TEST_CASE("broken and hostile pickles are refused, within limits") {
  CHECK(pytorch_refused(zipped(""), "empty stack"));
  CHECK(pytorch_refused(zipped("t"), "no mark"));
  CHECK(pytorch_refused(zipped("(R"), "empty stack"));
  CHECK(pytorch_refused(zipped("h\x05"), "never put"));
  CHECK(pytorch_refused(zipped("X\xff\xff\xff\xff"), "expected 4,294,967,295"));
  CHECK(pytorch_refused(zipped("\x8d" + std::string(8, '\xff')), "truncated or broken"));
  CHECK(pytorch_refused(zipped("\x95" + std::string(8, '\xff')), "truncated or broken"));
  CHECK(pytorch_refused(zipped("\x8b\xff\xff\xff\xff"), "expected at most 255"));
  CHECK(pytorch_refused(zipped(text("\xff\xfe")), "UTF-8"));
  CHECK(pytorch_refused(zipped("I12x\n"), "'12x'"));
  CHECK(pytorch_refused(zipped("c" + std::string(1000, 'a')), "longer than"));
  CHECK(pytorch_refused(zipped("\x80\x06"), "protocol 6"));
  CHECK(pytorch_refused(zipped("NNa"), "does not accept such items"));
  CHECK(pytorch_refused(zipped("}(Nu"), "even number"));
  CHECK(pytorch_refused(zipped("}}b"), "a state for a dict"));
  CHECK(pytorch_refused(zipped(std::string(100'000, '(')), "marks nested deeper"));
  CHECK(pytorch_refused(zipped(std::string(1'100'000, 'N')), "values"));
  CHECK(pytorch_refused(zipped("N" + std::string(1'100'000, '2')), "on the stack"));
  CHECK(pytorch_refused(zipped(text(std::string(2 << 20, 'a'))), "a text of"));
  // A very deep tuple, and a list that holds itself: built, described and destroyed without recursion.
  CHECK(pytorch_refused(zipped("N" + std::string(900'000, '\x85')), "a tuple at the top"));
  CHECK(pytorch_refused(zipped("]q\x01h\x01"
                               "a"),
                        "a list at the top"));

  const TemporaryFolder folder;
  put(folder.path / "long", std::string(1000, 'N'));
  const InputFile file(folder.path / "long");
  PickleOptions options;
  options.where = "x";
  options.max_bytes = 100;
  CHECK_THROWS_WITH_AS(read_pickle(file, 0, file.size(), options), doctest::Contains("longer than 100 B"), Error);
}

TEST_CASE("the pickle machine reads the opcodes of protocols 0 to 5") {
  const TemporaryFolder folder;
  const auto parse = [&](const std::string& bytes) {
    put(folder.path / "p", bytes);
    const InputFile file(folder.path / "p");
    PickleOptions options;
    options.where = "p";
    return read_pickle(file, 0, file.size(), options);
  };
  CHECK(parse("I01\n.").top().kind == PickleKind::kBool);
  CHECK(parse("I-12\n.").top().integer == -12);
  CHECK(parse("L12L\n.").top().integer == 12);
  CHECK(parse("F1.5\n.").top().real == 1.5);
  CHECK(parse("G\x3f\xf8" + std::string(6, '\0') + ".").top().real == 1.5);
  CHECK(parse("\x8a\x01\xff.").top().integer == -1);
  CHECK(parse("\x8a"s + '\0' + ".").top().integer == 0);
  CHECK(parse("\x8a\x02\x00\x01."s).top().integer == 256);
  CHECK(parse("\x80\x04\x95" + le(std::uint64_t{5}) +
              "\x8c\x02"
              "ab\x94.")
            .top()
            .text == "ab");
  CHECK(parse("C\x02"
              "ab.")
            .top()
            .kind == PickleKind::kBytes);
  CHECK(parse("\x8f(K\x01K\x02\x90.").top().items.size() == 2);
  CHECK(parse("(K\x01K\x02l.").top().items.size() == 2);
  CHECK(parse("(K\x01K\x02"
              "dp7\n0g7\n.")
            .top()
            .kind == PickleKind::kDict);
  CHECK(parse("K\x01(N0"
              "0.")
            .top()
            .integer == 1);
  CHECK(parse("K\x01(NN1.").top().integer == 1);
  CHECK(parse("K\x01.K\x02.").end == 3);
}

TEST_CASE("a file cut off anywhere is refused") {
  const TemporaryFolder folder;
  const auto path = folder.path / "x.pth";
  for (const auto sample : {kZipSample, kLegacySample}) {
    const std::string whole = from_hex(sample);
    for (std::size_t size = 0; size < whole.size(); ++size) {
      CAPTURE(size);
      put(path, whole.substr(0, size));
      CHECK_FALSE(survives(path));
    }
  }
}

TEST_CASE("a file with any byte changed gives a result or an Error") {
  const TemporaryFolder folder;
  const auto path = folder.path / "x.pth";
  for (const auto sample : {kZipSample, kLegacySample}) {
    const std::string whole = from_hex(sample);
    std::size_t read_anyway = 0;
    for (std::size_t i = 0; i < whole.size(); ++i) {
      for (const int change : {0x01, 0x80, 0xff}) {
        CAPTURE(i);
        std::string changed = whole;
        changed[i] = static_cast<char>(changed[i] ^ change);
        put(path, changed);
        read_anyway += survives(path) ? 1 : 0;
      }
    }
    CHECK(read_anyway > 0);  // the bytes of the tensors themselves, and padding
    CHECK(read_anyway < 3 * whole.size());
  }
}

// ---- writing ------------------------------------------------------------------------------------------------------

TEST_CASE("what is written is read back: order, types, shapes, and each tensor alone in its storage") {
  const TemporaryFolder folder;
  const auto path = folder.path / "x.pth";
  const at::Tensor whole = at::arange(24, at::kFloat).reshape({4, 6});
  NamedTensors out;
  out.add("transposed", whole.t());
  out.add("part", whole.narrow(0, 1, 1));
  out.add("again", whole);
  out.add("learned", at::ones({3}).set_requires_grad(true));
  out.add("counter", at::scalar_tensor(7, at::kLong));
  out.add("nothing", at::empty({0, 5}));
  for (const auto type :
       {at::kDouble, at::kHalf, at::kBFloat16, at::kInt, at::kShort, at::kChar, at::kByte, at::kBool}) {
    out.add(c10::toString(type), whole.gt(7).to(type));
  }
  write_weights_file(path, out);
  const NamedTensors in = read_weights_file(path);
  REQUIRE(in.size() == out.size());
  auto wanted = out.begin();
  std::uint64_t bytes = 0;
  for (const auto& [name, value] : in) {
    CAPTURE(name);
    CHECK(name == wanted->first);
    CHECK((value.scalar_type() == wanted->second.scalar_type()));
    CHECK(value.is_contiguous());
    CHECK(at::equal(value, wanted->second));
    bytes += value.nbytes();
    ++wanted;
  }
  CHECK(std::filesystem::file_size(path) <
        bytes + 10'000);  // no storage is written twice, or with what lies around a view
}

TEST_CASE("the archive is laid out as torch.save's, tensors at multiples of 64 bytes") {
  const TemporaryFolder folder;
  NamedTensors out;
  for (const char* name : {"a", "b", "c"}) out.add(name, at::ones({7}));
  write_pytorch_file(folder.path / "x.pth", out);
  const InputFile file(folder.path / "x.pth");
  std::vector<std::string> names;
  for (const ZipMember& member : read_stored_zip(file)) {
    CHECK(member.offset % 64 == 0);
    names.push_back(member.name.substr(member.name.find('/') + 1));
  }
  REQUIRE(names.size() > 5);
  names.resize(5);
  CHECK(names == std::vector<std::string>{"data.pkl", "byteorder", "data/0", "data/1", "data/2"});
}

TEST_CASE("names of any text are kept; one that is no text is refused") {
  const TemporaryFolder folder;
  const auto path = folder.path / "x.pth";
  NamedTensors out;
  const std::vector<std::string> names{""s,       "a\nb"s,          "'\"\\"s,  "../../etc/passwd"s,
                                       "data/0"s, "żółć 🦜"s, "nul\0l"s, std::string(100'000, 'x')};
  for (const auto& name : names) out.add(name, at::ones({1}));
  write_pytorch_file(path, out);
  const NamedTensors in = read_pytorch_file(path);
  CHECK(in.size() == out.size());
  for (const auto& [name, value] : out) CHECK(in.contains(name));
  out.add("\xff", at::ones({1}));
  CHECK(refusal([&] { write_pytorch_file(path, out); }) == has("not UTF-8"));
  CHECK(read_pytorch_file(path).size() == in.size());
}

TEST_CASE("the name's ending decides the format, and another ending is a wrong call") {
  const TemporaryFolder folder;
  NamedTensors out;
  out.add("a", at::ones({1}));
  const auto format = [&](const char* name) {
    write_weights_file(folder.path / name, out);
    return weights_format(InputFile(folder.path / name));
  };
  CHECK((format("x.pth") == WeightsFormat::kZip));
  CHECK((format("x.safetensors") == WeightsFormat::kSafetensors));
  CHECK(read_safetensors(folder.path / "x.safetensors").metadata["format"] == "pt");
  for (const char* name : {"x", "x.pt", "x.PTH", "pth", ".pth", "x.pth/y"}) {
    CHECK(refusal<UsageError>([&] { write_weights_file(folder.path / name, out); }) ==
          has("expected .safetensors or .pth"));
  }
}

TEST_CASE("a file that cannot be written whole is not there, and the error is the write's") {
  const TemporaryFolder folder;
  NamedTensors out;
  out.add("a", at::ones({100'000}));
  CHECK(refusal([&] { write_pytorch_file("/dev/null/x.pth", out); }) == has("/dev/null"));
  std::signal(SIGXFSZ, SIG_IGN);  // as the command does
  rlimit usual{};
  getrlimit(RLIMIT_FSIZE, &usual);
  const rlimit small{65'536, usual.rlim_max};
  setrlimit(RLIMIT_FSIZE, &small);
  const std::string message = refusal([&] { write_pytorch_file(folder.path / "x.pth", out); });
  setrlimit(RLIMIT_FSIZE, &usual);
  CHECK(message == has("File too large"));
  CHECK(std::filesystem::is_empty(folder.path));
}
