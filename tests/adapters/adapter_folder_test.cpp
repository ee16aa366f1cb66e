#include "adapters/adapter_folder.h"

#include <ATen/Functions.h>
#include <doctest/doctest.h>

#include <cmath>

#include "adapters/adapter_file_header.h"
#include "base/file.h"
#include "graph/small_graphs.h"
#include "io/pytorch_file.h"
#include "io/safetensors.h"
#include "lorikeet/error.h"
#include "refusal.h"
#include "temporary_folder.h"

using namespace lorikeet;

namespace {

const std::string kSha(64, 'a');

NamedTensors tensors_for(const Adaptation& adaptation) {
  at::Generator generator = seeded(3);
  NamedTensors out;
  for (const auto& parameter : adapter_parameters(adaptation)) {
    out.add(parameter.name,
            parameter.buffer ? at::ones(parameter.shape) : at::empty(parameter.shape).normal_(0, 1, generator));
  }
  return out;
}

// LoRA on two layers, the output replaced, a BatchNorm retrained, a head.
AdapterFolder sample() {
  AdapterFolder folder;
  folder.spec.config.target_modules = std::string(R"(.*\.2\.conv[23])");
  folder.spec.config.r = 2;
  folder.spec.config.modules_to_save = {"fc", "layer1.0.bn1"};
  folder.spec.output_classes = 6;
  folder.spec.head = Head{{7}, 3, Activation::kRelu};
  folder.metadata = AdapterMetadata{
      "small", "small.v1", kSha, {"cat", "dog", "Vögel"}, {}, Precision::kBFloat16, {{"accuracy", 0.5}}};
  folder.metadata->preprocessing = {.resize = 40,
                                    .crop = 32,
                                    .interpolation = Interpolation::kBicubic,
                                    .mean = {0.1, 0.2, 0.3},
                                    .std = {1, 2, 3},
                                    .exif = Exif::kIgnore};
  folder.tensors = tensors_for(adapt(small_resnet(), folder.spec));
  return folder;
}

// A good folder, to be damaged.
struct Written : TemporaryFolder {
  Written() { write_adapter_folder(adapter(), sample()); }
  std::filesystem::path adapter() const { return path / "adapter"; }

  void write(const char* file, const std::string& content) const { write_file(adapter() / file, content); }
  // Sets one value of lorikeet.json by a path like "/head/hidden".
  void set(const std::string& pointer, const Json& value) const {
    Json json = parse_json(read_file(adapter() / "lorikeet.json", 1 << 20), "x");
    json[Json::json_pointer(pointer)] = value;
    write("lorikeet.json", json.dump());
  }
  void add(const char* file, const std::string& name) const {
    NamedTensors tensors = read_safetensors(adapter() / file);
    tensors.add(name, at::ones({1}));
    write_safetensors(adapter() / file, tensors);
  }
  void refused(const std::string& because) const {
    CHECK_THROWS_WITH_AS(read_adapter_folder(adapter()), doctest::Contains(because.c_str()), Error);
    CHECK_THROWS_WITH_AS(read_adapter_folder(adapter()), doctest::Contains(adapter().c_str()), Error);
  }
};

}  // namespace

TEST_CASE("what is saved comes back") {
  const Written written;
  const AdapterFolder before = sample();
  const AdapterFolder after = read_adapter_folder(written.adapter());
  CHECK(is_adapter_folder(written.adapter()));
  CHECK_FALSE(is_adapter_folder(written.path));
  CHECK(adapter_config_json(after.spec.config).dump() == adapter_config_json(before.spec.config).dump());
  CHECK(after.spec.output_classes == 6);
  REQUIRE(after.spec.head);
  CHECK(after.spec.head->hidden == std::vector<std::int64_t>{7});
  CHECK(after.spec.head->classes == 3);
  CHECK((after.spec.head->activation == Activation::kRelu));
  REQUIRE(after.metadata);
  CHECK(after.metadata->base_model == "small");
  CHECK(after.metadata->base_weights == "small.v1");
  CHECK(after.metadata->base_sha256 == kSha);
  CHECK(after.metadata->classes == before.metadata->classes);
  CHECK((after.metadata->preprocessing == before.metadata->preprocessing));
  CHECK(after.metadata->precision == Precision::kBFloat16);
  CHECK(after.metadata->training == before.metadata->training);
  CHECK(after.tensors.size() == before.tensors.size());
  for (const auto& [name, tensor] : before.tensors) {
    CAPTURE(name);
    REQUIRE(after.tensors.contains(name));
    CHECK(at::equal(*after.tensors.find(name), tensor));
  }
  check_adapter_tensors(after.tensors, adapt(small_resnet(), after.spec), "x");
  CHECK(adapter_file_bytes(written.adapter()) ==
        std::filesystem::file_size(written.adapter() / "adapter_model.safetensors"));
}

TEST_CASE("PEFT's file holds PEFT's names, and the head lies beside it") {
  const Written written;
  const NamedTensors model = read_safetensors(written.adapter() / "adapter_model.safetensors");
  CHECK(model.metadata.at("format") == "pt");
  CHECK(model.contains("base_model.model.layer1.2.conv3.lora_A.weight"));
  CHECK(model.contains("base_model.model.fc.bias"));
  CHECK(model.contains("base_model.model.layer1.0.bn1.running_var"));
  for (const auto& [name, tensor] : model) CHECK(name.rfind("base_model.model.", 0) == 0);
  const NamedTensors head = read_safetensors(written.adapter() / "head.safetensors");
  CHECK(head.size() == 4);
  CHECK(head.contains("head.1.weight"));
}

TEST_CASE("a base's own module may be called head; it is not the head after the network") {
  AdapterFolder folder;
  folder.spec.config.target_modules = std::vector<std::string>{"qkv"};
  folder.spec.config.modules_to_save = {"head"};
  folder.spec.output_classes = 4;
  folder.spec.head = Head{{}, 3};
  folder.tensors = tensors_for(adapt(small_vit(), folder.spec));
  const TemporaryFolder temporary;
  write_adapter_folder(temporary.path / "adapter", folder);
  const NamedTensors model = read_safetensors(temporary.path / "adapter/adapter_model.safetensors");
  CHECK(model.contains("base_model.model.head.weight"));
  CHECK(model.contains("base_model.model.head.bias"));
  CHECK(read_safetensors(temporary.path / "adapter/head.safetensors").size() == 2);
}

TEST_CASE("a folder is replaced whole: no head of the last one stays") {
  const Written written;
  AdapterFolder plain = sample();
  plain.spec.head.reset();
  plain.metadata.reset();
  plain.tensors = tensors_for(adapt(small_resnet(), plain.spec));
  write_adapter_folder(written.adapter(), plain);
  CHECK_FALSE(std::filesystem::exists(written.adapter() / "head.safetensors"));
  CHECK_FALSE(std::filesystem::exists(written.adapter() / "lorikeet.json"));

  AdapterFolder read = read_adapter_folder(written.adapter());
  CHECK_FALSE(read.metadata);
  CHECK_FALSE(read.spec.output_classes);  // PEFT's file does not say it; fc.weight does
  infer_output_classes(read, small_resnet());
  CHECK(read.spec.output_classes == 6);
  check_adapter_tensors(read.tensors, adapt(small_resnet(), read.spec), "x");
}

TEST_CASE("the count of batches that PEFT expects of a BatchNorm is written and left out, and nothing else") {
  const Written written;
  const std::string counter = "base_model.model.layer1.0.bn1.num_batches_tracked";
  const NamedTensors model = read_safetensors(written.adapter() / "adapter_model.safetensors");
  REQUIRE(model.contains(counter));
  CHECK((model.find(counter)->scalar_type() == at::kLong));
  CHECK(model.find(counter)->dim() == 0);
  written.add("adapter_model.safetensors", "base_model.model.layer1.0.bn1.num_batches_tracked.more");
  const AdapterFolder read = read_adapter_folder(written.adapter());
  CHECK(read.tensors.size() == sample().tensors.size() + 1);
  CHECK(read.tensors.contains("layer1.0.bn1.num_batches_tracked.more"));
}

TEST_CASE("tensors that are not just the adapter's are refused, by name") {
  const AdapterFolder folder = sample();
  const Adaptation adaptation = adapt(small_resnet(), folder.spec);
  const auto refused = [&](const std::string& name, const at::Tensor& tensor, const std::string& because) {
    NamedTensors tensors;
    for (const auto& [own, value] : folder.tensors) {
      if (own != name) tensors.add(own, value);
    }
    if (tensor.defined()) tensors.add(name, tensor);
    const std::string message = "where: " + because;
    CHECK_THROWS_WITH_AS(check_adapter_tensors(tensors, adaptation, "where"), doctest::Contains(message.c_str()),
                         Error);
  };
  const std::string a = "layer1.2.conv3.lora_A.weight";
  refused(a, {}, "got no tensor '" + a + "', expected one of shape (2, 4, 1, 1)");
  refused("layer1.0.bn1.running_mean", {}, "got no tensor 'layer1.0.bn1.running_mean'");
  refused("head.1.bias", {}, "got no tensor 'head.1.bias'");
  refused(a, at::ones({3, 4, 1, 1}), "tensor '" + a + "': got shape (3, 4, 1, 1), expected (2, 4, 1, 1)");
  refused("fc.weight", at::ones({5, 8}), "tensor 'fc.weight': got shape (5, 8), expected (6, 8)");
  refused(a, at::ones({2, 4, 1, 1}, at::kInt), "tensor '" + a + "': got type Int");
  refused(a, at::full({2, 4, 1, 1}, std::nan("")), "tensor '" + a + "': got NaN or infinity");
  refused("fc.bias", at::full({6}, INFINITY, at::kHalf), "tensor 'fc.bias': got NaN or infinity");
  // What would silently overwrite the base in PEFT.
  refused("layer1.2.conv3.base_layer.weight", at::ones({8, 4, 1, 1}),
          "got the unknown tensor 'layer1.2.conv3.base_layer.weight'");
  refused("layer1.1.conv3.weight", at::ones({8, 4, 1, 1}), "got the unknown tensor");
  refused("head.2.weight", at::ones({1}), "got the unknown tensor 'head.2.weight'");
}

TEST_CASE("a damaged folder is refused, with the file's name") {
  CHECK_THROWS_WITH_AS(read_adapter_folder("/nowhere"), doctest::Contains("no adapter_config.json"), Error);
  {
    const Written written;
    written.add("adapter_model.safetensors", "fc.extra");
    written.refused(
        "adapter_model.safetensors: got the tensor 'fc.extra', expected names that start with base_model.model. f");
  }
  {
    const Written written;
    written.add("head.safetensors", "layer1.0.conv1.weight");
    written.refused("head.safetensors: got the tensor 'layer1.0.conv1.weight', expected names such as head.0.weight.");
  }
  {
    const Written written;
    written.add("adapter_model.safetensors", "base_model.model.head.0.weight");
    written.refused("got the tensor 'base_model.model.head.0.weight'");
  }
  {
    const Written written;
    std::filesystem::remove(written.adapter() / "head.safetensors");
    written.refused("head.safetensors");
  }
  {
    const Written written;
    written.set("/head", nullptr);
    written.refused("got head.safetensors, but no head in lorikeet.json");
  }
  {
    const Written written;
    std::filesystem::remove(written.adapter() / "adapter_model.safetensors");
    written.refused("adapter_model.safetensors");
  }
  const Written written;
  for (const char* file : {"adapter_config.json", "lorikeet.json"}) {
    const std::string good = read_file(written.adapter() / file, 1 << 20);
    const auto bad = [&](const std::string& content, const char* because) {
      written.write(file, content);
      written.refused(because);
    };
    bad(R"({"r": 4, "r": 5})", "the key 'r' twice");
    bad(R"({"x": )" + std::string(100, '[') + std::string(100, ']') + "}", "nested deeper than");
    bad("{", "broken JSON");
    bad("[]", "got a list");
    bad("", "broken JSON");
    written.write(file, good);
  }
}

TEST_CASE("links that lead out of the folder are refused, by file") {
  for (const char* file : {"adapter_config.json", "adapter_model.safetensors", "head.safetensors", "lorikeet.json"}) {
    CAPTURE(file);
    const Written written;
    std::filesystem::rename(written.adapter() / file, written.path / file);
    std::filesystem::create_symlink(written.path / file, written.adapter() / file);
    written.refused(std::string(file) + ": got a link to a file outside its folder");
    std::filesystem::remove(written.adapter() / file);
    std::filesystem::rename(written.path / file, written.adapter() / "elsewhere");
    std::filesystem::create_symlink("elsewhere", written.adapter() / file);
    CHECK(read_adapter_folder(written.adapter()).tensors.size() == sample().tensors.size());
  }
}

TEST_CASE("what a configuration asks for is refused before a tensor of it exists") {
  const Written written;
  const auto config = [&](const std::string& key, const Json& value) {
    Json json = adapter_config_json(sample().spec.config);
    json[key] = value;
    written.write("adapter_config.json", json.dump());
  };
  for (const Json& rank :
       {Json(65'537), Json(1LL << 62), Json(18446744073709551615ULL), Json(1e300), Json(-4), Json("4")}) {
    CAPTURE(rank.dump());
    config("r", rank);
    written.refused("adapter_config.json: r: got");
  }
  for (const Json& rank : {Json(65'537), Json(1e300), Json(0)}) {
    config("rank_pattern", Json{{"conv3", rank}});
    written.refused("adapter_config.json: rank_pattern: got");
  }
  config("target_modules", Json(std::vector<std::string>(10'001, "conv3")));
  written.refused("adapter_config.json: target_modules: got a list");
  config("r", 65'536);  // possible, but not what the file of tensors holds
  const AdapterFolder read = read_adapter_folder(written.adapter());
  CHECK_THROWS_WITH_AS(check_adapter_tensors(read.tensors, adapt(small_resnet(), read.spec), "x"),
                       doctest::Contains("expected (65536, "), Error);
}

TEST_CASE("an adapter of torch.save is read where there is no safetensors file") {
  const Written written;
  const auto model = written.adapter() / "adapter_model.safetensors";
  const NamedTensors tensors = read_safetensors(model);
  write_pytorch_file(written.adapter() / "adapter_model.bin", tensors);
  NamedTensors other = tensors;
  for (const auto& [name, tensor] : tensors) other.set(name, tensor + 1);
  write_pytorch_file(written.adapter() / "adapter_model.bin", other);
  const AdapterFolder before = sample();
  const auto is_as_written = [&](double more) {
    const AdapterFolder read = read_adapter_folder(written.adapter());
    CHECK(read.tensors.size() == before.tensors.size());
    for (const auto& [name, tensor] : before.tensors) {
      if (name.starts_with("head.")) continue;
      CAPTURE(name);
      REQUIRE(read.tensors.contains(name));
      CHECK(at::equal(*read.tensors.find(name), tensor + more));
    }
  };
  is_as_written(0);  // safetensors first, as PEFT
  std::filesystem::remove(model);
  is_as_written(1);

  std::filesystem::remove(written.adapter() / "adapter_model.bin");
  std::filesystem::create_symlink("/etc/passwd", written.adapter() / "adapter_model.bin");
  written.refused("outside its folder");
  std::filesystem::remove(written.adapter() / "adapter_model.bin");
  written.refused("adapter_model.safetensors: cannot be opened");
  written.write("adapter_model.bin", "not a pickle");
  written.refused("adapter_model.bin: got");
}

TEST_CASE("of data in a folder only its name is recorded, and a class must be UTF-8") {
  const TemporaryFolder folder;
  AdapterFolder adapter = sample();
  for (const auto& [data, name] :
       {std::pair("mnist", "mnist"), {"/home/me/photos", "photos"}, {"/me/{a,b}/x-{00..09}.tar", "x-{00..09}.tar"}}) {
    adapter.metadata->training["data"] = data;
    write_adapter_folder(folder.path / "a", adapter);
    CHECK(read_adapter_folder(folder.path / "a").metadata->training.at("data") == name);
    AdapterSpec spec;
    CHECK(parse_small_header(small_header(adapter.spec, *adapter.metadata), std::string(64, '0'), "x", spec)
              .training.at("data") == name);
  }
  adapter.metadata->classes[0] = "caf\xe9";
  CHECK_THROWS_WITH_AS(write_adapter_folder(folder.path / "b", adapter),
                       doctest::Contains("'caf\\xe9', which is not UTF-8"), Error);
  CHECK_FALSE(std::filesystem::exists(folder.path / "b"));
}

TEST_CASE("a tensor that is there twice is refused, by name") {
  const Written written;
  const std::string path = (written.adapter() / "adapter_model.safetensors").string();
  std::string content = read_file(path, 1 << 20);
  const std::string one = "base_model.model.layer1.2.conv2.lora_A.weight";
  const std::string other = "base_model.model.layer1.2.conv3.lora_A.weight";
  REQUIRE(content.find(one) != std::string::npos);
  content.replace(content.find(one), one.size(), other);
  written.write("adapter_model.safetensors", content);
  written.refused("adapter_model.safetensors: got the key '" + other + "' twice");
}

TEST_CASE("8-bit floating-point tensors are checked like others") {
  const AdapterFolder folder = sample();
  NamedTensors tensors = folder.tensors;
  tensors.set("fc.bias", at::zeros({6}, at::kByte).view(at::kFloat8_e4m3fn));
  check_adapter_tensors(tensors, adapt(small_resnet(), folder.spec), "x");
  tensors.set("fc.bias", at::full({6}, 0x7f, at::kByte).view(at::kFloat8_e4m3fn));
  CHECK_THROWS_WITH_AS(check_adapter_tensors(tensors, adapt(small_resnet(), folder.spec), "x"),
                       doctest::Contains("'fc.bias': got NaN"), Error);
}

TEST_CASE("JSON of more than 16 MiB is refused before it is read") {
  for (const char* file : {"adapter_config.json", "lorikeet.json"}) {
    const Written written;
    std::filesystem::resize_file(written.adapter() / file, (16 << 20) + 1);
    written.refused(std::string(file) + ": got 16.0 MiB, expected at most 16.0 MiB");
  }
}

TEST_CASE("a file larger than any adapter is refused before it is read") {
  const Written written;
  std::filesystem::resize_file(written.adapter() / "adapter_model.safetensors",
                               (4ULL << 30) + 1);  // takes no place on the disk
  written.refused("adapter_model.safetensors: got 4.00 GiB, expected at most 4.00 GiB");
}

TEST_CASE("an adapter replaces an adapter or an empty folder, and nothing else") {
  const TemporaryFolder folder;
  const auto path = folder.path / "adapter/";  // as a shell completes it
  for (int time = 0; time < 2; ++time) {
    CHECK_NOTHROW(check_adapter_destination(path));
    write_adapter_folder(path, sample());
    CHECK(is_adapter_folder(folder.path / "adapter"));
  }
  std::filesystem::create_directory(folder.path / "empty");
  write_adapter_folder(folder.path / "empty", sample());
  write_file(folder.path / "work/thesis.txt", "1");
  write_file(folder.path / "model.pth", "1");
  for (const auto& [name, because] : {std::pair("work", "got a folder that holds other things than an adapter"),
                                      std::pair("model.pth", "got a file, expected an adapter's folder")}) {
    CHECK(refusal([&] { check_adapter_destination(folder.path / name); }) == has(because));
    CHECK(refusal([&] { write_adapter_folder(folder.path / name, sample()); }) == has(because));
  }
  std::filesystem::create_directory_symlink(folder.path / "adapter", folder.path / "link");
  for (const char* name : {"adapter", "link"}) {
    CHECK(refusal([&] {
            check_adapter_destination(path, {folder.path / "empty", folder.path / name});
          }) == has("got the folder of the adapter that is read"));
  }
  CHECK_NOTHROW(check_adapter_destination(path, {folder.path / "empty"}));
  CHECK(read_file(folder.path / "work/thesis.txt", 10) == "1");
  CHECK(read_file(folder.path / "model.pth", 10) == "1");
}

TEST_CASE("int8 comes with the ranges of its activations") {
  const Written written;
  AdapterFolder folder = sample();
  folder.metadata->precision = Precision::kInt8;
  folder.metadata->activation_ranges = {{"input", {-2.5F, 2.25F}}, {"conv1", {0.0F, 6.0F}}};
  const std::filesystem::path path = written.adapter();
  write_adapter_folder(path, folder);
  CHECK((read_adapter_folder(path).metadata->activation_ranges == folder.metadata->activation_ranges));
  const Json good = parse_json(read_file(path / "lorikeet.json", 1 << 20), "lorikeet.json");
  for (const auto& [range, because] :
       {std::pair(Json::array({1, 0}), "activation_ranges: conv1: got [1,0]"),
        std::pair(Json::array({1}), "conv1: got [1]"), std::pair(Json::array({0, "1"}), "conv1: got"),
        std::pair(Json::array({0, 1e300}), "conv1: got"), std::pair(Json(nullptr), "conv1: got null")}) {
    Json bad = good;
    bad["activation_ranges"]["conv1"] = range;
    write_file(path / "lorikeet.json", bad.dump());
    CHECK_THROWS_WITH_AS(read_adapter_folder(path), doctest::Contains(because), Error);
  }
  Json without = good;
  without.erase("activation_ranges");
  write_file(path / "lorikeet.json", without.dump());
  CHECK_THROWS_WITH_AS(read_adapter_folder(path), doctest::Contains("activation_ranges"), Error);
}

TEST_CASE("metadata that cannot be is refused, by field") {
  const auto refused = [](const std::string& pointer, const Json& value, const std::string& because) {
    CAPTURE(pointer);
    const Written written;
    written.set(pointer, value);
    written.refused("lorikeet.json: " + because);
  };
  refused("/format", 2, "format: got 2, expected 1. Use a newer Lorikeet.");
  refused("/format", "1", "format: got a string");
  refused("/base", "resnet50", "base: got a string");
  refused("/base/model", nullptr, "base: model: got null");
  refused("/base/sha256", std::string(63, 'a'), "base: sha256: got");
  refused("/base/sha256", std::string(64, 'g'), "base: sha256: got");
  refused("/classes", "cat", "classes: got a string");
  refused("/classes/1", 7, "classes: got the number 7");
  refused("/precision", "float16", "precision: got 'float16', expected one of float32, bfloat16, int8");
  refused("/output_classes", 0, "output_classes: got the number 0");
  refused("/output_classes", 2'000'000, "output_classes");
  refused("/head", Json::array(), "head: got a list");
  refused("/head/hidden", Json::array({1LL << 40}), "head: hidden: got the number");
  refused("/head/hidden", Json::array({-1}), "head: hidden: got the number -1");
  refused("/head/hidden", Json::array({1.5}), "head: hidden");
  refused("/head/hidden", Json(std::vector<int>(65, 1)), "head: hidden: got 65 layers");
  refused("/head/classes", 18446744073709551615ULL, "head: classes");
  refused("/head/activation", "gelu", "head: activation: got 'gelu'");
  refused("/preprocessing/resize", 5000, "preprocessing: resize: got the number 5000");
  refused("/preprocessing/crop", -1, "preprocessing: crop");
  refused("/preprocessing/std", Json::array({1, 0, 1}), "preprocessing: std: got 0");
  refused("/preprocessing/mean", Json::array({1, 2}), "preprocessing: mean: got 2 values");
  refused("/preprocessing/mean", Json::array({1, "2", 3}), "preprocessing: mean: got a string");
  refused("/preprocessing/interpolation", "nearest", "preprocessing: interpolation");
  refused("/preprocessing/exif", "turn", "preprocessing: exif: got");
}

TEST_CASE("tensors that layers share, and UniLoRA's indices, are read back and checked") {
  AdapterFolder folder;
  folder.spec.config.peft_type = PeftType::kUniLora;
  folder.spec.config.target_modules = std::string(R"(.*\.2\.conv[23]|fc)");
  folder.spec.config.r = 2;
  folder.spec.config.unilora.theta_d_length = 5;
  folder.spec.config.unilora.save_indices = true;
  const Adaptation adaptation = adapt(small_resnet(), folder.spec);
  for (const auto& parameter : adapter_parameters(adaptation)) {
    const at::Tensor values = at::ones(parameter.shape);
    folder.tensors.add(parameter.name,
                       parameter.name.find("indices") == std::string::npos ? values : values.to(at::kLong) * 4);
  }
  const TemporaryFolder temporary;
  write_adapter_folder(temporary.path / "adapter", folder);
  CHECK(read_safetensors(temporary.path / "adapter/adapter_model.safetensors").contains("base_model.unilora_theta_d"));
  const AdapterFolder read = read_adapter_folder(temporary.path / "adapter");
  check_adapter_tensors(read.tensors, adaptation, "x");
  const auto refused = [&](const at::Tensor& indices, const char* because) {
    NamedTensors tensors = read.tensors;
    tensors.set("fc.unilora_indices_B", indices);
    CHECK_THROWS_WITH_AS(check_adapter_tensors(tensors, adaptation, "x"), doctest::Contains(because), Error);
  };
  const at::Tensor good = *read.tensors.find("fc.unilora_indices_B");
  refused(good.to(at::kFloat), "x: tensor 'fc.unilora_indices_B': got type Float, expected integers");
  refused(good + 1, "got the index 5, expected 0 to 4");
  refused(good - 5, "got the index -1, expected 0 to 4");
}

TEST_CASE("VeRA's matrices are ignored where the configuration says that the file has none, as in PEFT") {
  AdapterFolder folder;
  folder.spec.config.peft_type = PeftType::kVera;
  folder.spec.config.target_modules = std::string("fc");
  folder.spec.config.r = 2;
  folder.tensors = tensors_for(adapt(small_resnet(), folder.spec));
  folder.tensors.add("vera_A", at::ones({2, 3}));
  const TemporaryFolder temporary;
  write_adapter_folder(temporary.path / "adapter", folder);
  const AdapterFolder read = read_adapter_folder(temporary.path / "adapter");
  CHECK_FALSE(read.tensors.contains("vera_A"));
  check_adapter_tensors(read.tensors, adapt(small_resnet(), read.spec), "x");
}
