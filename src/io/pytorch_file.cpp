#include "io/pytorch_file.h"

#include <ATen/Functions.h>
#include <caffe2/serialize/inline_container.h>
#include <torch/csrc/jit/serialization/pickler.h>

#include <array>
#include <exception>
#include <map>
#include <span>
#include <string_view>
#include <utility>

#include "base/bytes.h"
#include "base/error.h"
#include "base/file.h"
#include "base/text.h"
#include "io/pickle.h"
#include "io/pytorch_tensors.h"
#include "io/stored_zip.h"
#include "io/weights_file.h"

namespace lorikeet {
namespace {

NamedTensors read_zip(const InputFile& file) {
  const std::string path = file.path().string();
  const auto members = read_stored_zip(file);
  const std::string prefix = members.empty() ? "" : members[0].name.substr(0, members[0].name.find('/') + 1);
  const ZipMember* tree = nullptr;
  Extents extents;
  for (const ZipMember& member : members) {
    if (!member.name.starts_with(prefix)) continue;
    const std::string name = member.name.substr(prefix.size());
    if (name == "data.pkl") tree = &member;
    if (name.starts_with("data/")) extents[name.substr(5)] = {member.offset, member.size};
    if (name == "constants.pkl") {
      fail(path, ": got a TorchScript archive, expected a state dict. Save model.state_dict() with torch.save.");
    }
    if (name == "byteorder") {
      std::array<char, 6> order{};
      if (member.size == order.size()) file.read(member.offset, std::as_writable_bytes(std::span(order)));
      if (std::string_view(order.data(), order.size()) != "little") {
        fail(path, ": got another byte order, expected little-endian tensors.");
      }
    }
  }
  if (tree == nullptr) fail(path, ": got a zip archive without data.pkl, expected a file that torch.save wrote.");
  const Pickle pickle = read_pickle(file, tree->offset, tree->offset + tree->size, {.where = path});
  return read_state_dict(file, pickle, extents);
}

// The legacy format starts with a pickle of this number, 0x1950a86a20f9469cfc6c, and one of the protocol version.
constexpr std::string_view kLegacyMagic = "\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19";
constexpr std::int64_t kLegacyProtocol = 1001;

NamedTensors read_legacy(const InputFile& file) {
  const std::string path = file.path().string();
  const PickleOptions options = {.where = path};
  std::uint64_t position = 0;
  const auto next = [&] {
    Pickle pickle = read_pickle(file, position, file.size(), options);
    position = pickle.end;
    return pickle;
  };
  if (const Pickle magic = next(); magic.top().kind != PickleKind::kBigInt || magic.top().text != kLegacyMagic) {
    fail(path, ": got a pickle that starts with ", describe(magic, magic.top()),
         ", expected a file that torch.save wrote.");
  }
  if (const Pickle version = next();
      version.top().kind != PickleKind::kInt || version.top().integer != kLegacyProtocol) {
    fail(path, ": got another protocol version, expected ", kLegacyProtocol, " of torch.save's legacy format.");
  }
  const Pickle system = next();
  for (std::size_t i = 0; i + 1 < system.top().items.size(); i += 2) {
    if (system[system.top().items[i]].text == "little_endian" && system[system.top().items[i + 1]].integer != 1) {
      fail(path, ": got another byte order, expected little-endian tensors.");
    }
  }
  const Pickle pickle = next();
  const Pickle keys = next();
  if (keys.top().kind != PickleKind::kList) {
    fail(path, ": got ", describe(keys, keys.top()), ", expected the list of storages.");
  }

  std::map<std::string, PytorchStorage> storages;
  for (const PickleValue& value : pickle.values) {
    if (value.kind != PickleKind::kPersistentId) continue;
    PytorchStorage storage = parse_storage(pickle, value, path);
    storages.emplace(storage.key, std::move(storage));
  }
  if (storages.empty()) return read_state_dict(file, pickle, {});  // throws a message with the actual content
  Extents extents;
  for (const PickleIndex index : keys.top().items) {
    const std::string& key = keys[index].text;
    const std::string where = cat(path, ": storage '", printable(key), "'");
    const auto storage = storages.find(key);
    if (keys[index].kind != PickleKind::kText || storage == storages.end())
      fail(where, ": got a storage that no tensor uses.");
    std::array<std::byte, sizeof(std::int64_t)> count{};
    file.read(position, count);
    position += count.size();
    const auto elements = load_le<std::uint64_t>(count.data());
    const auto bytes = checked_mul(elements, c10::elementSize(storage->second.type));
    if (!bytes || *bytes != storage->second.bytes) {
      fail(where, ": got ", counted(static_cast<std::int64_t>(elements), "element"), ", expected ",
           counted(storage->second.bytes, "byte"), " of them.");
    }
    if (*bytes > file.size() - position) {
      fail(where, ": got ", counted(file.size() - position, "byte"), ", expected ", with_commas(*bytes),
           ". The file is truncated.");
    }
    if (!extents.emplace(key, Extent{position, *bytes}).second)
      fail(where, ": got it twice, expected each storage once.");
    position += *bytes;
  }
  if (position != file.size())
    fail(path, ": got ", counted(file.size() - position, "byte"), " after the last storage, expected none.");
  return read_state_dict(file, pickle, extents);
}

}  // namespace

NamedTensors read_pytorch_file(const std::filesystem::path& path) { return read_pytorch_file(InputFile(path)); }

NamedTensors read_pytorch_file(const InputFile& file) {
  switch (weights_format(file)) {
    case WeightsFormat::kZip: return read_zip(file);
    case WeightsFormat::kPickle: return read_legacy(file);
    default: break;
  }
  fail(file.path().string(), ": got ", describe_content(file), ", expected a state dict that torch.save wrote.");
}

void write_pytorch_file(const std::filesystem::path& path, const NamedTensors& tensors) {
  c10::impl::GenericDict dict(c10::StringType::get(), c10::TensorType::get());
  for (const auto& [name, tensor] : tensors) {
    if (!is_utf8(name))
      fail(path.string(), ": tensor '", printable(name), "': got a name that is not UTF-8, expected one.");
    at::Tensor plain = tensor.detach().cpu().contiguous();
    if (plain.storage().nbytes() != plain.nbytes()) plain = plain.clone();
    dict.insert(name, std::move(plain));
  }
  // libtorch's own writers: one for the pickle, and one for the archive with its alignment and checksums.
  std::string tree;
  torch::jit::Pickler pickler([&](const char* bytes, std::size_t count) { tree.append(bytes, count); }, nullptr,
                              nullptr, nullptr, nullptr,
                              /*tag_aggregates=*/false);
  pickler.protocol();
  pickler.pushIValue(dict);
  pickler.stop();

  AtomicFile file(path);
  // The archive writer finishes the archive in its destructor, which must not throw: a failed write is stored until
  // then.
  std::exception_ptr failure;
  {
    caffe2::serialize::PyTorchStreamWriter archive([&](const void* bytes, std::size_t count) {
      try {
        if (!failure) file.write(bytes, count);
      } catch (const Error&) {
        failure = std::current_exception();
      }
      return count;
    });
    archive.writeRecord("data.pkl", tree.data(), tree.size());
    archive.writeRecord("byteorder", "little", std::string_view("little").size());
    const auto& storages = pickler.tensorData();
    for (std::size_t i = 0; i < storages.size(); ++i)
      archive.writeRecord(cat("data/", i), storages[i].const_data_ptr(), storages[i].nbytes());
    archive.writeEndOfFile();
  }
  if (failure) std::rethrow_exception(failure);
  file.commit();
}

}  // namespace lorikeet
